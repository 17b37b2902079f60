"""From a source's raw rows to usable ones: one set of checks for all kinds of sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from lpt_core import DataError, Problem
from lpt_synth.sources.words import kind_of, quoted, shortened


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A usable row of a source.

    Attributes:
        source_id: The row's name in the source.
        text: The dense caption, stripped, never empty.
        image: Where the image's file lies; whether it is there has not been looked at.
        where: "file:line" or "file row n", for problems.
        source: Kind of the source: "docci", "table", "folder" or "hub".
        split: The source's split, where it has any.
    """

    source_id: str
    text: str
    image: Path
    where: str
    source: str
    split: str | None


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it was read.

    Attributes:
        number: Its place in the source, from 1, rows that cannot be read among them.
        where: As in ``SourceRow``.
        values: By column.
    """

    number: int
    where: str
    values: Mapping[str, object]


class Table(Protocol):
    """Rows with columns, to be gone through as often as needed, from the first, in flat memory.

    Attributes:
        name: The file or data set, for messages.
    """

    name: str

    @property
    def columns(self) -> Sequence[str] | None:
        """The names of all columns; None where each row has its own."""
        ...

    def rows(self, columns: Sequence[str]) -> Iterator[RawRow | Problem]:
        """All rows in the source's order, with at least these columns."""
        ...

    def embeds(self, column: str) -> bool:
        """Whether the column holds images themselves rather than paths to them."""
        ...


@dataclass(frozen=True, slots=True)
class Layout:
    """What is where in a table.

    Attributes:
        source: Kind of the source.
        text: Column of the caption.
        image: Column of the image.
        id: Column of the row's name; None takes its number.
        split: Column of the split.
        wanted: Take only rows whose split is this.
        fixed: The split of all rows, where the table is one split.
        base: The folder that image paths are relative to.
    """

    source: str
    text: str
    image: str
    id: str | None
    split: str | None
    wanted: str | None
    fixed: str | None
    base: Path

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        named = (self.id, self.split, self.text, self.image)
        return tuple(dict.fromkeys(column for column in named if column is not None))


@dataclass(frozen=True, slots=True)
class Draft:
    """A row whose words have been checked, and whose image has not."""

    number: int
    source_id: str
    text: str
    image: str | bytes | None
    where: str
    split: str | None


@dataclass(eq=False)
class BadRowError(Exception):
    """A row that cannot be used, and why."""

    problem: Problem


def bad_row(kind: str, message: str, where: str, remedy: str = "") -> BadRowError:
    """The error that ends a row."""
    return BadRowError(Problem(kind, message, where=where, remedy=remedy))


