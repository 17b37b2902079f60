"""How a quota is spread over the questions, in one pass and a few bytes per candidate.

Within its question every candidate has a depth: its place in the question's order. A quota takes all
candidates of depth 0, then all of depth 1, and so on, so that every question gets its share before any
gets another. At the depth where the quota ends, the questions with the smallest hashes win. What is taken
is therefore told by two numbers, a depth and a hash, and a second pass over the data needs nothing else.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lpt_core import derived_int


def question_hash(seed: int, scope: str, question: str) -> int:
    """The number by which questions compete for the last places of a quota."""
    return derived_int(seed, "place", scope, question, bits=64)


@dataclass(frozen=True, slots=True)
class Cut:
    """What a quota takes: all candidates above a depth, and at that depth up to a hash.

    Attributes:
        depth: Candidates of a smaller depth are all taken.
        hash: At this depth, candidates of questions whose hash is at most this are taken; -1 for none.
    """

    depth: int
    hash: int = -1

    def count(self, question: int, candidates: int) -> int:
        """How many of a question's candidates are taken: so many from the start of their order.

        Args:
            question: The question's hash.
            candidates: How many it has.
        """
        return min(candidates, self.depth + (question <= self.hash))


class Pool:
    """The candidates of one class over all questions, as counted by the first pass.

    It holds nine bytes per candidate and knows nothing else of them.
    """

    def __init__(self) -> None:
        self._hashes: list[array[int]] = []
        self._labels: list[bytearray] = []

    def add(self, question: int, labels: Sequence[int]) -> None:
        """Count the candidates of one question.

        Args:
            question: The question's hash.
            labels: One small number (below 256) per candidate, in the question's order.
        """
        while len(self._hashes) < len(labels):
            self._hashes.append(array("Q"))
            self._labels.append(bytearray())
        for depth, label in enumerate(labels):
            self._hashes[depth].append(question)
            self._labels[depth].append(label)

    def merge(self, other: Pool) -> None:
        """Count the candidates of another pool of the same class, of other questions."""
        for depth, (hashes, labels) in enumerate(zip(other._hashes, other._labels, strict=True)):
            if depth == len(self._hashes):
                self._hashes.append(array("Q"))
                self._labels.append(bytearray())
            self._hashes[depth].extend(hashes)
            self._labels[depth].extend(labels)

    def __len__(self) -> int:
        return sum(map(len, self._hashes))

    def cut(self, quota: int | None) -> Cut:
        """What a quota of so many takes; ``None`` takes all, and a quota beyond the pool is no error."""
        if quota is None or quota >= len(self):
            return Cut(len(self._hashes))
        left = quota
        for depth, hashes in enumerate(self._hashes):
            if left < len(hashes):
                return Cut(depth, sorted(hashes)[left - 1] if left else -1)
            left -= len(hashes)
        raise AssertionError("a quota smaller than the pool ends at some depth")

    def taken(self, cut: Cut) -> Counter[int]:
        """How many candidates of each label a cut takes."""
        counts: Counter[int] = Counter()
        for depth, (hashes, labels) in enumerate(zip(self._hashes, self._labels, strict=True)):
            if depth < cut.depth:
                counts.update(labels)
            elif depth == cut.depth:
                counts.update(lab for h, lab in zip(hashes, labels, strict=True) if h <= cut.hash)
        return counts

    @property
    def labels(self) -> Counter[int]:
        """How many candidates of each label there are."""
        return self.taken(Cut(len(self._hashes)))
