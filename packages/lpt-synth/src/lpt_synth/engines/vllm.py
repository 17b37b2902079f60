"""The engine for models that vLLM runs in a process of the run's own: no server, no port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lpt_core import (
    DataError,
    EndpointError,
    ImagePart,
    ImageRef,
    LptError,
    MissingExtraError,
)
from lpt_synth.engines.in_vllm.asking import (
    Ask,
    Copy,
    DiedError,
    answer_of,
    asked_of,
    outcomes_of,
    runs_of,
)
from lpt_synth.engines.in_vllm.copies import Copies, Count
from lpt_synth.engines.in_vllm.order import Waiting, prompt_key
from lpt_synth.engines.in_vllm.turns import Turns
from lpt_synth.types import Outcome, Reply, Request
from lpt_synth.vllm_endpoint import VLLMEndpoint

Commit = Callable[[Request, Sequence[int], Reply], Awaitable[None]]
"""Makes a reply durable: the request, the samples that it answers, and the reply."""

MODE = "prompt_tokens"
"""How a prefill is continued: its tokens are the last of the prompt's."""

_RESTARTS = 1  # in a run
_AHEAD, _AHEAD_LEAST = 4, 8  # a quarter more than fit is given to vLLM, so that it never waits for us


def _say_nothing(_: str) -> None:
    """The notice of an engine that nobody listens to."""


