"""Image files: their size from the header alone, and their pixels upright, in RGB, on white.

Files are read as lpt-synth reads them, so that what was shown in synthesis and what is shown in evaluation
are the same pixels: six formats, each by the one Pillow plugin that its first bytes call for, turned as
EXIF says, transparency laid on white, the first frame of an animation.
"""

from __future__ import annotations

import io
import struct
import warnings
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from lpt_core import DataError

if TYPE_CHECKING:
    from PIL import Image, ImageFile

FORMATS = "JPEG, PNG, WebP, BMP, GIF or TIFF"

_MAGIC = (
    ("jpg", b"\xff\xd8\xff"),
    ("png", b"\x89PNG\r\n\x1a\n"),
    ("gif", b"GIF8"),
    ("tif", b"II*\0"),
    ("tif", b"MM\0*"),
    ("bmp", b"BM"),
)
_EXIF_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_DAMAGE = (OSError, ValueError, TypeError, LookupError, ArithmeticError, SyntaxError, struct.error)
"""What Pillow raises on damaged EXIF data; SyntaxError for headers."""


def header_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels after EXIF orientation; no pixel is decoded.

    Raises:
        DataError: There is no such file, or it is no image.
    """
    try:
        with path.open("rb") as file:
            image = _opened(file)
            width, height = image.size
            # Pillow turns TIFF images itself when it loads them, and gives their size accordingly.
            turned = image.format != "TIFF" and _orientation(image) in _SIDEWAYS
    except Exception as error:  # as many kinds as reading foreign bytes raises
        raise _unreadable(path, error) from None
    return (height, width) if turned else (width, height)


def decoded(data: bytes, path: Path) -> Image.Image:
    """The picture in a file's bytes: upright, on white, RGB.

    Args:
        data: The bytes.
        path: Where they were read, for the message.

    Raises:
        DataError: They are no image that can be decoded whole.
    """
    try:
        image = _opened(io.BytesIO(data))
        image.load()
        return _to_rgb(_upright(image))
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
            "paths in records start at their file's folder: move both together",
        )
    said = " ".join(str(error).split())[:200]
    return DataError(f"the image {shown} cannot be read: {type(error).__name__}: {said}.", "repair it")


def _opened(file: BinaryIO) -> ImageFile.ImageFile:
    """Read a header with the plugin of its format, whatever other plugins there are."""
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.GifImagePlugin import GifImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    # Of a damaged tag nobody needs to know. Not catch_warnings(), which is not safe in threads.
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
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return plugins["webp"](file)
    kind = next((kind for kind, magic in _MAGIC if head.startswith(magic)), None)
    if kind is None:
        raise ValueError(f"it is not an image ({FORMATS})")
    return plugins[kind](file)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; damaged EXIF data counts as none."""
    try:
        value: object = image.getexif().get(_EXIF_ORIENTATION, 1)
    except _DAMAGE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


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
    """Grey levels of 16 bits scaled to 8, which Pillow would clip; others stretched to their own range."""
    sixteen = image.mode.startswith("I;16")
    wide = image if image.mode == "F" else image.convert("I").convert("F")
    low, high = (0.0, 65535.0) if sixteen else cast("tuple[float, float]", wide.getextrema())
    span = high - low
    scale = 255.0 / span if isfinite(span) and span > 0 else 0.0
    offset = 0.5 - low * scale if scale else 0.0  # half a level up, since what follows rounds down
    grey = wide.point(lambda level: level * scale + offset).convert("L")
    grey.info = {}  # a transparent grey level is one of 16 bits
    return grey
