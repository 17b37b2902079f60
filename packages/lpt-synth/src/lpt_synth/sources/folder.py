"""A folder of images, each with its caption in a ``.txt`` of the same name beside it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from lpt_core import DataError, Problem
from lpt_core.image_files import EXTENSIONS
from lpt_synth.image_files import printable
from lpt_synth.sources.rows import RawRow
from lpt_synth.sources.tables import readable


class FolderTable:
    """Images and texts under a folder, at any depth, in the order of their names.

    A row's id is its image's path in the folder without the ending, its ``where`` the text's path. Names
    that begin with a dot are passed over, links to folders are not followed.
    """

    columns: Sequence[str] | None = ("id", "caption", "image")

    def __init__(self, folder: Path) -> None:
        with readable(folder):
            if not folder.is_dir():
                raise DataError(
                    f"{printable(folder)} is not a folder.", "Name the folder of images in source.captions."
                )
        self.name = str(folder)
        self._folder = folder

    def embeds(self, column: str) -> bool:
        """Images are files."""
        return False

    def rows(self, columns: Sequence[str]) -> Iterator[RawRow | Problem]:
        """A row for each image that has a text; a problem for each that has none, and the reverse."""
        images: defaultdict[str, list[Path]] = defaultdict(list)
        texts: dict[str, Path] = {}
        for path in _files(self._folder):
            stem = path.relative_to(self._folder).with_suffix("").as_posix()
            if path.suffix.lower() == ".txt":
                texts.setdefault(stem, path)
            elif path.suffix.lower() in EXTENSIONS:
                images[stem].append(path)
        number = 0
        for stem in sorted(images.keys() | texts.keys()):
            for image in images.get(stem, [None]):
                number += 1
                yield _row(stem, image, texts.get(stem), number)


def _files(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    with readable(folder):
        for parent, folders, names in os.walk(folder, onerror=fail):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def _row(stem: str, image: Path | None, text: Path | None, number: int) -> RawRow | Problem:
    if text is None:
        where = printable(image or stem)
        message = f"no {Path(stem).name}.txt lies beside the image"
        return Problem("image_without_caption", printable(message), where=where)
    where = printable(text)
    if image is None:
        return Problem("caption_without_image", "no image of the same name lies beside the text", where=where)
    try:
        caption = text.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        return Problem("row_unreadable", message, where=where)
    return RawRow(number, where, {"id": stem, "caption": caption, "image": str(image)})
