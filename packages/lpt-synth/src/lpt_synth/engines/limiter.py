"""How many requests travel at once: grown while an endpoint copes, halved when it says stop (AIMD).

The limit starts low and doubles with each round of answers (slow start, as in TCP). At the first 429 it
is halved, and from then on it grows by one for each round. Requests that were sent before a cut say
nothing about the limit after it, so that one burst of refusals cuts once, however many they are.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count

START = 16
"""Requests at once before anything is known about an endpoint."""

CUT = 0.5
"""What a burst of refusals multiplies the limit by."""

CUT_WINDOW_S = 1.0
"""Seconds within which refusals belong to one burst, whenever their requests were sent."""


class Limiter:
    """Slots for requests, given out in the order of their tickets.

    A request that comes back after a failure keeps the ticket of its first attempt, and so goes before
    all requests that have not been sent at all.

    Args:
        ceiling: The most slots there ever are.
        clock: Seconds that only go forward.

    Attributes:
        in_flight: Slots taken now.
    """

    def __init__(self, ceiling: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.ceiling = ceiling
        self.in_flight = 0
        self._limit = float(min(ceiling, START))
        self._clock = clock
        self._slow_start = True
        self._cuts = 0
        self._cut_until = float("-inf")
        self._tickets = count()
        self._arrivals = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def limit(self) -> int:
        """How many slots there are now."""
        return int(self._limit)

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return sum(not future.done() for _, _, future in self._waiting)

    def ticket(self) -> int:
        """A place in the queue, behind all that were given before."""
        return next(self._tickets)

    async def acquire(self, ticket: int) -> int:
        """Wait for a slot. Returns what ``release`` must be given back."""
        if self.in_flight < self.limit and not self._waiting:
            self.in_flight += 1
            return self._cuts
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (ticket, next(self._arrivals), slot))
        # What waits may all have been cancelled, and then nobody else would come to hand out the slot.
        self._hand_out()
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self._give_up_slot()
            raise
        return self._cuts

    def release(self, cuts: int, *, throttled: bool = False, succeeded: bool = False) -> None:
        """Give a slot back, with what became of its request.

        Args:
            cuts: What ``acquire`` returned.
            throttled: The endpoint said that there are too many requests.
            succeeded: The endpoint answered.
        """
        if throttled:
            self._cut(cuts)
        elif succeeded and self.in_flight >= self.limit:
            # A limit that was not reached has not been tried, and does not grow.
            self._limit = min(self._limit + (1 if self._slow_start else 1 / self._limit), self.ceiling)
        self._give_up_slot()

    def _cut(self, cuts: int) -> None:
        now = self._clock()
        if cuts == self._cuts and now >= self._cut_until:
            self._limit = max(1.0, self._limit * CUT)
            self._slow_start = False
            self._cuts += 1
            self._cut_until = now + CUT_WINDOW_S

    def _give_up_slot(self) -> None:
        self.in_flight -= 1
        if self._waiting:
            self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self.in_flight < self.limit:
            slot = heapq.heappop(self._waiting)[2]
            if not slot.done():
                self.in_flight += 1
                slot.set_result(None)
