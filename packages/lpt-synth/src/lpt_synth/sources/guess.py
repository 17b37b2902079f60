"""Telling what a source is by looking at it, for ``lpt-synth init``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from lpt_core import DataError
from lpt_synth.sources.rows import RawRow
from lpt_synth.sources.tables import ENDINGS, JSON_ENDINGS, JsonLines, open_table, readable
from lpt_synth.sources.words import quoted

_TEXT = ("caption", "description", "text")
_IMAGE = ("image", "image_file", "file_name", "filename", "image_path")
_ID = ("id", "image_id", "example_id")
_DOCCI = {"example_id", "image_file", "description"}
_SAVED_BY_DATASETS = ("dataset_info.json", "dataset_dict.json", "state.json")
_OWNER_AND_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_LOOKED_AT = 100


def guess_kind(captions: str) -> Literal["docci", "table", "folder", "hub"]:
    """The kind of source that a path, or the id of a data set, names.

    DOCCI's file is known by what it holds, not by its name.

    Raises:
        DataError: It is none, or is not there.
    """
    path = Path(captions)
    with readable(path):
        if path.is_dir():
            return "hub" if any((path / name).is_file() for name in _SAVED_BY_DATASETS) else "folder"
        if path.exists():
            return _kind_of_file(path)
    if _OWNER_AND_NAME.fullmatch(captions) and path.suffix.lower() not in ENDINGS:
        return "hub"
    raise DataError(
        f"{captions!r} does not exist, and is not the id of a data set on the hub (owner/name).",
        "Check the path.",
    )


def _kind_of_file(path: Path) -> Literal["docci", "table"]:
    if path.suffix.lower() in JSON_ENDINGS:
        return "docci" if _first_keys(path) >= _DOCCI else "table"
    open_table(path)
    return "table"


def _first_keys(path: Path) -> set[str]:
    """The keys of the first row that can be read, among the first few."""
    rows = islice(JsonLines(path).rows(()), _LOOKED_AT)
    return next((set(row.values) for row in rows if isinstance(row, RawRow)), set[str]())


def guess_columns(path: Path) -> tuple[str, str, str | None]:
    """The columns of a table that hold caption, image and id, by the names that are common for them.

    Returns:
        The id's is None where no column has such a name.

    Raises:
        DataError: The caption's or the image's cannot be told; the message lists the columns.
    """
    table = open_table(path)
    columns = table.columns if table.columns is not None else sorted(_first_keys(path))
    text = _among(_TEXT, columns)
    image = _among(_IMAGE, columns)
    if text is None or image is None:
        raise DataError(
            f"{path}: which column holds the {'caption' if text is None else 'image'} cannot be told from "
            f"the names: {quoted(columns) or 'none'}.",
            "Name it in the configuration (source.text_column, source.image_column).",
        )
    return text, image, _among(_ID, columns)


def _among(names: Iterable[str], columns: Sequence[str]) -> str | None:
    by_name = {column.lower(): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)
