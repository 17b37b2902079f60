"""Reading a source: rows in, checked, in the order and number that the configuration asks for."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lpt_core import ConfigError, DataError, Problem, derived_int
from lpt_synth.config import DocciSource, FolderSource, HubSource, SourceConfig, TableSource
from lpt_synth.image_files import printable
from lpt_synth.shard import Shard, SourceSum
from lpt_synth.sources.embedded import ImageFolder
from lpt_synth.sources.folder import FolderTable
from lpt_synth.sources.rows import (
    BadRowError,
    Draft,
    Layout,
    RawRow,
    RowChecker,
    SourceRow,
    Table,
    image_value,
    require_columns,
)
from lpt_synth.sources.tables import JsonLines, existing_file, open_table


def read_source(
    config: SourceConfig,
    *,
    seed: int,
    cache: Path,
    report: Callable[[Problem], None],
    whole: SourceSum | None = None,
) -> Iterator[SourceRow]:
    """The usable rows of a source.

    They come in the source's own order, or, with ``shuffle``, in one drawn from the seed and each row's
    id alone (paper, section 1: the first 500 of a shuffle with seed 42). ``limit`` counts usable rows
    after that; whether the image of a row can be decoded is not known here, and does not count. A shard is
    a part of the rows that are then left. Rows are streamed: memory grows with the ids, and when shuffling
    with the texts of the rows taken.

    Args:
        config: Which source.
        seed: For the shuffle and the shards.
        cache: Folder for images that the source holds inside; nothing is written to it for others.
        report: Gets a problem for each row that cannot be used, with its file and line. Rows after the
            last one taken are not looked at.
        whole: Takes in all rows, those of other shards too.

    Raises:
        ConfigError: A split is asked for, and no column tells it.
        DataError: The source is not there, cannot be read, lacks a column or a split, or has no usable row.
        MissingExtraError: It needs a library that is not installed.
        StoreError: ``cache`` cannot be written to.
    """
    table, layout = _open(config)
    require_columns(table, layout)
    checker = RowChecker(table.name, layout, report)
    images = ImageFolder(cache)
    shard = None if config.shard is None else Shard.parse(config.shard)

    def ours(draft: Draft) -> bool:
        return shard is None or shard.holds(draft.text, seed)

    if not config.shuffle:
        drafts = checker.drafts(table.rows(layout.columns), images=True)
        rows = _settled(drafts, checker, images, ours)
    elif table.embeds(layout.image):
        rows = _shuffled_embedded(table, checker, images, ours, _Draw(seed, config.limit))
    else:
        drafts = checker.drafts(table.rows(layout.columns), images=True)
        drawn = _Draw(seed, config.limit).first(drafts)
        rows = _settled(iter(drawn), checker, images, ours)
    empty = True
    for row, is_ours in islice(rows, config.limit):
        empty = False
        if whole is not None:
            whole.add(row.text, row.image.name)
        if is_ours:
            yield row
    if empty:
        raise checker.nothing()


Ours = Callable[[Draft], bool]
"""Whether a row belongs to the shard that is read."""


def _settled(
    drafts: Iterator[Draft], checker: RowChecker, images: ImageFolder, ours: Ours
) -> Iterator[tuple[SourceRow, bool]]:
    for draft in drafts:
        is_ours = ours(draft)
        try:
            image = _image_path(draft.image or "", draft.where, checker.layout, images, wanted=is_ours)
        except BadRowError as bad:
            checker.reject(bad.problem)
            continue
        yield _row(draft, image, checker.layout), is_ours


@dataclass(frozen=True, slots=True)
class _Draw:
    """A shuffle of drafts by the seed and their ids alone."""

    seed: int
    limit: int | None

    def first(self, drafts: Iterator[Draft]) -> list[Draft]:
        """The first ones; no more than these are kept at any time."""

        def place(draft: Draft) -> tuple[int, str]:
            return derived_int(self.seed, draft.source_id), draft.source_id

        if self.limit is None:
            return sorted(drafts, key=place)
        return heapq.nsmallest(self.limit, drafts, key=place)


def _shuffled_embedded(
    table: Table, checker: RowChecker, images: ImageFolder, ours: Ours, draw: _Draw
) -> Iterator[tuple[SourceRow, bool]]:
    """Shuffle rows that hold their images, in two passes: first the words, then the images wanted.

    In one pass either all images would have to be held in memory, or all written out for a few.
    """
    layout = checker.layout
    words = tuple(column for column in layout.columns if column != layout.image)
    drawn = draw.first(checker.drafts(table.rows(words), images=False))
    wanted = {draft.number: ours(draft) for draft in drawn}
    paths: dict[int, Path] = {}
    for row in table.rows((layout.image,)):
        if isinstance(row, RawRow) and row.number in wanted:
            try:
                value = image_value(row, layout.image)
                paths[row.number] = _image_path(value, row.where, layout, images, wanted=wanted[row.number])
            except BadRowError as bad:
                checker.reject(bad.problem)
    for draft in drawn:
        if draft.number in paths:
            yield _row(draft, paths[draft.number], layout), wanted[draft.number]


def _image_path(value: str | bytes, where: str, layout: Layout, images: ImageFolder, *, wanted: bool) -> Path:
    if isinstance(value, bytes):
        return images.put(value, where, wanted=wanted)
    return layout.base / value


def _row(draft: Draft, image: Path, layout: Layout) -> SourceRow:
    return SourceRow(draft.source_id, draft.text, image, draft.where, layout.source, draft.split)


# ---- the four kinds --------------------------------------------------------------------------------


def _open(config: SourceConfig) -> tuple[Table, Layout]:
    match config:
        case DocciSource():
            return _open_docci(config)
        case TableSource():
            return _open_table(config)
        case FolderSource():
            layout = Layout("folder", "caption", "image", "id", None, None, None, Path())
            return FolderTable(config.captions), layout
        case HubSource():
            return _open_hub(config)


def _open_docci(config: DocciSource) -> tuple[Table, Layout]:
    existing_file(config.captions)
    layout = Layout(
        source="docci",
        text="description",
        image="image_file",
        id="example_id",
        split="split",
        wanted=config.split,
        fixed=None,
        base=_image_folder(config.images),
    )
    return JsonLines(config.captions), layout


def _open_table(config: TableSource) -> tuple[Table, Layout]:
    if config.split is not None and config.split_column is None:
        raise ConfigError(
            f"source.split is {config.split!r}, and source.split_column names no column.",
            "Name the column that tells a row's split, or leave source.split out.",
        )
    table = open_table(config.captions)
    layout = Layout(
        source="table",
        text=config.text_column,
        image=config.image_column,
        id=config.id_column,
        split=config.split_column,
        wanted=config.split,
        fixed=None,
        base=config.captions.parent if config.images is None else _image_folder(config.images),
    )
    return table, layout


def _open_hub(config: HubSource) -> tuple[Table, Layout]:
    from lpt_synth.sources.hub import open_hub

    table = open_hub(config)
    layout = Layout(
        source="hub",
        text=config.text_column,
        image=config.image_column,
        id=config.id_column,
        split=None,
        wanted=None,
        fixed=table.split,
        base=Path() if config.images is None else _image_folder(config.images),
    )
    return table, layout


def _image_folder(path: Path) -> Path:
    if not path.is_dir():
        message = f"{printable(path)} is not a folder that exists, and all images would be missing."
        raise DataError(message, "Check the path in source.images.")
    return path
