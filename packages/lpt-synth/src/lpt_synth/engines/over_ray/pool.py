"""Who is asked what: replicas with a few requests each, and others in the place of those that are lost.

Knows nothing of Ray; what is lost, and how a replica is started, it is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from lpt_core import EndpointError, LptError

T = TypeVar("T")

_DEATHS = 3  # of a replica in a row, without an answer between them, before its place stays empty
_LOSSES = 3  # of replicas that had a request, before the request is taken to be what kills them
_LOOK_S = 1.0
_TELL_S = 30.0  # without a place for a replica, before that is told


class LostError(Exception):
    """A replica is gone: its process or its machine has died, or cannot be reached."""


class Handle(Protocol):
    """A replica that was asked for, and may not be there yet."""

    async def open(self) -> LptError | None:
        """Wait until it is there and ready; gives the reason why no replica ever will be.

        Raises:
            LostError: It died.
        """
        ...

    async def close(self) -> None:
        """End it, gently where it is there; never raises."""
        ...


H = TypeVar("H", bound=Handle)


@dataclass(eq=False, slots=True)
class _Place:
    """Where one replica after the other may be.

    Attributes:
        handle: The replica that is ready, if one is.
        busy: Requests that it has.
        deaths: In a row.
        lost: Set when the replica is.
    """

    number: int
    handle: Handle | None = None
    busy: int = 0
    deaths: int = 0
    lost: asyncio.Event = field(default_factory=asyncio.Event)


class Pool:
    """The replicas of an engine. Made in the event loop that uses it.

    Args:
        start: Asks for a replica; returns at once.
        replicas: How many there are to be.
        slots: The most requests that one has at a time: what its loss costs.
        patience_s: No replica for so long is an error.
        notice: Is told what a person should know.
    """

    def __init__(
        self,
        start: Callable[[], Handle],
        replicas: int,
        slots: int,
        patience_s: float,
        notice: Callable[[str], None],
    ) -> None:
        self._start = start
        self._slots = slots
        self._patience_s = patience_s
        self._notice = notice
        self._changed = asyncio.Condition()
        self._error: LptError | None = None
        self._places = [_Place(number) for number in range(1, replicas + 1)]
        self._given_up = 0
        tasks = [self._keep(place) for place in self._places]
        self._tasks = [asyncio.create_task(one) for one in (*tasks, self._watch())]

    async def ask(self, work: Callable[[Handle], Awaitable[T]]) -> T | None:
        """What ``work`` makes of a replica; of another one, where that is lost. None: it kills them all.

        Raises:
            LptError: There are no replicas, and there will be none.
        """
        for _ in range(_LOSSES):
            place, handle = await self._taken()
            try:
                came = await work(handle)
                place.deaths = 0
                return came
            except LostError as lost:
                if place.handle is handle:
                    place.handle = None
                    place.lost.set()
                    self._notice(
                        f"replica {place.number} is lost, and what it was asked is asked again: {lost}"
                    )
            finally:
                if place.handle is handle:
                    place.busy -= 1
                    await self._tell()
        return None

    async def close(self) -> None:
        """End all replicas."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._stop(EndpointError("the engine was closed."))

    async def _taken(self) -> tuple[_Place, Handle]:
        """A slot of the replica that has the least to do, as soon as there is one."""
        async with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                there = [place for place in self._places if place.handle and place.busy < self._slots]
                if there:
                    place = min(there, key=lambda place: place.busy)
                    place.busy += 1
                    assert place.handle is not None
                    return place, place.handle
                await self._changed.wait()

    async def _tell(self, many: bool = False) -> None:
        async with self._changed:
            if many:
                self._changed.notify_all()
            else:
                self._changed.notify()

    # ---- replicas come and go ------------------------------------------------------------------------

    async def _keep(self, place: _Place) -> None:
        """Have a replica in a place, and another one when that is lost."""
        last = ""
        while place.deaths < _DEATHS:
            handle = self._start()
            try:
                why = await handle.open()
                if why is not None:
                    await self._stop(why)
                    return
                place.busy, place.handle = 0, handle
                place.lost.clear()
                await self._tell(many=True)
                await place.lost.wait()
            except LostError as lost:
                last = str(lost)
            else:
                last = "it died with requests"
            finally:
                place.handle = None
                await handle.close()
            place.deaths += 1
        self._given_up += 1
        self._notice(f"replica {place.number} died {_DEATHS} times in a row and is given up: {last}")
        if self._given_up == len(self._places):
            await self._stop(
                EndpointError(
                    f"all replicas died {_DEATHS} times in a row; the last: {last}",
                    "`ray list actors` and the logs in Ray's folder tell why; see the memory of the nodes",
                )
            )

    async def _watch(self) -> None:
        """Lose patience when there is no replica."""
        since, told = time.monotonic(), False
        while True:
            await asyncio.sleep(_LOOK_S)
            if any(place.handle for place in self._places):
                since, told = time.monotonic(), False
                continue
            waited = time.monotonic() - since
            if waited > _TELL_S and not told:
                told = True
                self._notice(
                    "no replica is there yet: `ray status` tells whether the cluster has room for one"
                )
            if waited > self._patience_s:
                await self._stop(
                    EndpointError(
                        f"no replica was there for {self._patience_s:g} s.",
                        "see with `ray status` whether the cluster has the resources that one needs "
                        "(resources), or raise patience_s",
                    )
                )
                return

    async def _stop(self, error: LptError) -> None:
        self._error = self._error or error
        await self._tell(many=True)
