"""Slots for requests, at one server or at several that serve the same."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from lpt_synth.engines.limit import Limit
from lpt_synth.engines.load import Load


class Slot(NamedTuple):
    """A slot that was given.

    Attributes:
        server: At which server, by its place.
        cuts: What the server's limit wants back.
    """

    server: int
    cuts: int


class Limiter:
    """Slots for requests, given out in the order of their tickets, at the server that is least busy.

    A request that comes back after a failure keeps the ticket of its first attempt, and so goes before
    all requests that have not been sent at all. Busy is what has taken most of its slots: a server that
    copes with more is given more. One that is left out is given nothing while there is another.

    Args:
        ceiling: The most slots there ever are at one server.
        clock: Seconds that only go forward.
        servers: How many there are.

    Attributes:
        limits: Of each server.
    """

    def __init__(self, ceiling: int, clock: Callable[[], float] = time.monotonic, servers: int = 1) -> None:
        self.limits = [Limit(ceiling, clock) for _ in range(servers)]
        self._usable = list(range(servers))
        self._tickets = count()
        self._arrivals = count()
        self._waiting: list[tuple[int, int, asyncio.Future[Slot]]] = []

    @property
    def in_flight(self) -> int:
        """Slots taken now."""
        return sum(limit.in_flight for limit in self.limits)

    @property
    def limit(self) -> int:
        """How many slots there are now."""
        return sum(self.limits[server].limit for server in self._usable)

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return sum(not future.done() for _, _, future in self._waiting)

    def ticket(self) -> int:
        """A place in the queue, behind all that were given before."""
        return next(self._tickets)

    async def acquire(self, ticket: int) -> Slot:
        """Wait for a slot. Returns what ``release`` must be given back."""
        if not self._waiting and (free := self._free()) is not None:
            return Slot(free, self.limits[free].take())
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (ticket, next(self._arrivals), future))
        # What waits may all have been cancelled, and then nobody else would come to hand out the slot.
        self._hand_out()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(future.result())
            raise

    def release(self, slot: Slot, *, throttled: bool = False, succeeded: bool = False) -> None:
        """Give a slot back, with what became of its request.

        Args:
            slot: What ``acquire`` returned.
            throttled: The server said that there are too many requests.
            succeeded: The server answered.
        """
        self.limits[slot.server].give_back(slot.cuts, throttled=throttled, succeeded=succeeded)
        if self._waiting:
            self._hand_out()

    def observe(self, server: int, load: Load | None) -> None:
        """Follow what a server says of how busy it is."""
        self.limits[server].observe(load)
        self._hand_out()

    def leave_out(self, server: int) -> None:
        """Give no slot at a server, as long as there is another. Where none is left, all are tried."""
        self.limits[server].left_out = True
        self._count_usable()

    def take_back(self, server: int, *, anew: bool) -> None:
        """Give slots at a server again.

        Args:
            server: Which.
            anew: With one slot to begin with.
        """
        self.limits[server].left_out = False
        if anew:
            self.limits[server].begin_anew()
        self._count_usable()

    def _count_usable(self) -> None:
        servers = range(len(self.limits))
        self._usable = [s for s in servers if not self.limits[s].left_out] or list(servers)
        self._hand_out()

    def _free(self) -> int | None:
        """The server to ask next; None where all slots are taken."""
        best, least = None, 1.0
        for server in self._usable:
            limit = self.limits[server]
            busy = limit.in_flight / limit.limit
            if busy < least:
                best, least = server, busy
        return best

    def _hand_out(self) -> None:
        while self._waiting and (free := self._free()) is not None:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(Slot(free, self.limits[free].take()))
