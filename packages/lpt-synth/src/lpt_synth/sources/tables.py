"""Tables in files: JSON Lines, CSV and TSV, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from lpt_core import DataError, Problem
from lpt_synth.image_files import printable
from lpt_synth.sources.rows import RawRow, Table
from lpt_synth.sources.words import kind_of

JSON_ENDINGS = (".jsonl", ".jsonlines", ".ndjson")
ENDINGS = (*JSON_ENDINGS, ".csv", ".tsv", ".parquet")
"""File endings of tables, in lower case."""

_BOM = b"\xef\xbb\xbf"


def open_table(path: Path) -> Table:
    """The table in a file, of the kind that the file's ending says.

    Raises:
        DataError: The file is not there, cannot be read, or has another ending.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    existing_file(path)
    ending = path.suffix.lower()
    if ending in JSON_ENDINGS:
        return JsonLines(path)
    if ending in (".csv", ".tsv"):
        return SeparatedValues(path, "\t" if ending == ".tsv" else ",")
    if ending == ".parquet":
        from lpt_synth.sources.arrow import ParquetTable

        return ParquetTable(path)
    raise DataError(
        f"{path} is no kind of table that is read here, which are: {', '.join(ENDINGS)}.",
        "Save the captions as one of them; a list in one JSON file as JSON Lines, an object a line.",
    )


def existing_file(path: Path) -> None:
    """Refuse a path at which there is no file.

    Raises:
        DataError: It is not there, or is a folder.
    """
    with readable(path):
        if not path.exists():
            raise DataError(f"{printable(path)} does not exist.", "Check the path in source.captions.")
        if not path.is_file():
            raise DataError(f"{printable(path)} is not a file.", "Name the file of the captions.")


@contextmanager
def readable(path: Path) -> Generator[None, None, None]:
    """Say of which file it was that the operating system could not read it.

    Raises:
        DataError: It could not.
    """
    try:
        yield
    except OSError as error:
        message = f"{printable(path)} cannot be read: {error.strerror or error}."
        raise DataError(message, "Check the path and who may read it.") from error


def _refuse_utf_16(path: Path) -> None:
    with readable(path), path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(f"{path} is UTF-16 (or UTF-32) text.", "Save it as UTF-8.")


class JsonLines:
    """A JSON object a line. A row's ``where`` is its line."""

    columns = None

    def __init__(self, path: Path) -> None:
        _refuse_utf_16(path)
        self.name = str(path)
        self._path = path

    def embeds(self, column: str) -> bool:
        """JSON holds no bytes."""
        return False

    def rows(self, columns: Sequence[str]) -> Iterator[RawRow | Problem]:
        """All rows, each with the keys that it has. Empty lines are none."""
        number = 0
        with readable(self._path), self._path.open("rb") as file:
            for line, raw in enumerate(file, 1):
                raw = raw.removeprefix(_BOM) if line == 1 else raw
                if raw.strip():
                    number += 1
                    yield _json_row(raw, number, f"{self.name}:{line}")


def _json_row(raw: bytes, number: int, where: str) -> RawRow | Problem:
    try:
        value: object = json.loads(raw.decode())
    except UnicodeDecodeError as error:
        message = f"byte {error.start + 1} of the line is not UTF-8"
        return Problem("row_not_utf8", message, where=where, remedy="save the file as UTF-8")
    except (ValueError, RecursionError) as error:
        return Problem("row_unreadable", f"not JSON: {printable(str(error))[:200]}", where=where)
    if not isinstance(value, dict):
        return Problem("row_unreadable", f"{kind_of(value)}, not an object in braces", where=where)
    return RawRow(number, where, cast("dict[str, object]", value))


class SeparatedValues:
    """CSV or TSV with a line of headings, quoted as spreadsheets do it; every value is text.

    A row's ``where`` is the line on which it begins; quoted values may hold line breaks.
    """

    def __init__(self, path: Path, delimiter: str) -> None:
        _refuse_utf_16(path)
        self.name = str(path)
        self._path = path
        self._delimiter = delimiter
        self.columns: Sequence[str] = self._headings()

    def embeds(self, column: str) -> bool:
        """CSV holds no bytes."""
        return False

    def _headings(self) -> list[str]:
        with readable(self._path), self._open() as file:
            try:
                headings = next(csv.reader(file, delimiter=self._delimiter, strict=True), None)
            except csv.Error as error:
                raise DataError(
                    f"{self.name}:1: the line of headings cannot be read: {error}.", "Mend it."
                ) from error
        if not headings:
            message = f"{self.name} is empty: it has no line of headings."
            raise DataError(message, "Give a file whose first line names its columns.")
        return [heading.strip() for heading in headings]

    def _open(self) -> TextIO:
        # Bytes that are not UTF-8 become lone surrogates, so that they spoil their own row alone.
        return self._path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")

    def rows(self, columns: Sequence[str]) -> Iterator[RawRow | Problem]:
        """All rows, each with all columns. Empty lines are none."""
        number = 0
        with readable(self._path), self._open() as file:
            reader = csv.reader(file, delimiter=self._delimiter, strict=True)
            next(reader)
            while True:
                begin = reader.line_num + 1
                try:
                    fields = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    number += 1
                    yield self._unreadable(begin, reader.line_num, error)
                    continue
                if fields:
                    number += 1
                    yield self._row(fields, number, f"{self.name}:{begin}")

    def _row(self, fields: list[str], number: int, where: str) -> RawRow | Problem:
        if len(fields) != len(self.columns):
            message = f"{len(fields)} values for {len(self.columns)} columns"
            remedy = "put values that hold a separator in double quotes"
            return Problem("row_unreadable", message, where=where, remedy=remedy)
        return RawRow(number, where, dict(zip(self.columns, fields, strict=True)))

    def _unreadable(self, begin: int, end: int, error: csv.Error) -> Problem:
        lines = f", in lines {begin} to {end}, which are all lost" if end > begin else ""
        return Problem(
            "row_unreadable",
            f"not {'TSV' if self._delimiter != ',' else 'CSV'}: {error}{lines}",
            where=f"{self.name}:{begin}",
            remedy='close every double quote; one within a value is written ""',
        )