@dataclass(slots=True)
class RowChecker:
    """Checks raw rows one by one, reports what is wrong with them, and remembers what it must.

    Memory grows with the number of ids alone.
    """

    name: str
    layout: Layout
    report: Callable[[Problem], None]
    _seen: dict[str, str] = field(default_factory=dict[str, str])
    _splits: set[str] = field(default_factory=set[str])
    _rows: int = 0
    _elsewhere: int = 0
    _first: Problem | None = None

    def drafts(self, rows: Iterable[RawRow | Problem], *, images: bool) -> Iterator[Draft]:
        """The rows that can be used, in their order; ``images`` tells whether that column was read."""
        for row in rows:
            self._rows += 1
            if isinstance(row, Problem):
                self.reject(row)
                continue
            try:
                draft = self._check(row, images)
            except BadRowError as bad:
                self.reject(bad.problem)
                continue
            if draft is not None:
                yield draft

    def reject(self, problem: Problem) -> None:
        """Report a row that cannot be used."""
        self._first = self._first or problem
        self.report(problem)

    def nothing(self) -> DataError:
        """The error for a source in which not one row can be used, read to its end."""
        if not self._rows:
            return DataError(f"{self.name} is empty: it has no rows.", "Give a source that has captions.")
        if self._elsewhere == self._rows:
            return DataError(
                f"{self.name} has no rows of split {self.layout.wanted!r}; "
                f"its splits are: {quoted(sorted(self._splits))}.",
                "Set source.split to one of them, or to null for all rows.",
            )
        return DataError(
            f"{self.name} has no row that can be used: {self._rows - self._elsewhere} were read, and each "
            f"has a problem; the first is: {self._first}.",
            "Mend the file, or the columns that the source names.",
        )

    def _check(self, row: RawRow, images: bool) -> Draft | None:
        layout = self.layout
        split = self._split(row)
        if layout.wanted is not None and split != layout.wanted:
            self._elsewhere += 1
            if len(self._splits) < 100:
                self._splits.add(split or "")
            return None
        source_id = str(row.number) if layout.id is None else _name(row, layout.id)
        if not source_id:
            raise bad_row("id_empty", f"the id (column {layout.id!r}) is empty", row.where)
        text = _text(_value(row, layout.text), layout.text, row.where).strip()
        if not text:
            raise bad_row("caption_empty", f"the caption (column {layout.text!r}) is empty", row.where)
        image = image_value(row, layout.image) if images else None
        if source_id in self._seen:
            message = f"the id {shortened(source_id)} stands at {self._seen[source_id]} already"
            raise bad_row("id_duplicate", message, row.where, "the first row is used")
        self._seen[source_id] = row.where
        return Draft(row.number, source_id, text, image, row.where, split)

    def _split(self, row: RawRow) -> str | None:
        layout = self.layout
        if layout.split is None:
            return layout.fixed
        if layout.wanted is None and layout.split not in row.values:
            return None
        return _name(row, layout.split) or None


def _value(row: RawRow, column: str) -> object:
    if column not in row.values:
        message = f"no column {column!r}; the columns here are: {quoted(row.values) or 'none'}"
        raise bad_row("column_missing", message, row.where)
    return row.values[column]


def _text(value: object, column: str, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if not isinstance(value, str):
        message = f"column {column!r} holds {kind_of(value)}, not a text"
        raise bad_row("value_not_text", message, where)
    try:
        value.encode()  # readers leave bytes that are not UTF-8 as lone surrogates
    except UnicodeEncodeError:
        message = f"column {column!r} holds what is not UTF-8 text"
        raise bad_row("row_not_utf8", message, where, "save the file as UTF-8") from None
    return value


def _name(row: RawRow, column: str) -> str:
    """An id or a split, which may be a whole number."""
    value = _value(row, column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(value, column, row.where).strip()


def image_value(row: RawRow, column: str) -> str | bytes:
    """What an image column holds: a path, or the bytes of an image.

    Accepted are a text, bytes, and the struct of bytes and path in which ``datasets`` keeps images.

    Raises:
        BadRowError: It holds neither.
    """
    value = _value(row, column)
    if isinstance(value, Mapping):
        parts = cast("Mapping[object, object]", value)
        data = parts.get("bytes")
        value = data if isinstance(data, bytes) else parts.get("path")
    if isinstance(value, bytes):
        return value
    path = _text(value, column, row.where).strip()
    if not path or "\0" in path:
        raise bad_row("image_unnamed", f"column {column!r} names no image file", row.where)
    if "://" in path or path.startswith("data:"):
        message = f"the image {shortened(path)} is a URL"
        raise bad_row("image_remote", message, row.where, "fetch the images first, and name their files")
    return path


def require_columns(table: Table, layout: Layout) -> None:
    """Refuse a table that lacks a column, or has it twice.

    Raises:
        DataError: It does; the message lists the columns that there are.
    """
    there = table.columns
    if there is None:
        return
    for column in layout.columns:
        if column not in there:
            remedy = "Set source.text_column, image_column and id_column (null numbers the rows) to columns."
            if len(there) == 1 and ";" in there[0]:
                remedy = "It seems to be separated by semicolons; save it with commas."
            raise DataError(
                f"{table.name} has no column {column!r}; its columns are: {quoted(there)}.", remedy
            )
        if list(there).count(column) > 1:
            raise DataError(f"{table.name} has several columns {column!r}.", "Give each its own name.")
