"""Reading an answer out of what a model wrote.

A reading has a status and is never a guess: an answer that cannot be read is missing, ambiguous, off the
menu or truncated, and each is counted as what it is. No text makes a function of this module raise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from lpt_core.choices import read_choice
from lpt_core.schema import AnswerStatus

READER_VERSION = 1
"""Raised whenever some text is read differently than before; caches of readings depend on it."""

# The answers to one question are mostly a few letters, read again and again.
_read_choice = lru_cache(maxsize=4096)(read_choice)
_FLAGS = re.IGNORECASE | re.DOTALL
_THINK_START = re.compile(r"<think\s*>", _FLAGS)
_LAST_THINK_END = re.compile(r".*(</think\s*>)", _FLAGS)
_LAST_ANSWER_START = re.compile(r".*<answer\s*>", _FLAGS)
_ANSWER_END = re.compile(r"</answer\s*>", _FLAGS)


@dataclass(frozen=True, slots=True)
class SplitText:
    """A response in its parts.

    Attributes:
        thought: What stands between the first ``<think>`` and the last ``</think>``, stripped; None
            where the response never thinks.
        tail: What follows the thought.
        open: A thought was begun and not closed.
    """

    thought: str | None
    tail: str
    open: bool = False


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What a response answered.

    Attributes:
        status: found, missing (no answer tags, or nothing in them), ambiguous (several options, or
            letter and text contradict each other), off_menu (an option that is not there), truncated
            (the thought or the answer was begun and never closed).
        option: Place of the option among those shown, from 0; None unless found.
        raw: The text that was read, without its tags.
        thought: The thought, stripped; None where there is none.
        tail: What stands after the thought, stripped.
    """

    status: AnswerStatus
    option: int | None = None
    raw: str = ""
    thought: str | None = None
    tail: str = ""


def split_thought(text: str) -> SplitText:
    """Split a response at the last ``</think>``.

    A ``<think>`` after it begins a thought that is not closed, so that all of the response is thought.
    """
    start = _THINK_START.search(text)
    end = _LAST_THINK_END.match(text)
    if start and (end is None or _THINK_START.search(text, end.end())):
        return SplitText(text[start.end() :].strip(), "", open=True)
    if end is None:
        return SplitText(None, text)
    # A thought without its <think>: chat templates of reasoning models write it into the prompt.
    begin = start.end() if start and start.end() <= end.start(1) else 0
    return SplitText(text[begin : end.start(1)].strip(), text[end.end() :])


def parse_answer(text: str, options: Sequence[str]) -> ParsedAnswer:
    """Read the last ``<answer>`` after the last ``</think>``; what its text names, ``read_choice`` says.

    An option whose own text holds one of these tags can be answered by its letter alone.

    Args:
        text: The whole response, with the part that was prefilled.
        options: The texts of the options in the order in which they were shown.
    """
    split = split_thought(text)
    tail = split.tail.strip()
    if split.open:
        return ParsedAnswer("truncated", thought=split.thought)
    begun = _LAST_ANSWER_START.match(tail)
    if begun is None:
        return ParsedAnswer("missing", thought=split.thought, tail=tail)
    end = _ANSWER_END.search(tail, begun.end())
    if end is None:
        return ParsedAnswer("truncated", thought=split.thought, tail=tail)
    raw = tail[begun.end() : end.start()].strip()
    choice = _read_choice(raw, tuple(options))
    return ParsedAnswer(choice.status, choice.option, raw, split.thought, tail)
