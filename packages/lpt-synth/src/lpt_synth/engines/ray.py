"""The engine that has others answer: replicas of any engine, as actors on the machines of a Ray cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from importlib.util import find_spec
from typing import Any

from lpt_core import DataError, EndpointError, ImagePart, ImageRef, LptError, MissingExtraError
from lpt_synth import __version__
from lpt_synth.config import RayEndpoint
from lpt_synth.engines.over_ray.cluster import connect, disconnect
from lpt_synth.engines.over_ray.pool import Handle, LostError, Pool
from lpt_synth.engines.over_ray.replica import Came, Make, Replica
from lpt_synth.types import Failure, Reply, Request

Commit = Callable[[Request, Sequence[int], Reply], Awaitable[None]]
"""Makes a reply durable: the request, the samples that it answers, and the reply."""

_SPARE = 8  # calls of an actor beside its requests: opening, closing, those that are being cancelled
_CLOSING_S = 10.0


def _say_nothing(_: str) -> None:
    """The notice of an engine that nobody listens to."""


class RayEngine:
    """Asks replicas of another engine, each with the resources that were set aside for it.

    A replica has at most twice the requests that keep its engine busy; when it or its machine dies, these are
    asked of others, and another replica takes its place as soon as the cluster has room. What comes back is
    committed here, once: an answer of a replica that was given up on is never looked at.

    Args:
        endpoint: What the replicas are, how many, and where.
        make: Makes the inner engine in a replica; see ``replica.Make``.
        images: Gives an image as a data URL; it travels with the request.
        commit: Awaited for every answer before ``complete`` returns.
        notice: Is told what a person should know.

    Raises:
        MissingExtraError: Ray is not installed.
    """

    name = "ray"

    def __init__(
        self,
        endpoint: RayEndpoint,
        *,
        make: Make,
        images: Callable[[ImageRef], Awaitable[str]],
        commit: Commit | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        if find_spec("ray") is None:
            raise MissingExtraError.of("lpt-synth", "ray", "the engine ray")
        self.endpoint = endpoint
        self._make = make
        self._images = images
        self._commit = commit
        self._notice = notice or _say_nothing
        self._told: set[str] = set()
        self._joining: asyncio.Future[None] | None = None
        self._pool: Pool | None = None

    def __repr__(self) -> str:
        return f"RayEngine({self.endpoint.inner.engine!r}, replicas={self.endpoint.replicas})"

    async def open(self) -> None:
        """Be ready to look for the cluster, which is done when the first request comes."""

    async def close(self) -> None:
        """End all replicas, and the connection to the cluster."""
        joining, self._joining = self._joining, None
        if joining is None:
            return
        (failed,) = await asyncio.gather(joining, return_exceptions=True)
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()
        if failed is None:
            await asyncio.to_thread(disconnect)

    async def complete(self, request: Request, samples: Sequence[int]) -> Reply:
        """Answer the samples with these numbers; see ``Engine.complete``.

        Raises:
            EndpointError: There is no cluster or no replica, or what a replica raised.
            ConfigError: What a replica raised.
        """
        pool = await self._joined()
        try:
            images = await self._shown(request)
        except (DataError, OSError) as error:
            # An image that has gone since it was looked at: this request's fault, and no reason to stop.
            reply = Reply((Failure("refused", str(error)),) * len(samples))
        else:
            reply = await self._asked(pool, request, samples, images)
        if self._commit is not None:
            await self._commit(request, samples, reply)
        return reply

    async def _joined(self) -> Pool:
        """The replicas, asked for by the first who needs one."""
        joining = self._joining
        if joining is None:
            joining = asyncio.ensure_future(asyncio.to_thread(connect, self.endpoint.address))
            self._joining = joining
        await asyncio.shield(joining)
        if self._joining is not joining:
            raise EndpointError(f"{self!r} was closed.")
        if self._pool is None:
            end = self.endpoint
            slots = 2 * end.inner.parallel
            self._pool = Pool(self._start, end.replicas, slots, end.patience_s, self._notice)
        return self._pool

    async def _shown(self, request: Request) -> dict[str, str]:
        parts = [part for message in request.messages for part in message.content]
        shown = [part.image for part in parts if isinstance(part, ImagePart)]
        return {image.sha256: await self._images(image) for image in shown}

    async def _asked(
        self, pool: Pool, request: Request, samples: Sequence[int], images: dict[str, str]
    ) -> Reply:
        async def work(handle: Handle) -> Came:
            assert isinstance(handle, _Actor)
            return await handle.call("complete", request, tuple(samples), images)

        came = await pool.ask(work)
        if came is None:
            why = Failure("server", "several replicas died while they had this request")
            return Reply((why,) * len(samples))
        reply, notices = came
        for notice in notices:
            if notice not in self._told:  # the replicas are alike
                self._told.add(notice)
                self._notice(notice)
        if isinstance(reply, LptError):
            raise reply
        return reply

    def _start(self) -> Handle:
        return _Actor(self.endpoint, self._make)


class _Actor:
    """A replica in Ray's hands."""

    def __init__(self, endpoint: RayEndpoint, make: Make) -> None:
        import ray

        wanted = endpoint.resources
        options: dict[str, Any] = {
            "num_cpus": wanted.num_cpus,
            "num_gpus": wanted.num_gpus,
            "resources": wanted.custom,
            "max_concurrency": 2 * endpoint.inner.parallel + _SPARE,
            # Another one is started by the pool, which knows what was in flight.
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": "SPREAD",
        }
        remote: Any = ray.remote(Replica)  # pyright: ignore[reportUnknownMemberType] # untyped overloads
        self._ray: Any = ray
        self._actor = remote.options(**options).remote(make, endpoint.inner)
        self._opened = False

    async def open(self) -> LptError | None:
        why: LptError | None = await self.call("open", __version__)
        self._opened = why is None
        return why

    async def close(self) -> None:
        if self._opened:
            done = asyncio.ensure_future(self._quietly())
            await asyncio.wait([done], timeout=_CLOSING_S)
            done.cancel()
            await asyncio.gather(done, return_exceptions=True)
        self._ray.kill(self._actor)

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the replica. Cancelled here, it is cancelled there.

        Raises:
            LostError: The replica is gone, or its answer.
        """
        errors = self._ray.exceptions
        answer = getattr(self._actor, method).remote(*arguments)
        try:
            return await answer
        except asyncio.CancelledError:
            self._ray.cancel(answer)
            raise
        except errors.RayTaskError as error:
            raise error.cause or error from error  # what the engine raised there, it would have raised here
        except errors.RayError as error:
            raise LostError(_first_line(error)) from error

    async def _quietly(self) -> None:
        try:
            await self.call("close")
        except LostError:
            self._opened = False


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
