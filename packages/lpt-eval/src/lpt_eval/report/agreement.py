"""Whether the option that a thought names last is the one that is answered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

from lpt_core import read_choice, split_thought
from lpt_core.plain import loose
from lpt_eval.records import Item, Row

Agreement = Literal["both right", "both wrong", "thought right", "answer right", "neither", "unclear"]

AGREEMENTS: dict[Agreement, str] = {
    "both right": "agree, right",
    "both wrong": "agree, wrong",
    "answer right": "answer right, thought named another",
    "thought right": "thought named the right one, answer wrong",
    "neither": "differ, both wrong",
    "unclear": "the thought ends on no single option",
}
"""What can be, in words."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_SENTENCES = 4
_LONGEST = 600
_WORDLESS = frozenset({"yes", "no", "not", "none", "the", "and"})
_INTERJECTION = re.compile(r"(?:(?:wait|hm+|no|yes|well|oh|actually|okay|ok)[,;:]\s*)+", re.IGNORECASE)
_LABEL = re.compile(r"[(\[] ?[A-Ja-j] ?[)\]]")
_DENIAL = re.compile(r"\b(?:not|no|never|neither|nor|except|cannot|wrong|incorrect|instead of)\b|n't\b")


def last_named(thought: str, options: Sequence[str]) -> int | None:
    """The place of the option that the end of a thought names.

    The last four sentences are read from the end. In each, lpt-core's reader of answers comes first ("so it
    is (B)", "the answer is: red"); where it finds nothing, the text of exactly one option among the words is
    taken ("the square is red"), unless the sentence denies something. A sentence that names several options,
    or one in a way that cannot be read, ends the search: nothing is guessed.

    Args:
        thought: What a model wrote; never makes this raise.
        options: In the order shown.
    """
    sentences = [part.strip() for part in _SENTENCE.split(thought.strip()) if part.strip()]
    for sentence in reversed(sentences[-_SENTENCES:]):
        said = _INTERJECTION.match(sentence)  # "No, it is (B)" denies what stood before
        end = sentence[said.end() if said else 0 :][-_LONGEST:]
        choice = read_choice(end, options)
        if choice.status == "found":
            return choice.option
        if choice.status == "ambiguous":
            return None
        words = loose(end)
        found = _mentioned(words, tuple(options))
        if len(found) == 1 and not _DENIAL.search(words):
            return found.pop()
        if found or _LABEL.search(end):
            return None
    return None


def _mentioned(words: str, options: tuple[str, ...]) -> set[int]:
    """The options whose texts stand in a sentence, the longest where one is part of another."""
    places, pattern = _pattern(options)
    return {places[text] for text in pattern.findall(words)} if pattern else set()


@lru_cache(maxsize=1024)
def _pattern(options: tuple[str, ...]) -> tuple[dict[str, int], re.Pattern[str] | None]:
    texts = [loose(option) for option in options]
    places = {
        text: place
        for place, text in enumerate(texts)
        if len(text) > 2 and text not in _WORDLESS and texts.count(text) == 1
    }
    words = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
    return places, re.compile(rf"(?<!\w)(?:{words})(?!\w)") if words else None


def agreement(row: Row, item: Item) -> Agreement | None:
    """How thought and answer go together; None without a thought or an answer."""
    if row.place is None:
        return None
    thought = split_thought(row.whole).thought
    if not thought:
        return None
    named = last_named(thought, item.shown(row.shuffle).shown(item.mcq))
    if named is None:
        return "unclear"
    if named == row.place:
        return "both right" if row.outcome == "correct" else "both wrong"
    if row.outcome == "correct":
        return "answer right"
    return "thought right" if named == row.gold_place else "neither"


def agreements(rows: Iterable[Row], items: Mapping[str, Item]) -> Counter[Agreement]:
    """How often each is so."""
    counted = Counter[Agreement]()
    for row in rows:
        if (found := agreement(row, items[row.item_id])) is not None:
            counted[found] += 1
    return counted