@dataclass(eq=False)
class VLLMEngine:
    """Asks one model that vLLM runs in processes of ours, one for each copy.

    A sample's seed comes from the request's key and the number of the sample alone. The model is loaded by
    the first who asks, and again when it has given way to another; see ``Turns``.

    Args:
        endpoint: Which model, where, with which of vLLM's options.
        images: Gives an image as a data URL: the picture that an HTTP endpoint would get.
        commit: Awaited for every answer before ``complete`` returns.
        notice: Is told what a person should know.
        count: Gets what a prefix cache did, when its process has ended.
        turns: Shared by engines that may use the same devices.
        log: The file that vLLM's own messages are added to; None for one that goes with the engine.

    Raises:
        MissingExtraError: vLLM is not installed, and ``python`` names no environment that has it.
    """

    endpoint: VLLMEndpoint
    images: Callable[[ImageRef], Awaitable[str]]
    commit: Commit | None = None
    notice: Callable[[str], None] = _say_nothing
    count: Count | None = None
    turns: Turns = field(default_factory=Turns)
    log: Path | None = None

    name = "vllm"

    def __post_init__(self) -> None:
        if self.endpoint.python is None and find_spec("vllm") is None:
            raise MissingExtraError.of("lpt-synth", "vllm", "the engine vllm")
        self._model = self.endpoint.identity.name
        self._is_open = False
        self._copies = Copies(self.endpoint, self.notice, self.count, self.log)
        self._loading: asyncio.Future[None] | None = None
        self._failed: LptError | None = None
        self._waiting: Waiting[Ask] = Waiting()
        self._active = 0
        self._idle_since = time.monotonic()
        self._restarts = 0

    def __repr__(self) -> str:
        return f"VLLMEngine({self.endpoint.model!r})"

    # ---- what a member of turns has --------------------------------------------------------------------

    @property
    def share(self) -> float:
        """Of the memory of each of its devices."""
        return self.endpoint.gpu_memory_utilization

    @property
    def places(self) -> Sequence[int]:
        """Its devices; a machine without any is taken for one."""
        return self.endpoint.places

    @property
    def idle_since(self) -> float | None:
        """Since when nothing is asked of it; None while something is."""
        return None if self._active else self._idle_since

    async def give_way(self) -> None:
        """End the processes, and see that their memory is free."""
        await self._end_loading()
        await self._copies.stop()

    # ---- what an engine has ----------------------------------------------------------------------------

    async def open(self) -> None:
        """Be ready to load the model, which is done when it is first asked."""
        self._is_open, self._failed = True, None

    async def close(self) -> None:
        """End the processes. Nothing comes of what is under way."""
        self._is_open = False
        await self._end_loading()
        self._send_away(EndpointError(f"{self!r} was closed."))
        await self._copies.stop()
        self._copies.forget()
        self.turns.leave(self)

    async def _end_loading(self) -> None:
        loading = self._loading
        if loading is not None:
            loading.cancel()
            await asyncio.wait([loading])

    async def complete(self, request: Request, samples: Sequence[int]) -> Reply:
        """Answer the samples with these numbers; see ``Engine.complete``.

        Raises:
            EndpointError: The model cannot be loaded, vLLM died twice, or the engine is not open.
            ConfigError: vLLM does not know one of the options.
        """
        self._active += 1
        try:
            reply = await self._reply(request, samples)
        finally:
            self._active -= 1
            self._idle_since = time.monotonic()
        if self.commit is not None:
            await self.commit(request, samples, reply)
        return reply

    async def _reply(self, request: Request, samples: Sequence[int]) -> Reply:
        key, runs = prompt_key(request), runs_of(samples)
        tasks = [asyncio.ensure_future(self._ask(request, run, key)) for run in runs]
        try:
            came = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        by_sample: dict[int, Outcome] = {}
        for run, message in zip(runs, came, strict=True):
            by_sample.update(zip(run, outcomes_of(message, len(run)), strict=True))
        answers = [message for message in came if message[0] == "answer"]
        return Reply(
            tuple(by_sample[sample] for sample in samples),
            sum(message[3] for message in answers),
            sum(tokens for message in answers for _, _, tokens in message[2]),
            mode=MODE if request.prefill else "",
            model=self._model,
        )

    async def _ask(self, request: Request, run: tuple[int, ...], key: str) -> tuple[Any, ...]:
        """What vLLM makes of neighbouring samples; asked again where the process died."""
        while True:
            await self._ready()
            copy = await self._place(key, len(run))
            try:
                # Not before it is wanted: thousands may wait, and their images would all be held.
                return await answer_of(copy.host, asked_of(request, run, await self._pictures(request)))
            except DiedError:
                continue
            except (DataError, OSError) as error:
                # An image that has gone since it was looked at: this request's fault, no reason to stop.
                return ("refused", 0, str(error))
            finally:
                copy.under_way -= len(run)
                self._feed()

    async def _pictures(self, request: Request) -> list[str]:
        parts = [part for message in request.messages for part in message.content]
        return [await self.images(part.image) for part in parts if isinstance(part, ImagePart)]

    async def _place(self, key: str, size: int) -> Copy:
        """Wait for a place in a copy's queue; the samples are counted there when this returns."""
        found: asyncio.Future[Copy] = asyncio.get_running_loop().create_future()
        ticket = self._waiting.put(key, Ask(size, found))
        self._feed()
        try:
            return await found
        except asyncio.CancelledError:
            if not self._waiting.take_back(ticket) and found.done() and not found.cancelled():
                found.result().under_way -= size
            raise

    def _feed(self) -> None:
        """Give vLLM what waits, as far as it can use it now."""
        most = self.endpoint.max_num_seqs + max(_AHEAD_LEAST, self.endpoint.max_num_seqs // _AHEAD)
        for copy in sorted(self._copies.running, key=lambda one: one.under_way):
            while self._waiting and copy.under_way < most:
                copy.last, ask = self._waiting.next(copy.last)
                if not ask.place.done():
                    copy.under_way += ask.size
                    ask.place.set_result(copy)

    # ---- loading and letting go ------------------------------------------------------------------------

    async def _ready(self) -> None:
        """Have the model loaded, by the first who asks; after a death once more."""
        while self._loading is not None or not self._copies.running or self._copies.died:
            if self._failed is not None:
                raise self._failed
            if not self._is_open:
                raise EndpointError(f"{self!r} is not open.")
            if self._loading is None:
                self._loading = asyncio.ensure_future(self._load())
            # Whoever does not wait any more does not end it for the others.
            await asyncio.wait([self._loading])

    async def _load(self) -> None:
        try:
            if (died := self._copies.died) is not None:
                await self._bury(died)
            await self.turns.take(self)
            await self._copies.start()
        except LptError as error:
            self._failed = error  # nobody is to wait minutes for the same end
            self.turns.leave(self)
            self._send_away(error)
        finally:
            self._loading = None

    async def _bury(self, died: str) -> None:
        await self._copies.stop()
        if self._restarts >= _RESTARTS:
            raise EndpointError(
                f"vLLM died twice with {self._model}: {died}.",
                f"see {self._copies.log_file}; what was answered is kept, and the same command goes on",
            )
        self._restarts += 1
        self.notice(f"vLLM died with {self._model} ({died}); it is started once more, and nothing is lost")

    def _send_away(self, error: LptError) -> None:
        """Nothing will come of what waits."""
        for ask in self._waiting.clear():
            if not ask.place.done():
                ask.place.set_exception(error)
