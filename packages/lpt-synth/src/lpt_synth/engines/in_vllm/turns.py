"""Whose turn it is on devices that several models share: load, drain, free, and the next one.

Models whose shares of a device's memory fit together stay side by side, and one loads while the others
answer. Where they do not fit, a model gives way when it has had nothing to do for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

IDLE_S = 5.0
"""Seconds without a request after which a model gives way to one that waits. Less would load models anew in
the pauses of a slow asker, and a load takes minutes."""

_LOOK_S = 0.1
_ROUNDING = 1e-6


class Member(Protocol):
    """An engine that takes a share of devices."""

    @property
    def share(self) -> float:
        """Of the memory of each of its devices."""
        ...

    @property
    def places(self) -> Sequence[int]:
        """Its devices."""
        ...

    @property
    def idle_since(self) -> float | None:
        """Since when nothing is asked of it, on the monotonic clock; None while something is."""
        ...

    async def give_way(self) -> None:
        """Free the devices, and make sure that they are free."""
        ...


class Turns:
    """Lets engines load when there is room for them, in the order in which they ask.

    Args:
        idle_s: See ``IDLE_S``.
    """

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._holding: list[Member] = []
        self._queue = asyncio.Lock()

    async def take(self, member: Member) -> None:
        """Wait until there is room for a member; it may load when this returns."""
        if member in self._holding:
            return  # it loads again, where it was
        async with self._queue:
            while rivals := self._in_the_way_of(member):
                now = time.monotonic()
                resting = [r for r in rivals if (t := r.idle_since) is not None and now - t >= self._idle_s]
                if not resting:
                    await asyncio.sleep(_LOOK_S)
                    continue
                self.leave(resting[0])  # at once: if it is asked meanwhile, it has to take its turn again
                await resting[0].give_way()
            self._holding.append(member)

    def leave(self, member: Member) -> None:
        """The member holds nothing any more."""
        self._holding = [one for one in self._holding if one is not member]

    def _in_the_way_of(self, member: Member) -> list[Member]:
        """Those that share a device on which there is no room left."""
        rivals: list[Member] = []
        for place in member.places:
            there = [one for one in self._holding if place in one.places and one is not member]
            if sum(one.share for one in there) + member.share > 1 + _ROUNDING:
                rivals += there
        return rivals
