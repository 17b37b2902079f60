"""The SFT mix: the paper's three kinds of examples, in two pools (paper.md, "SFT mix")."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from lpt_core import SFTKind
from lpt_synth.config import SFTMix
from lpt_synth.select.order import weighted_order
from lpt_synth.select.question import Question, Thought

KINDS: tuple[SFTKind, ...] = ("short_right", "right_right", "wrong_right")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A thought that may become an SFT example.

    Attributes:
        kind: Of the example.
        thought: What it is made of.
        length: Characters by which it is ranked: of the whole thought, or of what was added to a wrong one.
    """

    kind: SFTKind
    thought: Thought
    length: int

    @property
    def id(self) -> str:
        """The trace's id."""
        return self.thought.trace.id


def right_pool(question: Question, mix: SFTMix, seed: int) -> list[Candidate]:
    """Right short thoughts and their right continuations, one pool for drawing, in the order of drawing."""
    candidates = [
        Candidate(kind, thought, len(thought.text)) for kind, thought in _right(question) if kind in mix.kinds
    ]
    return weighted_order(candidates, mix.length_base, seed, "sft.right")


def turned_count(question: Question, mix: SFTMix) -> int:
    """How many wrong thoughts were turned right, without putting them into an order."""
    return sum(1 for _ in _turned(question)) if "wrong_right" in mix.kinds else 0


def turned_pool(question: Question, mix: SFTMix, seed: int) -> list[Candidate]:
    """Wrong thoughts turned right, in the order of drawing: by what was added, not by the wrong part."""
    if "wrong_right" not in mix.kinds:
        return []
    candidates = [Candidate("wrong_right", long, long.added) for long in _turned(question)]
    return weighted_order(candidates, mix.length_base, seed, "sft.turned")


def right_quota(mix: SFTMix, pool: int) -> int:
    """How many right thoughts are kept of a pool of so many."""
    quota = math.ceil(_exact(mix.keep_right) * pool)
    return quota if mix.max_right is None else min(quota, mix.max_right)


def turned_quota(mix: SFTMix, right: int) -> int | None:
    """How many wrong thoughts turned right go with so many right examples; ``None`` for all.

    Where the recipe wants no right thoughts at all, there is nothing to be in proportion to: all.
    """
    if mix.turned_per_right is None or not {"short_right", "right_right"} & set(mix.kinds):
        return None
    return math.floor(_exact(mix.turned_per_right) * right)


def _exact(share: float) -> Fraction:
    """The decimal that a person wrote: 0.1 of 30 is 3, where the float's 0.1 would round up to 4."""
    return Fraction(repr(share))


def _right(question: Question) -> Iterator[tuple[SFTKind, Thought]]:
    for short in question.right:
        yield "short_right", short
        for long in short.longs:
            if long.right:
                yield "right_right", long


def _turned(question: Question) -> Iterator[Thought]:
    return (long for short in question.wrong for long in short.longs if long.right)
