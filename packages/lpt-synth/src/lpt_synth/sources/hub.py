"""Data sets of the ``datasets`` library: a directory that it saved, or an id on the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lpt_core import DataError, MissingExtraError
from lpt_synth.config import HubSource
from lpt_synth.image_files import printable
from lpt_synth.sources.arrow import BATCH, arrow_readable, holds_bytes, numbered
from lpt_synth.sources.rows import RawRow
from lpt_synth.sources.words import quoted

HUB_ID = re.compile(r"[\w.-]+(?:/[\w.-]+)?")


class HubTable:
    """One split of a data set. A row's ``where`` is its number.

    Arrow's own rows are read, so that no image is decoded on the way.
    """

    def __init__(self, dataset: Any, name: str, split: str | None) -> None:
        self.name = name
        self.split = split
        self._dataset: Any = dataset.with_format("arrow")
        self.columns: Sequence[str] = list(dataset.column_names)

    def embeds(self, column: str) -> bool:
        """Whether the column holds images; these may still be paths, row by row."""
        return holds_bytes(self._dataset.features.arrow_schema, column)

    def rows(self, columns: Sequence[str]) -> Iterator[RawRow]:
        """All rows, with these columns alone."""
        with arrow_readable(self.name):
            batches = self._dataset.select_columns(list(columns)).iter(batch_size=BATCH)
            yield from numbered(batches, self.name)


def open_hub(config: HubSource) -> HubTable:
    """The split that a configuration names.

    Raises:
        DataError: There is no such data set or split, or the hub cannot be reached.
        MissingExtraError: ``datasets`` is not installed.
    """
    try:
        datasets: Any = import_module("datasets")
    except ImportError as error:
        raise MissingExtraError.of("lpt-synth", "hub", "Reading a data set of the hub") from error
    if Path(config.captions).is_dir():
        return _open_directory(datasets, config)
    if not HUB_ID.fullmatch(config.captions):
        message = f"{config.captions!r} is no directory that exists, and no id of a data set on the hub."
        raise DataError(message, "Check the path in source.captions; an id is written owner/name.")
    return _open_id(datasets, config)


def _open_directory(datasets: Any, config: HubSource) -> HubTable:
    name = config.captions
    try:
        loaded: Any = datasets.load_from_disk(name)
    except Exception as error:  # what it raises on a directory of other things is not documented
        raise DataError(
            f"{name} cannot be read as a data set: {_line(error)}",
            "Name a directory that datasets' save_to_disk wrote.",
        ) from error
    if isinstance(loaded, datasets.DatasetDict):
        if config.split not in loaded:
            raise _no_split(name, config.split, list(loaded))
        return HubTable(loaded[config.split], name, config.split)
    # A data set that was saved alone remembers the split that it was, as "train" or "train[:10%]".
    own = None if loaded.split is None else str(loaded.split)
    if own is not None and config.split not in (own, own.partition("[")[0]):
        raise _no_split(name, config.split, [own])
    return HubTable(loaded, name, own)


def _no_split(name: str, split: str, there: list[str]) -> DataError:
    message = f"{name} has no split {split!r}; its splits are: {quoted(there)}."
    return DataError(message, "Set source.split to one of them.")


def _open_id(datasets: Any, config: HubSource) -> HubTable:
    try:
        loaded: Any = datasets.load_dataset(
            config.captions, config.name, split=config.split, revision=config.revision
        )
    except ValueError as error:  # no such split or configuration; its text lists those that there are
        raise DataError(
            f"Data set {config.captions} cannot be loaded: {_line(error)}",
            "Set source.split, or source.name, to one that is there.",
        ) from error
    except Exception as error:  # network, authorisation, disk, or a repository of other things
        raise DataError(
            f"Data set {config.captions} is neither a directory here nor to be had from the hub: "
            f"{_line(error)}",
            "Check its name and the network; or, where there is a network, load it and save_to_disk it, "
            "and name that directory in source.captions.",
        ) from error
    return HubTable(loaded, config.captions, config.split)


def _line(error: Exception) -> str:
    return printable(" ".join(str(error).split()))[:300]
