"""The engine for OpenAI's batch mode: requests travel as files, and are answered within a day."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from lpt_core import ConfigError, DataError, ImageRef, Prompt, load_prompt
from lpt_synth.config import OpenAIEndpoint
from lpt_synth.engines import wire
from lpt_synth.engines.batch_api import BatchApi
from lpt_synth.engines.batch_desk import Desk
from lpt_synth.engines.batch_journal import Journal, Unkept
from lpt_synth.engines.compose import Composer
from lpt_synth.engines.continuation import Mode, completion_of, only_opens
from lpt_synth.engines.faults import Fault
from lpt_synth.engines.jobs import together
from lpt_synth.types import Completion, Failure, Reply, Request

Commit = Callable[[Request, Sequence[int], Reply], Awaitable[None]]
"""See ``lpt_synth.engines.openai``."""


def _nothing(*_: object) -> None:
    """Who is told is nobody."""


def line_id(key: str, sample: int) -> str:
    """The ``custom_id`` of a sample."""
    return f"{key}-{sample}"


def of_line(name: str) -> tuple[str, int]:
    """The request's key and the sample of a ``custom_id``."""
    key, _, sample = name.rpartition("-")
    return key, int(sample) if sample.isdecimal() else -1


class OpenAIBatchEngine:
    """Asks one model through ``/files`` and ``/batches``; each sample is a request of a batch.

    A server that answers batches goes on from no begun answer: where ``prefill`` is auto, it is asked to in
    words. See ``batch_desk`` for when batches are sent and how they outlive a crash.

    Args:
        endpoint: Where, which model, and what it knows; its ``batch`` is set.
        images: Gives an image as a data URL; called when its request is put into a batch.
        journal: Where batches under way are kept.
        known: Whether the sample with this ``custom_id`` is answered and on disk.
        commit: Awaited for every answer before ``complete`` returns.
        notice: Is told, once each, what a person should know.
        progress: Is told (batches, requests done, requests) of all that is under way.
        instruct: Prompt of the mode "instruct", with the variables ``request`` and ``prefix``.

    Raises:
        ConfigError: The endpoint's settings contradict each other.
    """

    name = "openai_batch"

    def __init__(
        self,
        endpoint: OpenAIEndpoint,
        *,
        images: Callable[[ImageRef], Awaitable[str]],
        journal: Journal | None = None,
        known: Callable[[str], bool] | None = None,
        commit: Commit | None = None,
        notice: Callable[[str], None] | None = None,
        progress: Callable[[tuple[int, int, int]], None] | None = None,
        instruct: Prompt | None = None,
    ) -> None:
        if endpoint.batch is None:
            raise ConfigError(f"{endpoint.where} is not configured for batches.", "batch: true")
        self.endpoint = endpoint
        self._section = endpoint.batch
        self._composer = Composer(endpoint, images, instruct or load_prompt("expand_instruct"))
        self._api = BatchApi(endpoint)
        self._desk = Desk(
            self._api,
            endpoint.batch,
            journal or Unkept(),
            f"batch {endpoint.urls[0]} {endpoint.model} ",
            known or (lambda _: False),
            progress or _nothing,
        )
        self._commit = commit
        self._notice = notice or _nothing
        self._without: set[str] = set()

    def __repr__(self) -> str:
        return f"OpenAIBatchEngine({self.endpoint.where!r})"

    async def open(self) -> None:
        """Read the key and the chat template; nothing is sent.

        Raises:
            EndpointError: The key's environment variable is not set.
            ConfigError: The chat template cannot be read.
        """
        self._composer.load()
        await self._api.open()

    async def close(self) -> None:
        """Stop looking at batches. They go on at the server, and the next run collects them."""
        if count := self._desk.under_way:
            self._notice(f"{self.endpoint.where}: batches under way: {count}; the next run collects them")
        await self._desk.close()
        await self._api.close()

    async def complete(self, request: Request, samples: Sequence[int]) -> Reply:
        """Answer the samples with these numbers; see ``Engine.complete``.

        Raises:
            EndpointError: The server cannot be used.
            ConfigError: The chat template cannot render the conversation.
        """
        mode = self._mode(request)
        parts: dict[int, Reply] = {}

        async def one(sample: int) -> None:
            parts[sample] = await self._one(request, sample, mode)

        await together([one(sample) for sample in samples])
        in_order = [parts[sample] for sample in samples]
        return Reply(
            tuple(part.outcomes[0] for part in in_order),
            sum(part.input_tokens for part in in_order),
            sum(part.output_tokens for part in in_order),
            sum(part.sent for part in in_order),
            mode or "",
            next((part.model for part in in_order if part.model), ""),
        )

    def _mode(self, request: Request) -> Mode | None:
        if not request.prefill:
            return None
        given = self.endpoint.prefill
        mode: Mode = "instruct" if given == "auto" else given
        if mode == "completions" and request.image is not None:
            mode = "instruct"
        if only_opens(request.prefill):
            return "none" if mode == "instruct" else mode
        if mode == "none":
            raise ConfigError(f"prefill: none of {self.endpoint.where} cannot continue a thought.")
        return mode

    # ---- one sample ----------------------------------------------------------------------------------

    async def _one(self, request: Request, sample: int, mode: Mode | None) -> Reply:
        """One sample, in as many batches as it takes; committed."""
        line, outcome = _Line(request, sample, mode), None
        while outcome is None:
            came = await self._asked(line)
            outcome = self._settled(line, came) if isinstance(came, Fault) else came
            if outcome is None:
                await self._desk.done(line.name)
        if isinstance(outcome, Completion):
            self._learn(line.without)
        sent = max(line.sent, 1)
        reply = Reply((outcome,), line.input_tokens, line.output_tokens, sent, mode or "", line.model)
        if self._commit is not None:
            await self._commit(request, (sample,), reply)
        await self._desk.done(line.name)
        return reply

    async def _asked(self, line: _Line) -> Completion | Fault:
        """What comes of a sample in one batch."""
        request, mode = line.request, line.mode
        try:
            path, body = await self._composer.compose(
                request, mode, (line.sample,), self._without | line.without
            )
        except (DataError, OSError) as error:
            return Fault("refused", self._api.redact(str(error)), retry=False)
        line.fields = tuple(body)
        came = await self._desk.answer(line.name, f"/v1/{path}", body)
        line.sent += 1
        if isinstance(came, Fault):
            return came
        line.input_tokens += came.input_tokens
        line.output_tokens += came.output_tokens
        line.model = came.model
        choice = came.choices[0]
        if choice is None:
            return Fault("malformed", "no choice holds a text")
        return completion_of(choice, request.prefill, mode)

    def _settled(self, line: _Line, fault: Fault) -> Failure | None:
        """What a fault makes of a sample; None: it is asked again."""
        if fault.stop:
            raise self._api.stopped_by(fault)
        if not fault.retry:
            name = wire.complaint(fault.named, line.fields)
            if name is not None and name not in line.without:
                line.without.add(name)
                return None
        line.tries += 1
        if fault.retry and line.tries < self._section.max_tries:
            return None
        return Failure(fault.kind, fault.message, fault.status)

    def _learn(self, without: set[str]) -> None:
        """Remember what the endpoint had to be spared, now that it has helped."""
        for name in sorted(without - self._without):
            instead = "max_completion_tokens is sent instead" if name == "max_tokens" else "it is left out"
            self._without.add(name)
            self._notice(f"{self.endpoint.where} refuses {name}: {instead}")


@dataclass(slots=True)
class _Line:
    """One sample on its way through batches.

    Attributes:
        without: Fields left out because they were refused.
        fields: Names of the fields that were sent last.
        sent: Batches that it was part of.
        tries: Of these, the ones that count towards giving up.
        input_tokens: Counted by the endpoint.
        output_tokens: Counted by the endpoint.
        model: The model's name as the endpoint reported it.
    """

    request: Request
    sample: int
    mode: Mode | None
    without: set[str] = field(default_factory=set[str])
    fields: tuple[str, ...] = ()
    sent: int = 0
    tries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""

    @property
    def name(self) -> str:
        """Its ``custom_id``."""
        return line_id(self.request.key, self.sample)
