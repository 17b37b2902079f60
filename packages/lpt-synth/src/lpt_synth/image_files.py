"""Image files: what one holds, and that all of it can be decoded.

Files come from anywhere, so every byte is hostile: nothing that a file holds makes ``inspect_image``
raise. Formats, headers and pixels are ``lpt_core.image_files``' part.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from lpt_core import ImageRef, Problem
from lpt_core.image_files import FORMATS, open_image, sniff_extension, upright_size

_MAX_FILE_BYTES = 2**30


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
    if sniff_extension(data) is None:
        raise RefusedError("image_unreadable", f"is not an image ({FORMATS})")
    try:
        image = open_image(io.BytesIO(data))
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
        return upright_size(image, (width, height))
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
