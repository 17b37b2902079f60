"""What a report counts: fates of thoughts, yields, pass rates, lengths and behaviours, in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lpt_core import BEHAVIOURS, Behaviour, SFTKind, count_behaviours, find_behaviours
from lpt_synth.types import LongNode, MCQNode, ShortNode

Which = Literal["short", "added", "final"]
WHICH: tuple[Which, ...] = ("short", "added", "final")
"""A short thought; what a continuation added to it, the cue among it; both together."""

OTHER = "other"
"""The type of questions for which the asker named none."""


@dataclass(slots=True)
class Lengths:
    """How long thoughts are, in words: how many there are of each length."""

    words: Counter[int] = field(default_factory=Counter[int])

    def quantile(self, share: float) -> int:
        """The length that this share of thoughts does not exceed; 0 where there are none."""
        left = share * self.words.total()
        for length in sorted(self.words):
            left -= self.words[length]
            if left <= 0:
                return length
        return 0

    @property
    def mean(self) -> float:
        """The mean; 0 where there are none."""
        return sum(length * n for length, n in self.words.items()) / max(self.words.total(), 1)


@dataclass(slots=True)
class Shown:
    """In how many thoughts each behaviour is seen, and in how many places."""

    thoughts: int = 0
    having: Counter[Behaviour] = field(default_factory=Counter[Behaviour])
    places: Counter[Behaviour] = field(default_factory=Counter[Behaviour])

    def add(self, counts: Mapping[Behaviour, int]) -> None:
        """Count one thought."""
        self.thoughts += 1
        for behaviour in BEHAVIOURS:
            self.having[behaviour] += counts[behaviour] > 0
            self.places[behaviour] += counts[behaviour]


@dataclass(slots=True)
class TypeYield:
    """What came of the questions of one type."""

    questions: int = 0
    short: int = 0
    short_read: int = 0
    short_right: int = 0
    long: int = 0
    long_read: int = 0
    long_right: int = 0
    wrong_continued: int = 0
    turned_right: int = 0
    sft: int = 0
    pairs: int = 0

    def add(self, other: TypeYield) -> None:
        """Add another's counts."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def fate(node: ShortNode | LongNode) -> str:
    """Where a thought ended: "right" or "wrong" if it can be used, else what took it first."""
    verdict = node.trace.verdict
    if verdict.status != "found":
        return verdict.status
    return node.dropped or ("right" if verdict.correct else "wrong")


def words(text: str) -> int:
    """The length of a text."""
    return len(text.split())


class Figures:
    """The counts of a run, question by question.

    Attributes:
        fates: Of short thoughts and of continuations, each counted once; see ``fate``.
        types: What came of the questions of each type.
        passes: Questions by (right, answered): how many of their short thoughts are right.
        lengths: Of thoughts that can be used.
        behaviours: Of thoughts that can be used.
    """

    def __init__(self) -> None:
        self.fates: dict[str, Counter[str]] = {"short": Counter(), "long": Counter()}
        self.types: dict[str, TypeYield] = {}
        self.passes: Counter[tuple[int, int]] = Counter()
        self.lengths: dict[Which, Lengths] = {which: Lengths() for which in WHICH}
        self.behaviours: dict[Which, Shown] = {which: Shown() for which in WHICH}

    def type_of(self, node: MCQNode) -> TypeYield:
        """The yields of a question's type."""
        return self.types.setdefault(node.mcq.kind or OTHER, TypeYield())

    def add_question(self, node: MCQNode) -> None:
        """Count a question; its thoughts are counted for themselves."""
        self.type_of(node).questions += 1
        if node.shorts:
            right = sum(short.trace.verdict.correct for short in node.shorts)
            self.passes[right, len(node.shorts)] += 1

    def add_short(self, node: MCQNode, short: ShortNode) -> dict[Behaviour, int]:
        """Count a short thought.

        Returns:
            Its behaviours.
        """
        verdict, kind = short.trace.verdict, self.type_of(node)
        kind.short += 1
        kind.short_read += verdict.status == "found"
        kind.short_right += verdict.correct
        ended = fate(short)
        self.fates["short"][ended] += 1
        shown = count_behaviours(short.trace.thought)
        if ended in ("right", "wrong"):
            self.lengths["short"].words[words(short.trace.thought)] += 1
            self.behaviours["short"].add(shown)
        return shown

    def add_long(
        self, node: MCQNode, short: ShortNode, long: LongNode, before: Mapping[Behaviour, int]
    ) -> Mapping[Behaviour, int]:
        """Count a continuation.

        Args:
            node: The question.
            short: The thought that it continues.
            long: The continuation.
            before: Behaviours of the short thought.

        Returns:
            The behaviours of what it added.
        """
        verdict, kind = long.trace.verdict, self.type_of(node)
        kind.long += 1
        if verdict.status == "found":
            kind.long_read += 1
            kind.long_right += verdict.correct
            if not short.trace.verdict.correct:
                kind.wrong_continued += 1
                kind.turned_right += verdict.correct
        ended = fate(long)
        self.fates["long"][ended] += 1
        cue = long.trace.segments[1].text
        added = "".join(segment.text for segment in long.trace.segments[1:])
        # No model wrote the cue: "Let's double-check the details." shows nothing by itself.
        signs = find_behaviours(added)
        shown = Counter[Behaviour](sign.behaviour for sign in signs if sign.end > len(cue))
        if ended in ("right", "wrong"):
            self.lengths["added"].words[words(added)] += 1
            self.lengths["final"].words[words(long.trace.thought)] += 1
            self.behaviours["added"].add(shown)
            self.behaviours["final"].add({name: before[name] + shown[name] for name in BEHAVIOURS})
        return shown

    def add_example(self, kind: str) -> None:
        """Count an SFT example of a question of this type."""
        self.types[kind].sft += 1

    def add_pair(self, kind: str) -> None:
        """Count a preference pair of a question of this type."""
        self.types[kind].pairs += 1

    def total(self) -> TypeYield:
        """The yields over all types."""
        total = TypeYield()
        for one in self.types.values():
            total.add(one)
        return total


SFT_KINDS: tuple[SFTKind, ...] = ("short_right", "right_right", "wrong_right")
