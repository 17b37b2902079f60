"""The funnel: what came in, what each step took, what is left. Counted, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_NAMES: tuple[tuple[str, str], ...] = (
    ("source.rows", "rows of the source that can be read"),
    ("source.rejected.*", "rows dropped: {}"),
    ("source.waiting", "rows not begun yet"),
    ("source.captions", "captions with an image"),
    ("ask.requested", "asked for questions"),
    ("ask.failed", "questions given up on"),
    ("reformat.requested", "answers sent through the second call"),
    ("mcq.rejected.*", "questions dropped: {}"),
    ("mcq.kept", "questions"),
    ("think.requested", "short thoughts asked for"),
    ("think.failed", "short thoughts given up on"),
    ("think.answered", "short thoughts answered"),
    ("short.status.*", "short thoughts whose answer is {}"),
    ("short.correct", "short thoughts that are right"),
    ("short.dropped.*", "short thoughts dropped: {}"),
    ("expand.requested", "continuations asked for"),
    ("expand.failed", "continuations given up on"),
    ("expand.answered", "continuations answered"),
    ("long.status.*", "continuations whose answer is {}"),
    ("long.correct", "continuations that end right"),
    ("long.right_right", "right thoughts that stayed right"),
    ("long.wrong_right", "wrong thoughts turned right"),
    ("long.wrong_wrong", "wrong thoughts that stayed wrong"),
    ("long.right_wrong", "right thoughts turned wrong"),
    ("long.dropped.*", "continuations dropped: {}"),
    ("judge.requested", "continuations judged"),
    ("judge.*", "judged: {}"),
    ("select.*", "{}"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the funnel."""

    key: str
    label: str
    count: int


def funnel(tally: Mapping[str, int]) -> list[Step]:
    """The lines of a tally, in the order of the pipeline; counts of zero are left out."""
    steps: list[Step] = []
    taken: set[str] = set()
    for pattern, label in _NAMES:
        stem = pattern.removesuffix("*")
        keys = [pattern] if stem == pattern else sorted(key for key in tally if key.startswith(stem))
        for key in keys:
            if key not in taken and tally.get(key):
                taken.add(key)
                what = key.removeprefix(stem).replace("_", " ").replace(".", ": ")
                steps.append(Step(key, label.format(what), tally[key]))
    return steps
