"""Image files: what one holds, and that all of it can be decoded.

Files come from anywhere, so every byte is hostile: nothing that a file holds makes ``inspect_image``
raise. Six formats are read, each by the one Pillow plugin that its first bytes call for.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lpt_core import ImageRef, Problem

if TYPE_CHECKING:
    from PIL import Image, ImageFile

FORMATS = "JPEG, PNG, WebP, BMP, GIF or TIFF"
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
"""Endings under which images of these formats lie."""

_MAGIC = (
    ("jpg", b"\xff\xd8\xff"),
    ("png", b"\x89PNG\r\n\x1a\n"),
    ("gif", b"GIF87a"),
    ("gif", b"GIF89a"),
    ("tif", b"II*\0"),
    ("tif", b"MM\0*"),
    ("bmp", b"BM"),
)
_MAX_FILE_BYTES = 2**30
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


def sniff_extension(data: bytes) -> str | None:
    """The usual file ending of an image's format (no dot), told by its first bytes; None for any other."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((extension for extension, magic in _MAGIC if data.startswith(magic)), None)


def printable(text: str | Path) -> str:
    """A text that any terminal and any UTF-8 file takes, whatever bytes a file's name is made of."""
    return str(text).encode("utf-8", "backslashreplace").decode()


# ---- what a file holds -----------------------------------------------------------------------------


@dataclass(eq=False)
class RefusedError(Exception):
    """Why a file is no image that can be used; ``message`` goes on from the file's name."""

    kind: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return self.message


def inspect_image(path: Path, *, where: str, max_pixels: int) -> ImageRef | Problem:
    """Read an image file once, decode all of it, and tell what it is.

    Args:
        path: The file.
        where: File and line that named it, for the problem.
        max_pixels: Width times height above which an image is refused, before it is decoded.

    Returns:
        A reference with the digest of the bytes and the size after EXIF orientation; or a problem:
        ``image_missing``, ``image_unreadable`` (empty, not an image, cut short, not decodable) or
        ``image_too_large``.
    """
    try:
        data = read_image_file(path)
        width, height = _measure(data, max_pixels)
    except RefusedError as refused:
        message = f"image {printable(path)} {refused.message}"
        return Problem(refused.kind, message, where=where, remedy=refused.remedy)
    digest = hashlib.sha256(data).hexdigest()
    return ImageRef(path=str(path), sha256=digest, width=width, height=height)


def read_image_file(path: Path) -> bytes:
    """All bytes of a file that may be an image.

    Raises:
        RefusedError: There is no such file, or it cannot be read.
    """
    try:
        str(path).encode()
        if not path.is_file():
            raise RefusedError("image_missing", "is not a file" if path.exists() else "is not there")
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise RefusedError("image_too_large", "is a file of more than 1 GiB")
        return path.read_bytes()
    except UnicodeEncodeError:
        message = "has a name that is not UTF-8, which no record can hold"
        raise RefusedError("image_unreadable", message, "rename it") from None
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise RefusedError("image_unreadable", message) from None
    except ValueError:  # a null byte
        raise RefusedError("image_missing", "has a name that no file can have") from None


def _measure(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Width and height after EXIF orientation, of an image that was decoded whole."""
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile

    if not data:
        raise RefusedError("image_unreadable", "is empty")
    try:
        image = open_image(data)
        width, height = image.size
        if width < 1 or height < 1:
            raise RefusedError("image_unreadable", f"has {width} x {height} pixels")
        if width * height > max_pixels:
            raise _too_large(f"has {width} x {height} pixels, more than {max_pixels}")
        # Every byte of a JPEG is still read; only the arithmetic of its pixels is cut (1.8 times faster).
        image.draft("L", (1, 1))
        image.load()
        if not isinstance(image, JpegImageFile):
            width, height = image.size  # Pillow turns TIFF images while it loads them
        return (height, width) if orientation(image) in _SIDEWAYS else (width, height)
    except RefusedError:
        raise
    except Image.DecompressionBombError as error:  # by a frame, or a canvas, that the header did not tell
        raise _too_large(f"is refused by Pillow: {error}") from None
    except Exception as error:
        # On bad bytes Pillow raises OSError, SyntaxError, ValueError, struct.error, EOFError, KeyError,
        # zlib.error, OverflowError, MemoryError, and others with each release.
        cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
        detail = printable(f"{type(error).__name__}: {error}")[:200]
        message = f"{'is cut short' if cut else 'cannot be decoded'} ({detail})"
        raise RefusedError("image_unreadable", message) from None


def _too_large(message: str) -> RefusedError:
    return RefusedError("image_too_large", message, "raise source.max_image_pixels if it is trusted")


def open_image(data: bytes) -> ImageFile.ImageFile:
    """Read an image's header with the plugin of its format.

    ``PIL.Image.open`` is not used: it tries other formats too, and holds images against a limit that is
    global to the process, where ours is the configuration's. Pillow's warnings are switched off: of a
    damaged tag nobody needs to know, and the limit is held without them.

    Raises:
        RefusedError: It is of no format that is read here. The plugins raise many other kinds.
    """
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.GifImagePlugin import GifImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    # Not catch_warnings(), which is not safe in threads. Said again, the same filter is no second one.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    plugins: dict[str, type[ImageFile.ImageFile]] = {
        "jpg": JpegImageFile,
        "png": PngImageFile,
        "webp": WebPImageFile,
        "bmp": BmpImageFile,
        "gif": GifImageFile,
        "tif": TiffImageFile,
    }
    extension = sniff_extension(data)
    if extension is None:
        raise RefusedError("image_unreadable", f"is not an image ({FORMATS})")
    return plugins[extension](io.BytesIO(data))


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8. Damaged EXIF data does not make an image unusable: then 1."""
    try:
        value: object = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # as many kinds as decoding raises
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
