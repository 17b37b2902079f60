"""The records to train on, read from JSON lines as lpt-synth writes and exports them.

Nothing is skipped: a line that is no record, or that has a column which no record has, is a problem. The
images' paths start at the file's folder, and are made absolute.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from lpt_core import (
    DataError,
    ImagePart,
    ImageRef,
    Message,
    PreferencePair,
    Problem,
    PromptExample,
    SFTExample,
)

RecordT = TypeVar("RecordT", SFTExample, PreferencePair, PromptExample)

_SHOWN = 8  # problems in a message
_BOM = b"\xef\xbb\xbf"
_KINDS = {"extra_forbidden": "unknown_column", "missing": "missing_column", "json_invalid": "not_json"}


@dataclass(frozen=True, slots=True)
class Row(Generic[RecordT]):
    """A record and the line that it stands on, from 1."""

    line: int
    record: RecordT


@dataclass(slots=True)
class Scan(Generic[RecordT]):
    """A file as far as it can be read.

    Attributes:
        path: The file.
        rows: The records, in their order.
        problems: Why the other lines are none: ``not_json``, ``duplicate_key``, ``unknown_column``,
            ``missing_column``, ``wrong_record`` or ``bad_value``, with file, line and field.
        lines: How many lines there are that are not blank.
    """

    path: Path
    rows: list[Row[RecordT]] = field(default_factory=list[Row[RecordT]])
    problems: list[Problem] = field(default_factory=list[Problem])
    lines: int = 0

    def where(self, row: Row[RecordT]) -> str:
        """File and line of a row."""
        return f"{self.path}:{row.line}"


def read_sft(path: Path) -> list[SFTExample]:
    """All SFT examples of a file, with absolute image paths.

    Raises:
        DataError: The file cannot be read, is empty, or has lines that are no SFT example.
    """
    return checked(scan_sft(path))


def read_pairs(path: Path) -> list[PreferencePair]:
    """All preference pairs of a file, with absolute image paths.

    Raises:
        DataError: The file cannot be read, is empty, or has lines that are no preference pair.
    """
    return checked(scan_pairs(path))


def read_prompts(path: Path) -> list[PromptExample]:
    """All prompts of a file, with absolute image paths.

    Raises:
        DataError: The file cannot be read, is empty, or has lines that are no prompt.
    """
    return checked(scan_prompts(path))


def scan_sft(path: Path) -> Scan[SFTExample]:
    """The SFT examples of a file and what else it holds.

    Raises:
        DataError: The file cannot be read.
    """
    return _scan(path, SFTExample)


def scan_pairs(path: Path) -> Scan[PreferencePair]:
    """The preference pairs of a file and what else it holds.

    Raises:
        DataError: The file cannot be read.
    """
    return _scan(path, PreferencePair)


def scan_prompts(path: Path) -> Scan[PromptExample]:
    """The prompts of a file and what else it holds.

    Raises:
        DataError: The file cannot be read.
    """
    return _scan(path, PromptExample)


def holds_pairs(path: Path) -> bool:
    """Whether a file's first record is a preference pair, told by its columns.

    Raises:
        DataError: The file cannot be read.
    """
    return _first_has(path, "chosen")


def holds_prompts(path: Path) -> bool:
    """Whether a file's first record is a prompt, told by its columns.

    Raises:
        DataError: The file cannot be read.
    """
    return _first_has(path, "presentation")


def _first_has(path: Path, column: str) -> bool:
    for _, text in _lines(path):
        try:
            value: object = json.loads(text)
        except (ValueError, RecursionError):
            continue
        return isinstance(value, dict) and column in value
    return False


def checked(scan: Scan[RecordT]) -> list[RecordT]:
    """The records of a file all of which can be read.

    Raises:
        DataError: It is empty, or has lines that are no such record.
    """
    if scan.problems:
        first = "\n".join(f"  {problem}" for problem in scan.problems[:_SHOWN])
        more = len(scan.problems) - _SHOWN
        rest = f"\n  and {more} more" if more > 0 else ""
        raise DataError(
            f"{scan.path} cannot be trained on:\n{first}{rest}",
            "`lpt-train lint` lists all; export the sets again, or take these lines out",
        )
    if not scan.rows:
        raise DataError(f"{scan.path} holds no records.", "export sets that are not empty")
    return [row.record for row in scan.rows]


def _scan(path: Path, kind: type[RecordT]) -> Scan[RecordT]:
    scan: Scan[RecordT] = Scan(path)
    folder = path.resolve().parent
    for number, text in _lines(path):
        scan.lines += 1
        where = f"{path}:{number}"
        twice = _duplicate_keys(text)
        if twice:
            scan.problems.append(Problem("duplicate_key", f"{twice} stands twice in this record", where))
            continue
        try:
            record = kind.model_validate_json(text)
        except ValidationError as error:
            scan.problems += _problems(error, kind, text, where)
        else:
            scan.rows.append(Row(number, resolved(record, folder)))
    return scan


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                text = line.removeprefix(_BOM) if number == 1 else line
                if text.strip():
                    yield number, text
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}.",
            "give a file that `lpt-synth export --format jsonl` (for GRPO: prompts) or a run's sets/ holds",
        ) from None


def _duplicate_keys(text: bytes) -> str:
    """A key that an object of the line has twice: JSON readers take the last one and say nothing."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            found.extend(key for key in made if keys.count(key) > 1)
        return made

    try:
        json.loads(text, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return ""  # what is wrong with it, pydantic says
    return found[0] if found else ""


def _problems(error: ValidationError, kind: type[RecordT], text: bytes, where: str) -> list[Problem]:
    found = [
        Problem(
            _KINDS.get(fault["type"], "bad_value"),
            f"{fault['msg']}",
            f"{where}:{'.'.join(map(str, fault['loc']))}" if fault["loc"] else where,
        )
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    other = _other_kind(kind, text)
    if other:
        wanted = kind.__name__
        return [Problem("wrong_record", f"this is {other}, and {wanted} is wanted here", where)]
    return found


def _other_kind(kind: type[RecordT], text: bytes) -> str:
    """Name of the record that the line is instead."""
    for other in (SFTExample, PreferencePair, PromptExample):
        if other is not kind:
            try:
                return type(other.model_validate_json(text)).__name__
            except ValidationError:
                continue
    return ""


def resolved(record: RecordT, folder: Path) -> RecordT:
    """The record with image paths that start at a folder made absolute."""

    def moved(image: ImageRef) -> ImageRef:
        return image.model_copy(update={"path": str(folder / image.path)})

    def message(old: Message) -> Message:
        content = tuple(
            ImagePart(image=moved(part.image)) if isinstance(part, ImagePart) else part
            for part in old.content
        )
        return old.model_copy(update={"content": content})

    return record.model_copy(
        update={"image": moved(record.image), "prompt": tuple(map(message, record.prompt))}
    )
