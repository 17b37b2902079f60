"""The servers of one endpoint: which may be asked, which is gone, and how busy each says it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from lpt_synth.config import OpenAIEndpoint
from lpt_synth.engines import retry
from lpt_synth.engines.connection import Connection
from lpt_synth.engines.faults import Fault, Redactor
from lpt_synth.engines.limiter import Limiter
from lpt_synth.engines.load import watch

STRIKES = 3
"""So many answers in a row that only tell of trouble leave a server out."""


@dataclass(slots=True)
class _State:
    """What has become of one server.

    Attributes:
        strikes: Attempts in a row that it broke down over.
        falls: Times that it was left out since it last answered a request.
        out: It is left out now.
    """

    strikes: int = 0
    falls: int = 0
    out: bool = False


class Servers:
    """All servers of an endpoint, and the slots at them.

    A server that nobody reaches, or that breaks down over ``STRIKES`` requests in a row, is left out as long
    as there is another. It is looked at again at once, and then more and more rarely; when somebody answers
    there, it is taken back. A server that answers such looks and still breaks down over every request is
    looked at later each time.

    Args:
        endpoint: Whose servers.
        notice: Is told when a server is left out or taken back.

    Attributes:
        limiter: The slots.
    """

    def __init__(self, endpoint: OpenAIEndpoint, notice: Callable[[str], None]) -> None:
        self._endpoint = endpoint
        self._notice = notice
        self._connections = [Connection(endpoint, url) for url in endpoint.urls]
        self._states = [_State() for _ in endpoint.urls]
        self.limiter = Limiter(endpoint.concurrency, servers=len(endpoint.urls))
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching = False

    @property
    def sent(self) -> int:
        """Requests sent so far to all of them."""
        return sum(connection.sent for connection in self._connections)

    @property
    def redact(self) -> Redactor:
        """Makes what they say fit to be shown: they share one key."""
        return self._connections[0].redact

    def url(self, server: int) -> str:
        """Where a server is."""
        return self._connections[server].url

    async def open(self) -> None:
        """Get ready; nothing is sent.

        Raises:
            EndpointError: The key's variable is not set, or holds what no header can.
        """
        for connection in self._connections:
            await connection.open()

    async def close(self) -> None:
        """Stop looking at servers, and close all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self._connections:
            await connection.close()
        self._watching = False

    async def post(self, server: int, path: str, body: bytes) -> bytes | Fault:
        """Send a request to a server; what comes of it tells how the server does."""
        if not self._watching:
            self._watch()
        came = await self._connections[server].post(path, body)
        if len(self._states) > 1:
            self._judge(server, came if isinstance(came, Fault) else None)
        return came

    # ---- how busy ------------------------------------------------------------------------------------

    def _watch(self) -> None:
        self._watching = True
        if not self._endpoint.metrics:
            return
        for server, connection in enumerate(self._connections):
            limit = self.limiter.limits[server]
            self._start(
                watch(
                    connection.metrics,
                    partial(self.limiter.observe, server),
                    lambda limit=limit: limit.in_flight > 0,
                    self._endpoint.model,
                )
            )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- who is there --------------------------------------------------------------------------------

    def _judge(self, server: int, fault: Fault | None) -> None:
        state = self._states[server]
        if fault is None or not fault.retry:
            state.strikes = 0
            state.falls = 0 if fault is None else state.falls
        elif not fault.throttled:
            gone = fault.unreachable or fault.kind == "connection"
            state.strikes += 1
            if not state.out and (gone or state.strikes >= STRIKES):
                self._leave_out(server, fault)

    def _leave_out(self, server: int, fault: Fault) -> None:
        state = self._states[server]
        state.out = True
        state.strikes = 0
        state.falls += 1
        self.limiter.leave_out(server)
        self._start(self._taken_back(server, fault))

    async def _taken_back(self, server: int, fault: Fault) -> None:
        """Wait until a server answers again."""
        state = self._states[server]
        first, looks = state.falls == 1, 0
        while True:
            if looks or not first:
                await asyncio.sleep(retry.backoff_s(state.falls + looks))
            if await self._connections[server].answers():
                break
            looks += 1
            if looks == 1 and first:
                self._notice(f"{self.url(server)} is left out: {fault.message}")
        state.out = False
        self.limiter.take_back(server, anew=looks > 0 or not first)
        if looks and first:
            self._notice(f"{self.url(server)} answers again and is taken back")
