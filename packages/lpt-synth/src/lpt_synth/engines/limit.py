"""How many requests travel at once to one server.

Where the server says how busy it is (``load``), the limit follows that: it doubles with each look while
nothing waits, until something does; then it is set to what the server works on and a little more, and grows
slowly where nothing waits any more. Sequences are not requests (``n`` makes several of one), so the limit is
changed by the ratio of what should be at the server to what is.

Where it says nothing: grown while it copes, halved when it says stop (AIMD). The limit doubles with each
round of answers (slow start, as in TCP); at the first 429 it is halved, and from then on it grows by one for
each round. Requests that were sent before a cut say nothing about the limit after it, so that one burst of
refusals cuts once, however many they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lpt_synth.engines.load import Load

START = 16
"""Requests at once before anything is known about a server."""

CUT = 0.5
"""What a burst of refusals multiplies the limit by."""

CUT_WINDOW_S = 1.0
"""Seconds within which refusals belong to one burst, whenever their requests were sent."""

FLOOR = 4
"""However much waits at a server, others' requests perhaps, so many of ours may."""

SLACK = 0.05
"""Of what a server works on, so much may wait: then it never runs out of work."""

CREEP = 1.05
"""What the limit grows by at each look once it is known where requests begin to wait."""

ROOMY = 0.9
"""A KV cache fuller than this is given no more sequences."""

FULL = 0.97
"""In a KV cache fuller than this nothing should wait: sequences are thrown out of it."""


class Limit:
    """The slots of one server.

    Args:
        ceiling: The most slots there ever are.
        clock: Seconds that only go forward.

    Attributes:
        in_flight: Slots taken now.
        left_out: The server is not to be asked, if there is another.
    """

    def __init__(self, ceiling: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.ceiling = ceiling
        self.in_flight = 0
        self.left_out = False
        self._limit = float(min(ceiling, START))
        self._clock = clock
        self._slow_start = True
        self._cuts = 0
        self._cut_until = float("-inf")
        self._guided = False
        self._reached = False
        self._crowded = False

    @property
    def limit(self) -> int:
        """How many slots there are now."""
        return int(self._limit)

    def take(self) -> int:
        """Take a slot. Returns what ``give_back`` must be given."""
        self.in_flight += 1
        self._reached = self._reached or self.in_flight >= self.limit
        return self._cuts

    def give_back(self, cuts: int, *, throttled: bool, succeeded: bool) -> None:
        """Give a slot back, with what became of its request.

        Args:
            cuts: What ``take`` returned.
            throttled: The server said that there are too many requests.
            succeeded: The server answered.
        """
        if throttled:
            self._cut(cuts)
        elif succeeded and not self._guided and self.in_flight >= self.limit:
            # A limit that was not reached has not been tried, and does not grow.
            self._limit = min(self._limit + (1 if self._slow_start else 1 / self._limit), self.ceiling)
        self.in_flight -= 1

    def _cut(self, cuts: int) -> None:
        now = self._clock()
        if cuts == self._cuts and now >= self._cut_until:
            self._limit = max(1.0, self._limit * CUT)
            self._slow_start = False
            self._cuts += 1
            self._cut_until = now + CUT_WINDOW_S

    def begin_anew(self) -> None:
        """Forget what the server coped with: it was gone, and has to show again what it can do."""
        self._limit = 1.0
        self._slow_start = True
        self._guided = self._crowded = False

    # ---- what the server says of itself --------------------------------------------------------------

    def observe(self, load: Load | None) -> None:
        """Follow what the server says; None: it says nothing any more, and 429s are gone by again."""
        self._guided = load is not None
        if load is None:
            self._crowded = False
            return
        reached, self._reached = self._reached, self.in_flight >= self.limit
        crowded, self._crowded = self._crowded, load.waiting > self._slack(load)
        if self._crowded:
            # One look may catch a burst that is still on its way in; two in a row do not. And what is in
            # flight beyond the limit is draining already: it says nothing about the limit.
            if crowded and self.in_flight <= self.limit:
                self._make_way(load)
        elif reached and not load.waiting:
            self._grow(load)

    def _slack(self, load: Load) -> float:
        """How much may wait: a part of what runs, and what one request brings along."""
        if load.cache is not None and load.cache > FULL:
            return 0.0
        return max(SLACK * load.running, (load.running + load.waiting) / max(self.in_flight, 1))

    def _make_way(self, load: Load) -> None:
        # By what is in flight, not by the limit: that may not have been reached.
        share = (load.running + self._slack(load)) / (load.running + load.waiting)
        self._limit = max(min(self._limit, self.in_flight * share), min(FLOOR, self.ceiling))
        self._slow_start = False

    def _grow(self, load: Load) -> None:
        most = float(self.ceiling)
        if load.cache:
            most = min(most, self._limit * ROOMY / load.cache)
        grown = self._limit * 2 if self._slow_start else max(self._limit + 1, self._limit * CREEP)
        self._limit = max(self._limit, min(grown, most))
