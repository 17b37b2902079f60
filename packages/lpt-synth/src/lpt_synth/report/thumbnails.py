"""Small pictures for the gallery: each image once, and no more bytes than agreed."""

from __future__ import annotations

import io
import warnings

from lpt_core import ImageRef

SIDE = 320  # pixels of the longer side
QUALITY = 72
_DRAWN = 128  # images no larger than this are kept without loss: drawings suffer most, and cost little


class Thumbnails:
    """Collects thumbnails.

    Args:
        limit: Bytes that all of them may have together; what comes after is left out, and counted.

    Attributes:
        images: One WebP file per picture that has one.
        left_out: Images without a thumbnail because of the limit.
        unreadable: Images whose file is gone or cannot be read.
    """

    def __init__(self, limit: int) -> None:
        self.images: list[bytes] = []
        self.left_out = 0
        self.unreadable = 0
        self._left = limit
        self._known: dict[str, int] = {}

    def add(self, image: ImageRef) -> int:
        """The place of an image's thumbnail, or -1 where it has none."""
        place = self._known.get(image.sha256)
        if place is None:
            place = self._known[image.sha256] = self._make(image)
        return place

    @property
    def total(self) -> int:
        """How many images there are, with and without a thumbnail."""
        return len(self._known)

    def _make(self, image: ImageRef) -> int:
        if self._left <= 0:
            self.left_out += 1
            return -1
        small = thumbnail(image.path)
        if small is None:
            self.unreadable += 1
            return -1
        if len(small) > self._left:
            # Nothing smaller that comes later jumps the queue: those with a picture are the first ones.
            self._left = 0
            self.left_out += 1
            return -1
        self._left -= len(small)
        self.images.append(small)
        return len(self.images) - 1


def thumbnail(path: str) -> bytes | None:
    """A picture made small, as WebP; None where it cannot be read."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as file:
                file.draft("RGB", (SIDE, SIDE))  # JPEG can be decoded small
                image = file.convert("RGB")
            image.thumbnail((SIDE, SIDE))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    buffer = io.BytesIO()
    if max(image.size) <= _DRAWN:
        image.save(buffer, "WEBP", lossless=True)
    else:
        image.save(buffer, "WEBP", quality=QUALITY)
    return buffer.getvalue()
