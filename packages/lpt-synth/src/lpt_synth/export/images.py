"""The images of an export: copied once each, under a name that their content gives them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from lpt_core import DataError, ImageRef

FOLDER = "images"
_CHUNK = 1 << 20
_MAGIC = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)


class ImageFolder:
    """Collects the images that rows refer to. It remembers one name per image, and no pixels.

    Args:
        root: The export's directory; images go into ``images/`` there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, str] = {}

    def add(self, image: ImageRef) -> str:
        """Copy an image, unless it is there already.

        Returns:
            Its path relative to the export's directory, with forward slashes.

        Raises:
            DataError: The file is missing, or is no longer what it was when the run read it.
        """
        name = self._names.get(image.sha256)
        if name is None:
            name = self._names[image.sha256] = self._copy(image)
        return name

    @property
    def extensions(self) -> Counter[str]:
        """How many images there are of each extension."""
        return Counter(Path(name).suffix for name in self._names.values())

    def _copy(self, image: ImageRef) -> str:
        (self._root / FOLDER).mkdir(exist_ok=True)
        chunks = _chunks(image.path)
        head = next(chunks, b"")
        name = f"{FOLDER}/{image.sha256[:16]}{_extension(head, image.path)}"
        digest = hashlib.sha256()
        with (self._root / name).open("wb") as copy:
            for chunk in chain((head,), chunks):
                digest.update(chunk)
                copy.write(chunk)
        if digest.hexdigest() != image.sha256:
            raise DataError(
                f"the image {image.path} has changed since the run read it: its SHA-256 begins with "
                f"{digest.hexdigest()[:16]}, not with {image.sha256[:16]}.",
                "put the old image back, or run again with the new one",
            )
        return name


def _chunks(path: str) -> Iterator[bytes]:
    try:
        with Path(path).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise DataError(
            f"the image {path} cannot be read: {error.strerror}.",
            "put the image back where the run found it; a relative path starts where `run` was called",
        ) from error


def _extension(head: bytes, path: str) -> str:
    """By content, since loaders go by the name; by the old name where the content tells nothing."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    return next((ext for magic, ext in _MAGIC if head.startswith(magic)), Path(path).suffix.lower())
