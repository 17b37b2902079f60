"""Reading a run's sets, and what every format writes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import to_json

from lpt_core import DataError, Message, PreferencePair, PromptExample, ResponseSegment, SFTExample
from lpt_synth.export.images import ImageFolder

SFT_FILE, PAIRS_FILE, PROMPTS_FILE = "sft.jsonl", "pairs.jsonl", "prompts.jsonl"
"""The names of a run's sets, one record of lpt_core a line."""

RecordT = TypeVar("RecordT", SFTExample, PreferencePair, PromptExample)


@dataclass(slots=True)
class Contents:
    """What an export holds.

    Attributes:
        sft: SFT examples by kind.
        pairs: Preference pairs by kind.
        prompts: Questions to be answered, by kind; "other" where the asker named none.
        images: Image files by extension (".jpg").
        neutralised: Media placeholders in texts that were made harmless; see the format.
    """

    sft: Counter[str] = field(default_factory=Counter[str])
    pairs: Counter[str] = field(default_factory=Counter[str])
    prompts: Counter[str] = field(default_factory=Counter[str])
    images: Counter[str] = field(default_factory=Counter[str])
    neutralised: int = 0


@dataclass(frozen=True, slots=True)
class Format:
    """A format that a run's sets can be exported in.

    Attributes:
        title: Its name for people.
        write: Writes everything but the card: (sets, folder, images) -> contents.
        configs: The ``configs`` of the card's front matter: which files ``datasets`` loads, and how.
        notes: Paragraphs for the card: how the files are laid out and what to know of them.
    """

    title: str
    write: Callable[[Path, Path, ImageFolder], Contents]
    configs: Callable[[Contents], list[dict[str, Any]]]
    notes: str


def sft_examples(sets: Path) -> Iterator[SFTExample]:
    """The SFT examples of a run, one at a time.

    Raises:
        DataError: The file is missing, or a line is no such record.
    """
    return _read(sets / SFT_FILE, SFTExample)


def preference_pairs(sets: Path) -> Iterator[PreferencePair]:
    """The preference pairs of a run, one at a time.

    Raises:
        DataError: The file is missing, or a line is no such record.
    """
    return _read(sets / PAIRS_FILE, PreferencePair)


def prompt_examples(sets: Path) -> Iterator[PromptExample]:
    """The prompts of a run, one at a time.

    Raises:
        DataError: The file is missing, or a line is no such record.
    """
    return _read(sets / PROMPTS_FILE, PromptExample)


def response_text(segments: tuple[ResponseSegment, ...]) -> str:
    """A whole response."""
    return "".join(segment.text for segment in segments)


def message_rows(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    """Messages as role and text; images travel in a column of their own."""
    return [{"role": message.role, "content": message.text} for message in messages]


def dumps(row: Any) -> bytes:
    """A row as JSON on one line: UTF-8, no spaces, keys in their order, the same on every machine."""
    return to_json(row)


def _read(path: Path, record: type[RecordT]) -> Iterator[RecordT]:
    try:
        lines = path.open("rb")
    except OSError as error:
        raise DataError(
            f"the set {path} cannot be read: {error.strerror}.", "finish `lpt-synth run` first"
        ) from error
    with lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield record.model_validate_json(line)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                field = ".".join(map(str, first["loc"])) or "the line"
                raise DataError(
                    f"{path}, line {number}: {field}: {first['msg']}.",
                    "the sets were changed after the run; `lpt-synth run` writes them anew",
                ) from error
