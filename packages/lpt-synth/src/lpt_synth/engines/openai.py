"""The engine for every server that speaks OpenAI's HTTP API: OpenAI, vLLM, SGLang, Ollama, routers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from lpt_core import DataError, ImageRef, Prompt, load_prompt
from lpt_synth.config import OpenAIEndpoint
from lpt_synth.engines import wire
from lpt_synth.engines.compose import Composer, encode
from lpt_synth.engines.connection import stop_error
from lpt_synth.engines.continuation import Forgetful, Mode, ProbeMemory, completion_of
from lpt_synth.engines.faults import Fault
from lpt_synth.engines.jobs import Ask, Job, together
from lpt_synth.engines.probe import Modes
from lpt_synth.engines.retry import Health, backoff_s
from lpt_synth.engines.servers import Servers
from lpt_synth.types import Failure, Outcome, Reply, Request

Commit = Callable[[Request, Sequence[int], Reply], Awaitable[None]]
"""Makes a part of a reply durable: the request, the samples that the part answers, and the part."""


def _say_nothing(_: str) -> None:
    """The notice of an engine that nobody listens to."""


class OpenAIEngine:
    """Asks one model behind an OpenAI-compatible endpoint of one or several servers.

    All samples of a request travel as one ``n``, or singly where the endpoint refuses that. Optional fields
    that it refuses are left out from then on, and that is told. See ``limit`` for how many requests travel
    at once, ``servers`` for which server is asked, ``retry`` for what is tried again and when a run stops,
    ``continuation`` for prefills.

    Args:
        endpoint: Where, which model, and what it knows.
        images: Gives an image as a data URL; called when its request is sent.
        memory: Keeps how the endpoint continues, so that it is probed once and not once a run.
        commit: Awaited for every answer, within its slot and before ``complete`` returns: what is answered
            but not yet durable counts as in flight. A request whose samples are answered by several HTTP
            requests is committed in several parts, each sample once; ``complete`` returns their sum.
        notice: Is told, once each, what a person should know.
        instruct: Prompt of the mode "instruct", with the variables ``request`` and ``prefix``.

    Attributes:
        limiter: Its ``in_flight`` and ``limit`` are of interest for progress.

    Raises:
        ConfigError: The endpoint's settings contradict each other.
    """

    name = "openai"

    def __init__(
        self,
        endpoint: OpenAIEndpoint,
        *,
        images: Callable[[ImageRef], Awaitable[str]],
        memory: ProbeMemory | None = None,
        commit: Commit | None = None,
        notice: Callable[[str], None] | None = None,
        instruct: Prompt | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._where = endpoint.where
        self._composer = Composer(endpoint, images, instruct or load_prompt("expand_instruct"))
        self._commit = commit
        self._notice = notice or _say_nothing
        self._servers = Servers(endpoint, self._notice)
        self.limiter = self._servers.limiter
        self._health = Health(endpoint.patience_s, self._where)
        self._modes = Modes(endpoint, memory or Forgetful(), self._notice, self._probe)
        self._without: set[str] = set()
        self._probes: list[Reply] = []

    def __repr__(self) -> str:
        return f"OpenAIEngine({self._where!r})"

    @property
    def sent(self) -> int:
        """All HTTP requests sent so far, probes and retries included."""
        return self._servers.sent

    async def open(self) -> None:
        """Read the key and the chat template; nothing is sent.

        Raises:
            EndpointError: The key's environment variable is not set.
            ConfigError: The chat template cannot be read.
        """
        self._composer.load()
        await self._servers.open()

    async def close(self) -> None:
        """Stop a probe that is under way, and close all connections."""
        await self._modes.close()
        await self._servers.close()

    async def complete(self, request: Request, samples: Sequence[int]) -> Reply:
        """Answer the samples with these numbers; see ``Engine.complete``.

        Raises:
            EndpointError: The endpoint cannot be used, or nothing has come from it for too long.
            ConfigError: The chat template cannot render the conversation.
        """
        mode = await self._modes.of(request)
        job = Job(request, mode, self.limiter.ticket(), self._health.now())
        while self._probes:
            job.book(self._probes.pop())
        singly = tuple(samples)
        if len(singly) > 1 and "n" not in self._without:
            singly = await self._ask(Ask(job, singly))
        if len(singly) == 1:
            await self._ask(Ask(job, singly))
        elif singly:
            await together([self._ask(Ask(job, (sample,))) for sample in singly])
        return job.reply(samples)

    # ---- asking until there is an outcome ------------------------------------------------------------

    async def _ask(self, ask: Ask) -> tuple[int, ...]:
        """Ask until each sample has its outcome; returns those that can only be asked singly."""
        while True:
            fault = await self._in_slot(ask)
            if fault is None or not await self._again(ask, fault):
                return ask.samples

    async def _in_slot(self, ask: Ask) -> Fault | None:
        """One attempt, and the storing of what it brought. None: nothing is to be asked again in this way."""
        fault: Fault | None = None
        answered = False
        slot = await self.limiter.acquire(ask.job.ticket)
        try:
            came = await self._attempt(ask, slot.server)
            answered = isinstance(came, wire.Answer)
            fault = await self._keep(ask, came) if isinstance(came, wire.Answer) else came
        finally:
            throttled = fault is not None and fault.throttled
            self.limiter.release(slot, throttled=throttled, succeeded=answered)
        return fault

    async def _attempt(self, ask: Ask, server: int) -> wire.Answer | Fault:
        job = ask.job
        without = self._without | ask.without if ask.without else self._without
        try:
            path, body = await self._composer.compose(job.request, job.mode, ask.samples, without)
        except (DataError, OSError) as error:
            # An image that has gone since it was looked at: this request's fault, and no reason to stop.
            return Fault("refused", self._servers.redact(str(error)), retry=False)
        data = encode(body).encode()
        ask.fields, ask.server = tuple(body), server
        attempt = self._health.begin()
        try:
            came = await self._servers.post(server, path, data)
        finally:
            self._health.end(attempt)
        job.sent += 1
        if isinstance(came, Fault):
            return came
        answer = wire.read_answer(came)
        if isinstance(answer, str):
            return Fault("malformed", self._servers.redact(answer))
        job.input_tokens += answer.input_tokens
        job.output_tokens += answer.output_tokens
        if not any(answer.choices):
            return Fault("malformed", "no choice holds a text")
        self._health.succeeded()
        return answer

    async def _again(self, ask: Ask, fault: Fault) -> bool:
        """What to do about a fault: raise, give up (False), or wait until it is time to ask again."""
        if fault.stop and not (ask.job.probe is not None and fault.status in (404, 405)):
            raise stop_error(self.endpoint, self._servers.url(ask.server), fault)
        if not fault.retry:
            return await self._refused(ask, fault)
        ask.attempts += 1
        ask.counted += self._health.failed(ask.job.request.key, fault, ask.job.first_tried)
        if ask.counted >= self.endpoint.max_attempts:
            return await self._give_up(ask, fault)
        await asyncio.sleep(backoff_s(ask.attempts, fault.retry_after))
        return True

    async def _refused(self, ask: Ask, fault: Fault) -> bool:
        field_name = wire.complaint(fault.named, ask.fields)
        if field_name == "n":
            ask.job.n_refused = True
            return False
        if field_name is not None and field_name not in ask.without:
            ask.without.add(field_name)
            return True
        if fault.status is not None and ask.job.probe is None:
            self._health.refused(fault)
        return await self._give_up(ask, fault)

    async def _give_up(self, ask: Ask, fault: Fault) -> bool:
        failure = Failure(fault.kind, fault.message, fault.status)
        if ask.job.probe is not None:
            ask.job.probe.append(fault)
        await self._deliver(ask, ask.samples, (failure,) * len(ask.samples), "")
        ask.samples = ()
        return False

    # ---- what came -----------------------------------------------------------------------------------

    async def _keep(self, ask: Ask, answer: wire.Answer) -> Fault | None:
        """Deliver what an answer holds; samples that it does not hold stay in ``ask.samples``."""
        job = ask.job
        if job.probe is not None:
            job.probe.extend(choice for choice in answer.choices if choice)
        samples: list[int] = []
        outcomes: list[Outcome] = []
        for sample, choice in zip(ask.samples, answer.choices, strict=False):
            if choice is not None:
                samples.append(sample)
                outcomes.append(completion_of(choice, job.request.prefill, job.mode))
        self._learn(ask)
        await self._deliver(ask, tuple(samples), tuple(outcomes), answer.model)
        if len(samples) == len(ask.samples):
            ask.samples = ()
            return None
        few = len(answer.choices) < len(ask.samples)
        ask.samples = tuple(sample for sample in ask.samples if sample not in samples)
        if few:
            self._leave_out("n", f"{self._where} gives fewer samples than n: they are asked for singly")
            return None
        return Fault("malformed", "a choice holds no text")

    async def _deliver(
        self, ask: Ask, samples: tuple[int, ...], outcomes: tuple[Outcome, ...], model: str
    ) -> None:
        job = ask.job
        part = job.part(outcomes, model)
        if self._commit is not None and job.probe is None:
            await self._commit(job.request, samples, part)
        job.outcomes.update(zip(samples, outcomes, strict=True))
        job.parts.append(part)

    def _learn(self, ask: Ask) -> None:
        """Remember what an endpoint had to be spared, now that it has helped."""
        if ask.job.n_refused:
            self._leave_out("n", f"{self._where} refuses n: samples are asked for singly")
        for name in ask.without - self._without:
            instead = "max_completion_tokens is sent instead" if name == "max_tokens" else "it is left out"
            self._leave_out(name, f"{self._where} refuses {name}: {instead}")

    def _leave_out(self, name: str, why: str) -> None:
        if name not in self._without:
            self._without.add(name)
            self._notice(why)

    async def _probe(self, request: Request, mode: Mode | None) -> wire.Choice | Fault:
        job = Job(request, mode, self.limiter.ticket(), self._health.now(), probe=[])
        await self._ask(Ask(job, (0,)))
        # The request that waits for the probe pays for it.
        self._probes += job.parts
        return (job.probe or [Fault("malformed", "nothing came")])[0]
