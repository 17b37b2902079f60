"""Image files: their size from the header alone, and their pixels upright, in RGB, on white.

One way of reading for all packages, so that what was shown in synthesis, in training and in evaluation are
the same pixels: six formats, each by the one Pillow plugin that its first bytes call for, turned as EXIF
says, transparency laid on white, the first frame of an animation.

One of two modules of lpt-core that need more than pydantic and Jinja: the extra ``lpt-core[images]``.
Nothing else in this package imports it.
"""

from __future__ import annotations

import io
import warnings
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from lpt_core.errors import DataError

if TYPE_CHECKING:
    from PIL import Image, ImageFile

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "as_shown",
    "decoded",
    "header_size",
    "open_image",
    "read_bytes",
    "sniff_extension",
    "upright_size",
]

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
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


# ---- files -------------------------------------------------------------------------------------------


def header_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels after EXIF orientation; no pixel is decoded.

    Raises:
        DataError: There is no such file, or it is no image.
    """
    try:
        with path.open("rb") as file:
            image = open_image(file)
            return upright_size(image, image.size)
    except Exception as error:  # as many kinds as reading foreign bytes raises
        raise _unreadable(path, error) from None


def decoded(data: bytes, path: Path) -> Image.Image:
    """The picture in a file's bytes: upright, on white, RGB.

    Args:
        data: The bytes.
        path: Where they were read, for the message.

    Raises:
        DataError: They are no image that can be decoded whole.
    """
    try:
        image = open_image(io.BytesIO(data))
        image.load()
        return as_shown(image)
    except Exception as error:  # as above
        raise _unreadable(path, error) from None


def read_bytes(path: Path) -> bytes:
    """All bytes of an image file.

    Raises:
        DataError: There is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    shown = str(path).encode("utf-8", "backslashreplace").decode()
    if isinstance(error, FileNotFoundError):
        return DataError(
            f"the image {shown} is not there.",
            "paths in records start at their file's folder: move both together, or write the records again",
        )
    said = " ".join(str(error).split())[:200]
    return DataError(f"the image {shown} cannot be read: {type(error).__name__}: {said}.", "repair it")


# ---- headers -----------------------------------------------------------------------------------------


def sniff_extension(data: bytes) -> str | None:
    """The usual file ending of an image's format (no dot), told by its first 12 bytes; None for any other."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((extension for extension, magic in _MAGIC if data.startswith(magic)), None)


def open_image(file: BinaryIO) -> ImageFile.ImageFile:
    """Read an image's header with the plugin of its format.

    ``PIL.Image.open`` is not used: it tries other formats too, and holds images against a limit that is
    global to the process. Pillow's warnings are switched off: of a damaged tag nobody needs to know.

    Raises:
        ValueError: It is of no format that is read here. The plugins raise many other kinds.
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
    head = file.read(12)
    file.seek(0)
    if not head:
        raise ValueError("the file is empty")
    extension = sniff_extension(head)
    if extension is None:
        raise ValueError(f"it is not an image ({FORMATS})")
    return plugins[extension](file)


def upright_size(image: ImageFile.ImageFile, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height in pixels after EXIF orientation.

    Args:
        image: Opened, or also loaded.
        size: What it gave as its size.
    """
    # Pillow turns TIFF images itself when it loads them, and gives their size accordingly.
    turned = image.format != "TIFF" and _orientation(image) in _SIDEWAYS
    return (size[1], size[0]) if turned else size


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8. Damaged EXIF data does not make an image unusable: then 1."""
    try:
        value: object = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # as many kinds as decoding raises
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


# ---- pixels ------------------------------------------------------------------------------------------


def as_shown(image: Image.Image) -> Image.Image:
    """A loaded image as a person sees it: turned as EXIF says, RGB, what is transparent laid on white."""
    return _to_rgb(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode == "F" or image.mode.startswith("I"):
        return _to_8_bit(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    canvas = Image.new("RGB", rgba.size, "white")
    canvas.paste(rgba, mask=rgba.getchannel("A"))
    return canvas


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Grey levels of 16 bits scaled to 8; those of 32 bits, whose range is unknown, stretched to theirs.

    Pillow itself would clip them at 255, which makes most such images white.
    """
    sixteen = image.mode.startswith("I;16")
    wide = image if image.mode == "F" else image.convert("I").convert("F")
    low, high = (0.0, 65535.0) if sixteen else cast("tuple[float, float]", wide.getextrema())
    span = high - low
    scale = 255.0 / span if isfinite(span) and span > 0 else 0.0
    offset = 0.5 - low * scale if scale else 0.0  # half a level up, since what follows rounds down
    grey = wide.point(lambda level: level * scale + offset).convert("L")
    grey.info = {}  # a transparent grey level is one of 16 bits
    return grey
