"""Which segment of a response a token is part of."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate

from lpt_core import ResponseSegment


@dataclass(frozen=True, slots=True)
class Owner:
    """What a stretch of a response is part of, whether it bears loss, and whether only some of it should."""

    region: str
    loss: bool
    straddles: bool


class SegmentMap:
    """Which segment each character of a response is in.

    Args:
        response: Segments, not all of them empty.
        full: All of a response bears loss of which anything does; one that is rejected still bears none.
    """

    def __init__(self, response: tuple[ResponseSegment, ...], *, full: bool) -> None:
        self._segments = [segment for segment in response if segment.text]
        self._ends = list(accumulate(len(segment.text) for segment in self._segments))
        everywhere = full and any(segment.loss for segment in self._segments)
        self._loss = [segment.loss or everywhere for segment in self._segments]
        self._whole = [
            Owner(segment.kind, loss, straddles=False)
            for segment, loss in zip(self._segments, self._loss, strict=True)
        ]

    @property
    def end_bears_loss(self) -> bool:
        """The end of the turn does where the text before it does."""
        return self._loss[-1]

    def of(self, start: int, end: int) -> Owner:
        """The owner of the characters from ``start`` to before ``end``.

        They bear loss if any of them does, and count as part of that segment, of those which bear loss
        as they do, that has most of them; of two that have as many, the later one.
        """
        last = len(self._segments) - 1
        first = min(bisect_right(self._ends, start), last)
        final = min(bisect_left(self._ends, end), last)
        if final <= first:
            return self._whole[first]
        touched = range(first, final + 1)
        loss = any(self._loss[place] for place in touched)
        alike = [place for place in touched if self._loss[place] == loss]
        owner = max(alike, key=lambda place: (self._shared(place, start, end), place))
        return Owner(self._segments[owner].kind, loss, straddles=len(alike) < len(touched))

    def _shared(self, place: int, start: int, end: int) -> int:
        """How many characters of a stretch are in a segment."""
        begin = self._ends[place - 1] if place else 0
        return min(end, self._ends[place]) - max(start, begin)
