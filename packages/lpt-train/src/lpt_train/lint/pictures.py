"""Checks of the images' files, each file once: there, whole, as the record says, in no evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import JsonValue

from lpt_core import DataError, ImageRef, Problem
from lpt_core.image_files import header_size, read_bytes

_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_THINNEST = 200  # times as long as wide, which the models' processors refuse

Found = tuple[str, str, str]
"""Kind, message and remedy of a problem."""


class ImageChecks:
    """Looks at images; what was found of a file is remembered.

    Args:
        evaluation: Digests of the images that are evaluated on.
    """

    def __init__(self, evaluation: frozenset[str] = frozenset()) -> None:
        self._evaluation = evaluation
        self._known: dict[ImageRef, tuple[Found, ...]] = {}

    @property
    def images(self) -> int:
        """How many images were looked at."""
        return len({image.sha256 for image in self._known})

    def check(self, image: ImageRef, where: str) -> list[Problem]:
        """What is wrong with a row's image.

        Kinds: ``image_missing``, ``image_unreadable``, ``image_changed``, ``image_size``,
        ``image_too_thin``, ``image_in_evaluation``.
        """
        if image not in self._known:
            self._known[image] = tuple(self._look(image))
        return [
            Problem(kind, message, f"{where}:image", remedy) for kind, message, remedy in self._known[image]
        ]

    def _look(self, image: ImageRef) -> Iterable[Found]:
        path = Path(image.path)
        if image.sha256 in self._evaluation:
            remedy = "take the row out, or evaluate on other images"
            yield "image_in_evaluation", f"the image {path.name} is one that is evaluated on", remedy
        try:
            size = header_size(path)
            data = read_bytes(path)
        except DataError as error:
            missing = "is not there" in error.message
            kind = "image_missing" if missing else "image_unreadable"
            yield kind, error.message.rstrip("."), error.remedy
            return
        if hashlib.sha256(data).hexdigest() != image.sha256:
            message = f"the image {path} is not the one that the record was made with"
            yield "image_changed", message, "put the old file back, or export the sets again"
        elif size != (image.width, image.height):
            told = f"{image.width} x {image.height}"
            message = f"the image {path} has {size[0]} x {size[1]} pixels, and the record says {told}"
            yield "image_size", message, "export the sets again"
        if max(size) > _THINNEST * min(size):
            message = f"the image {path} of {size[0]} x {size[1]} pixels is too thin for the model"
            yield "image_too_thin", message, "leave the row out"


def evaluation_digests(paths: Iterable[Path]) -> frozenset[str]:
    """SHA-256 digests of the images that are evaluated on.

    Args:
        paths: Folders, all image files under which count; files of JSON lines, in which every value of a
            key ``sha256`` counts, however deep; and image files.

    Raises:
        DataError: One of them cannot be read, or names no image.
    """
    found: set[str] = set()
    for path in paths:
        new = _digests(path)
        if not new:
            raise DataError(
                f"{path} names no image to compare with.",
                "give a folder of images, an image, or JSON lines whose records have an image's sha256",
            )
        found |= new
    return frozenset(found)


def _digests(path: Path) -> set[str]:
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in _ENDINGS]
        return {_digest(file) for file in files if file.is_file()}
    if path.suffix.lower() in _ENDINGS:
        return {_digest(path)}
    found: set[str] = set()
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    _collect(_json(line, f"{path}:{number}"), found)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    return found


def _json(line: bytes, where: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"{where} is not JSON.", "give JSON lines, a record each") from None
    return value


def _digest(path: Path) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()


def _collect(value: JsonValue, found: set[str]) -> None:
    if isinstance(value, dict):
        digest = value.get("sha256")
        if isinstance(digest, str):
            found.add(digest.lower())
        for one in value.values():
            _collect(one, found)
    elif isinstance(value, list):
        for one in value:
            _collect(one, found)
