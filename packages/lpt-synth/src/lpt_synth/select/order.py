"""In which order the candidates of one question are taken.

The paper draws without replacement with weight ``base ** rank``, rank 0 the longest (paper.md, "Length
weighting"). Weights like these underflow after some thousand ranks, so we draw in log space: with a
standard Gumbel number added to each log weight, sorting from the largest down *is* weighted sampling
without replacement (Gumbel-top-k), for any number of candidates. Each number depends on the seed and the
candidate's id alone, so that a subset of the captions chooses as the whole does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol, TypeVar

from lpt_core import derived_int, uniform


class Sized(Protocol):
    """What can be ordered: something with an id and a length."""

    @property
    def id(self) -> str:
        """Stable id, distinct among the candidates."""
        ...

    @property
    def length(self) -> int:
        """Length in characters."""
        ...


SizedT = TypeVar("SizedT", bound=Sized)


def weighted_order(candidates: Iterable[SizedT], base: float, seed: int, scope: str) -> list[SizedT]:
    """Sort candidates by a seeded draw that favours the long ones.

    Args:
        candidates: In any order; it does not matter.
        base: Weight of one rank against the next longer, in (0, 1]; 1 draws uniformly.
        seed: Of the run.
        scope: What is being drawn, so that two draws from the same candidates are independent.

    Returns:
        The order of drawing: the first ``k`` are a weighted sample of ``k`` without replacement.
    """
    ranked = sorted(candidates, key=lambda candidate: (-candidate.length, candidate.id))
    step = math.log(base)
    keyed = [
        (-(rank * step + _gumbel(seed, scope, candidate.id)), candidate.id, candidate)
        for rank, candidate in enumerate(ranked)
    ]
    keyed.sort(key=lambda entry: entry[:2])
    return [candidate for _, _, candidate in keyed]


def uniform_key(seed: int, scope: str, ident: str) -> tuple[int, str]:
    """A sort key that puts ids into an order drawn from the seed, all orders equally likely."""
    return derived_int(seed, scope, ident), ident


def _gumbel(seed: int, scope: str, ident: str) -> float:
    return -math.log(-math.log(uniform(seed, scope, ident)))
