"""Tables in Arrow's format, as Parquet files and ``datasets`` have them; pyarrow is untyped, hence Any."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from lpt_core import DataError, MissingExtraError
from lpt_synth.image_files import printable
from lpt_synth.sources.rows import RawRow

BATCH = 64
"""Rows read at once: few, for they may hold images."""


class ParquetTable:
    """A Parquet file, read in batches. A row's ``where`` is its number."""

    def __init__(self, path: Path) -> None:
        try:
            self._parquet: Any = import_module("pyarrow.parquet")
        except ImportError as error:
            raise MissingExtraError.of("lpt-synth", "parquet", "Reading Parquet") from error
        self.name = str(path)
        self._path = path
        with arrow_readable(self.name):
            self._schema: Any = self._parquet.read_schema(path)
        self.columns: Sequence[str] = list(self._schema.names)

    def embeds(self, column: str) -> bool:
        """Whether the column holds bytes, or structs with bytes."""
        return holds_bytes(self._schema, column)

    def rows(self, columns: Sequence[str]) -> Iterator[RawRow]:
        """All rows, with these columns alone."""
        with arrow_readable(self.name), self._parquet.ParquetFile(self._path, buffer_size=2**20) as file:
            yield from numbered(file.iter_batches(batch_size=BATCH, columns=list(columns)), self.name)


def holds_bytes(schema: Any, column: str) -> bool:
    """Whether a column of an Arrow schema holds bytes, or structs that may."""
    types: Any = import_module("pyarrow").types
    kind = schema.field(column).type
    return bool(types.is_struct(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def numbered(batches: Iterable[Any], name: str) -> Iterator[RawRow]:
    """The rows of record batches or Arrow tables, numbered from 1."""
    number = 0
    for batch in batches:
        for values in _dictionaries(batch):
            number += 1
            yield RawRow(number, f"{name} row {number}", values)


def _dictionaries(batch: Any) -> list[dict[str, object]]:
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        # Arrow does not check that its strings are UTF-8; one bad value must not spoil the others.
        columns = [_lenient(batch.column(place)) for place in range(batch.num_columns)]
        return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _lenient(column: Any) -> list[object]:
    """The values of a column, strings with lone surrogates where they are not UTF-8."""
    arrow: Any = import_module("pyarrow")
    if not (arrow.types.is_string(column.type) or arrow.types.is_large_string(column.type)):
        return column.to_pylist()
    raw: list[bytes | None] = column.cast(arrow.large_binary()).to_pylist()
    return [value if value is None else value.decode("utf-8", "surrogateescape") for value in raw]


@contextmanager
def arrow_readable(name: str) -> Generator[None, None, None]:
    """Say of which file or data set it was that Arrow could not read it.

    Raises:
        DataError: It could not.
    """
    arrow: Any = import_module("pyarrow")
    try:
        yield
    except (arrow.ArrowException, OSError, ValueError, OverflowError) as error:
        detail = printable(str(error).strip().partition("\n")[0])[:300]
        raise DataError(
            f"{name} cannot be read: {detail}", "Check that it was written whole, or write it again."
        ) from error
