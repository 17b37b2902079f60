"""The four kinds of preference pairs (paper.md, "Pairs"), each positive at most once.

The authors' code builds all combinations and keeps the first of each positive, which always is the same
kind and the same negative. Here every kind has a pool of its own; within it, positives come in an order
drawn from the seed, and the negatives open to them are dealt out in turn, so that each is used equally
often, to within one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lpt_core import PairKind, Trace
from lpt_synth.select.order import uniform_key
from lpt_synth.select.question import Question, Thought

KINDS: tuple[PairKind, ...] = (
    "right_over_wrong",
    "short_over_spoiled",
    "turned_over_wrong",
    "compact_over_long",
)


@dataclass(frozen=True, slots=True)
class Group:
    """Positives and the negatives that each of them may be set against; no negative is in two groups."""

    chosen: list[Thought]
    rejected: list[Thought]


def groups(kind: PairKind, question: Question, ratio: float) -> list[Group]:
    """What can be paired in a question. Each positive stands in one group, and in each group are both.

    Args:
        kind: Of the pairs.
        question: Its usable thoughts.
        ratio: How many times as long as the short thought the longer one must be, for compactness.
    """
    if kind == "compact_over_long":
        found = (_compact(short, ratio) for short in question.right)
    else:
        found = _BUILDERS[kind](question)
    return [group for group in found if group.chosen and group.rejected]


def pair_count(found: Iterable[Group]) -> int:
    """How many pairs these groups give: one for each positive."""
    return sum(len(group.chosen) for group in found)


def deal(kind: PairKind, found: Iterable[Group], seed: int, limit: int) -> list[tuple[Trace, Trace]]:
    """The first pairs of a question, (chosen, rejected), in an order drawn from the seed."""
    scope = f"pair.{kind}"
    entries = [(thought, group) for group in found for thought in group.chosen]
    entries.sort(key=lambda entry: uniform_key(seed, f"{scope}.chosen", entry[0].trace.id))
    dealt: dict[int, tuple[list[Thought], int]] = {}
    pairs: list[tuple[Trace, Trace]] = []
    for thought, group in entries[:limit]:
        hand, turn = dealt.get(id(group)) or (_shuffled(group.rejected, seed, scope), 0)
        pairs.append((thought.trace, hand[turn % len(hand)].trace))
        dealt[id(group)] = (hand, turn + 1)
    return pairs


def _shuffled(thoughts: list[Thought], seed: int, scope: str) -> list[Thought]:
    return sorted(thoughts, key=lambda thought: uniform_key(seed, f"{scope}.rejected", thought.trace.id))


def _right_over_wrong(question: Question) -> Iterable[Group]:
    yield Group(question.right, question.wrong)


def _short_over_spoiled(question: Question) -> Iterable[Group]:
    for short in question.right:
        yield Group([short], [long for long in short.longs if not long.right])


def _turned_over_wrong(question: Question) -> Iterable[Group]:
    for short in question.wrong:
        turned = [long for long in short.longs if long.right]
        yield Group(turned, [short, *(long for long in short.longs if not long.right)])


def _compact(short: Thought, ratio: float) -> Group:
    least = ratio * len(short.text)
    return Group([short], [long for long in short.longs if long.right and len(long.text) >= least])


_BUILDERS: dict[PairKind, Callable[[Question], Iterable[Group]]] = {
    "right_over_wrong": _right_over_wrong,
    "short_over_spoiled": _short_over_spoiled,
    "turned_over_wrong": _turned_over_wrong,
}
