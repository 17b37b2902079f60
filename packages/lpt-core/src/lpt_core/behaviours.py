"""Which cognitive behaviours a thought shows, told by its words.

The four behaviours are those of Gandhi et al., "Cognitive Behaviors that Enable Self-Improving Reasoners"
(arXiv 2503.01307), which LongPerceptualThoughts counts in thoughts about pictures:

- verification: what was said or proposed is checked: looked at, counted or read again, compared;
- backtracking: something that was said, assumed or begun is given up;
- subgoals: the task is split, or a step towards the answer is announced;
- backward chaining: from a possible answer to what would then have to be seen.

The paper's own way of labelling is not published. This classifier is lexical: it knows English phrases, not
what they mean, and a cue alone ("Wait,") is none of the four. How well it agrees with labelled thoughts is
measured in ``docs/reference/behaviours.md``; it is for comparing many thoughts, not for judging one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from lpt_core import behaviour_words

Behaviour = Literal["verification", "backtracking", "subgoals", "backward_chaining"]
BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)
BEHAVIOURS_VERSION = 1
"""Raised whenever some text is read differently than before."""

_TABLES: dict[Behaviour, behaviour_words.Table] = {
    "verification": behaviour_words.VERIFICATION,
    "backtracking": behaviour_words.BACKTRACKING,
    "subgoals": behaviour_words.SUBGOALS,
    "backward_chaining": behaviour_words.BACKWARD_CHAINING,
}
_SENTENCE = re.compile(r"[^.!?\n]*[.!?\n]*")
_SPACE = re.compile(r"\s*")
_APOSTROPHES = str.maketrans("’‘", "''")


@dataclass(frozen=True, slots=True)
class Sign:
    """A place where a thought shows a behaviour.

    Attributes:
        behaviour: Which.
        start: Where the words begin, in characters of the text.
        end: Where they end.
    """

    behaviour: Behaviour
    start: int
    end: int


def find_behaviours(text: str) -> tuple[Sign, ...]:
    """The signs of behaviours in a thought, in their order; at most one of each behaviour in a sentence.

    Time is linear in the text; no text raises.
    """
    return tuple(sorted(_signs(text), key=lambda sign: (sign.start, sign.end, sign.behaviour)))


def count_behaviours(text: str) -> dict[Behaviour, int]:
    """In how many sentences a thought shows each behaviour; all four are there, zeros too."""
    counts: dict[Behaviour, int] = dict.fromkeys(BEHAVIOURS, 0)
    for sign in _signs(text):
        counts[sign.behaviour] += 1
    return counts


def _signs(text: str) -> Iterator[Sign]:
    folded = _fold(text)
    words = _words()
    here = [word for word in words if word in folded]
    if not here:
        return
    for match in _SENTENCE.finditer(folded):
        begin = _SPACE.match(folded, match.start()).end()  # pyright: ignore[reportOptionalMemberAccess]
        sentence = folded[begin : match.end()]
        rules = {rule for word in here if word in sentence for rule in words[word]}
        if rules:
            yield from _of_sentence(sentence, begin, rules)


def _of_sentence(sentence: str, begin: int, rules: Iterable[Rule]) -> Iterator[Sign]:
    """The first sign of each behaviour in a sentence that stands at ``begin``."""
    first: dict[Behaviour, tuple[int, int]] = {}
    for behaviour, pattern in rules:
        if match := pattern.search(sentence):
            first[behaviour] = min(first.get(behaviour, match.span()), match.span())
    for behaviour, (start, end) in first.items():
        yield Sign(behaviour, begin + start, begin + end)


def _fold(text: str) -> str:
    """The text in small letters and of the same length, so that spans fit."""
    text = text.translate(_APOSTROPHES)
    folded = text.lower()
    if len(folded) == len(text):
        return folded
    return "".join(low if len(low := one.lower()) == 1 else one for one in text)


Rule = tuple[Behaviour, re.Pattern[str]]


@cache
def _words() -> dict[str, list[Rule]]:
    """The rules that a word may lead to; compiled when first needed, so that importing stays quick."""
    found: dict[str, list[Rule]] = {}
    for behaviour, table in _TABLES.items():
        for words, pattern in table:
            rule = (behaviour, re.compile(pattern))
            for word in words:
                found.setdefault(word, []).append(rule)
    return found
