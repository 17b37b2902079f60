"""The folder of one run, and nothing about what its records mean.

::

    run.json                  RunInfo
    items/<benchmark>.jsonl   Item, one a line, in the benchmark's order
    rows/<benchmark>.jsonl    Row, one a line
    journal.sqlite            responses as they came in
    images/<sha256>.webp      small copies of the pictures, for the report
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from lpt_core import ConfigError, DataError, Record, StoreError
from lpt_eval.records import Item, Row, RunInfo

_R = TypeVar("_R", bound=Record)
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


class RunFolder:
    """Reads and writes a run's folder; every file is whole or not there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path / "journal.sqlite"
        self.images = path / "images"

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """A folder that has a run.

        Raises:
            ConfigError: It has none.
        """
        if not (path / "run.json").is_file():
            raise ConfigError(f"{path} is no run of lpt-eval: it has no run.json.")
        return cls(path)

    def info(self) -> RunInfo:
        """What the run was.

        Raises:
            DataError: ``run.json`` cannot be read.
        """
        path = self.path / "run.json"
        return _record(RunInfo, _bytes(path), str(path))

    def items(self, benchmark: str) -> list[Item]:
        """The items of a benchmark, in its order.

        Raises:
            DataError: The file cannot be read; the line is named.
        """
        return _lines(Item, self._file("items", benchmark))

    def rows(self, benchmark: str) -> list[Row]:
        """The rows of a benchmark; none where nothing has been scored.

        Raises:
            DataError: The file cannot be read; the line is named.
        """
        path = self._file("rows", benchmark)
        return _lines(Row, path) if path.exists() else []

    def picture(self, sha256: str) -> Path:
        """Where the small copy of a picture lies, if there is one.

        Args:
            sha256: Digest of the picture's own file.
        """
        return self.images / f"{sha256}.webp"

    def write_info(self, info: RunInfo) -> None:
        """Write ``run.json``.

        Raises:
            StoreError: It cannot be written.
        """
        _write(self.path / "run.json", info.model_dump_json(indent=2) + "\n")

    def write_items(self, benchmark: str, items: Iterable[Item]) -> None:
        """Write the items of a benchmark.

        Raises:
            StoreError: They cannot be written.
        """
        _write(self._file("items", benchmark), _jsonl(items))

    def write_rows(self, benchmark: str, rows: Iterable[Row]) -> None:
        """Write the rows of a benchmark, sorted as no clock decides: by item, shuffle and sample.

        Raises:
            StoreError: They cannot be written.
        """
        ordered = sorted(rows, key=lambda row: (row.item_id, row.shuffle, row.sample))
        _write(self._file("rows", benchmark), _jsonl(ordered))

    def _file(self, kind: str, benchmark: str) -> Path:
        if not _NAME.fullmatch(benchmark):
            raise ConfigError(f"{benchmark!r} cannot be a benchmark's name: letters, digits, '.', '_', '-'.")
        return self.path / kind / f"{benchmark}.jsonl"


def _jsonl(records: Iterable[Record]) -> str:
    return "".join(record.model_dump_json() + "\n" for record in records)


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}.") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _lines(kind: type[_R], path: Path) -> list[_R]:
    lines = _bytes(path).split(b"\n")
    return [_record(kind, line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line]


def _record(kind: type[_R], data: bytes, where: str) -> _R:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        detail = error.errors()[0]
        field = ".".join(map(str, detail["loc"]))
        message = f"{field}: {detail['msg']}" if field else detail["msg"]
        raise DataError(f"{where}: not a record of {kind.__name__}: {message}.") from None
