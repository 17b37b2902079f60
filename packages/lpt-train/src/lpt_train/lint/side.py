"""One response of a row, seen by all checks alike: of an SFT example, or chosen, or rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lpt_core import ParsedAnswer, PreferencePair, ResponseSegment, SFTExample, parse_answer
from lpt_train.lint.prompts import shown_options

Name = Literal["response", "chosen", "rejected"]
THOUGHT_KINDS = frozenset({"thought", "cue", "continuation"})


@dataclass(frozen=True, slots=True)
class Side:
    """A response, what its row claims of it, and where it stands.

    Attributes:
        where: File, line and field.
        name: Which response of the row it is.
        continued: Whether by its kind it has a cue and a continuation; None where both may be.
        masked: Whether by its kind its first thought is wrong, and bears no loss.
        options: The options shown, None where they cannot be read.
    """

    where: str
    name: Name
    segments: tuple[ResponseSegment, ...]
    continued: bool | None
    masked: bool
    options: tuple[str, ...] | None

    @property
    def text(self) -> str:
        """The whole response."""
        return "".join(segment.text for segment in self.segments)

    @property
    def first_thought(self) -> str | None:
        """The first thought, None where there is none."""
        return next((segment.text for segment in self.segments if segment.kind == "thought"), None)

    @property
    def answer(self) -> ParsedAnswer | None:
        """What the response answers; None where the options are not known."""
        return None if self.options is None else parse_answer(self.text, self.options)


_CONTINUED: dict[str, tuple[bool | None, ...]] = {
    "short_right": (False,),
    "right_right": (True,),
    "wrong_right": (True,),
    "right_over_wrong": (False, False),
    "short_over_spoiled": (False, True),
    "turned_over_wrong": (True, None),
    "compact_over_long": (False, True),
}


def sides(record: SFTExample | PreferencePair, where: str) -> tuple[Side, ...]:
    """The responses of a row: one, or the chosen and the rejected one."""
    options = shown_options(record.prompt)
    claims = _CONTINUED[record.kind]
    if isinstance(record, SFTExample):
        masked = record.kind == "wrong_right"
        return (Side(f"{where}:response", "response", record.response, claims[0], masked, options),)
    masked = record.kind == "turned_over_wrong"
    return (
        Side(f"{where}:chosen", "chosen", record.chosen, claims[0], masked, options),
        Side(f"{where}:rejected", "rejected", record.rejected, claims[1], False, options),
    )
