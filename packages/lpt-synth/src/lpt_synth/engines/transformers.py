"""The engine for models in the process itself, loaded with transformers: no server, no network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lpt_core import DataError, EndpointError, ImagePart, ImageRef, MissingExtraError, Sampling, derived_int
from lpt_synth.config import TransformersEndpoint
from lpt_synth.engines.batches import Batches, Row
from lpt_synth.types import Completion, Failure, Outcome, Reply, Request

if TYPE_CHECKING:
    from lpt_synth.engines.hf.generating import Written
    from lpt_synth.engines.hf.loading import Loaded
    from lpt_synth.engines.hf.prompts import Prepared

Commit = Callable[[Request, Sequence[int], Reply], Awaitable[None]]
"""Makes a reply durable: the request, the samples that it answers, and the reply."""

MODE = "rendered_prompt"
"""How a prefill is continued: it follows the chat template's generation prompt, in one text with it."""

_LOST = 8  # samples that fail one after the other before the model is taken to be broken


@dataclass(frozen=True, slots=True)
class _Work:
    """One sample of a prompt."""

    prompt: Prepared
    sampling: Sampling
    seed: int
    most: int


def _say_nothing(_: str) -> None:
    """The notice of an engine that nobody listens to."""


class TransformersEngine:
    """Asks one model that it loads into the process.

    Samples are drawn from (request key, number of the sample) alone. What a batch adds is rounding: in
    float64 a sample comes out the same alone and in any company; in lower precision a near-tie may fall
    otherwise. While it is open, transformers' log and progress bars are silent.

    Args:
        endpoint: Which model, where, how many at once.
        images: Gives an image as a data URL: the picture that an HTTP endpoint would get.
        commit: Awaited for every answer before ``complete`` returns.
        notice: Is told what a person should know: what is loaded, where, and when memory runs short.

    Raises:
        MissingExtraError: torch, torchvision or transformers is not installed.
    """

    name = "transformers"

    def __init__(
        self,
        endpoint: TransformersEndpoint,
        *,
        images: Callable[[ImageRef], Awaitable[str]],
        commit: Commit | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        if not all(find_spec(name) for name in ("torch", "torchvision", "transformers")):
            raise MissingExtraError.of("lpt-synth", "transformers", "the engine transformers")
        self.endpoint = endpoint
        self._images = images
        self._commit = commit
        self._notice = notice or _say_nothing
        self._is_open = False
        self._loading: asyncio.Future[None] | None = None
        self._loaded: Loaded | None = None
        self._batches: Batches[_Work, Written | Failure] | None = None
        # Tokenizers and image processors are not made for several threads at once.
        self._preparing: ThreadPoolExecutor | None = None
        self._open = ExitStack()
        self._lost = 0

    def __repr__(self) -> str:
        return f"TransformersEngine({self.endpoint.model!r})"

    async def open(self) -> None:
        """Be ready to load the model, which is done when it is first asked.

        A run that asks nothing (it was finished before) does not wait for gigabytes, and the other roles
        may begin meanwhile.
        """
        self._is_open = True

    async def close(self) -> None:
        """Stop what is computed, and let go of the model."""
        self._is_open = False
        if self._loading is not None:  # a thread cannot be stopped
            await asyncio.gather(self._loading, return_exceptions=True)
            self._loading = None
        await asyncio.to_thread(self._let_go)

    async def complete(self, request: Request, samples: Sequence[int]) -> Reply:
        """Answer the samples with these numbers; see ``Engine.complete``.

        Raises:
            EndpointError: The model cannot be loaded or fails at everything, or the engine is not open.
            ConfigError: The model cannot be used for this, there is no such device, the chat template
                fails, or a text model is shown an image.
        """
        loaded, batches = await self._ready()
        prompt = await self._prepared(loaded, request)
        if isinstance(prompt, Failure):
            reply = Reply((prompt,) * len(samples), mode=self._mode(request), model=loaded.name)
        else:
            most = min(request.sampling.max_tokens or loaded.context, loaded.context - prompt.length)
            loop = asyncio.get_running_loop()
            rows: list[Row[_Work, Written | Failure]] = [
                Row(
                    _Work(prompt, request.sampling, derived_int(0, request.key, sample, bits=64), most),
                    (request.sampling, prompt.form),  # pyright: ignore[reportArgumentType] # frozen: has a hash
                    prompt.length,
                    prompt.length + most,
                    loop.create_future(),
                )
                for sample in samples
            ]
            reply = self._reply(request, loaded.name, prompt, await batches.ask(rows))
        if self._commit is not None:
            await self._commit(request, samples, reply)
        return reply

    async def _ready(self) -> tuple[Loaded, Batches[_Work, Written | Failure]]:
        """The model, loaded by the first who asks."""
        if not self._is_open:
            raise EndpointError(f"{self!r} is not open.")
        if self._loading is None:
            self._loading = asyncio.ensure_future(asyncio.to_thread(self._load))
        await asyncio.shield(self._loading)
        if self._loaded is None or self._batches is None:
            raise EndpointError(f"{self!r} was closed.")
        return self._loaded, self._batches

    def _mode(self, request: Request) -> str:
        return MODE if request.prefill else ""

    def _reply(
        self, request: Request, name: str, prompt: Prepared, came: Sequence[Written | Failure]
    ) -> Reply:
        outcomes: list[Outcome] = [
            one if isinstance(one, Failure) else Completion(one.text, one.finish_reason) for one in came
        ]
        written = sum(0 if isinstance(one, Failure) else one.tokens for one in came)
        return Reply(tuple(outcomes), prompt.length, written, mode=self._mode(request), model=name)

    async def _prepared(self, loaded: Loaded, request: Request) -> Prepared | Failure:
        """The prompt with its images, made beside the computing thread."""
        from lpt_synth.engines.hf.prompts import prepare

        parts = [part for message in request.messages for part in message.content]
        try:
            urls = [await self._images(part.image) for part in parts if isinstance(part, ImagePart)]
        except (DataError, OSError) as error:
            # An image that has gone since it was looked at: this request's fault, and no reason to stop.
            return Failure("refused", str(error))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._preparing, prepare, loaded, request, urls)

    # ---- in threads ----------------------------------------------------------------------------------

    def _load(self) -> None:
        # Importing torch is half of the wait for a small model.
        self._notice(f"loading {self.endpoint.identity.name} …")
        from lpt_synth.engines.hf.loading import load, quiet

        with ExitStack() as stack:
            stack.enter_context(quiet())
            self._loaded = load(self.endpoint, self._notice)
            self._open = stack.pop_all()  # it stays quiet until the engine is closed
        self._batches = Batches(self._compute, self.endpoint.batch_size, self.endpoint.max_batch_tokens)
        self._preparing = ThreadPoolExecutor(1, "lpt-prepare")
        self._lost = 0

    def _let_go(self) -> None:
        if self._batches is not None:
            self._batches.close()
        if self._preparing is not None:
            self._preparing.shutdown(cancel_futures=True)
        self._batches = self._preparing = None
        if self._loaded is not None:
            from lpt_synth.engines.hf.generating import let_go

            device, self._loaded = self._loaded.device, None
            let_go(device)
        self._open.close()

    def _compute(self, rows: list[Row[_Work, Written | Failure]]) -> list[Written | Failure]:
        """One batch; where it fails, its halves. A sample that fails alone is a failure."""
        from lpt_synth.engines.hf.generating import Order, generate, let_go, out_of_memory

        loaded, batches = self._loaded, self._batches
        assert loaded is not None
        assert batches is not None

        def unwanted(row: Row[_Work, Written | Failure]) -> Callable[[], bool]:
            return lambda: row.unwanted or batches.closing

        orders = [Order(row.work.prompt, row.work.seed, row.work.most, unwanted(row)) for row in rows]
        try:
            written = generate(loaded, orders, rows[0].work.sampling)
        except Exception as error:  # as many kinds as models raise
            said, short = f"{type(error).__name__}: {error}"[:500], out_of_memory(error)
        else:
            self._lost = 0
            return list(written)
        # Outside of the handler, where the error no longer holds on to the batch's tensors.
        if short:
            let_go(loaded.device)
            self._short_of_memory(rows, batches)
        if len(rows) > 1:
            half = len(rows) // 2
            return self._compute(rows[:half]) + self._compute(rows[half:])
        self._lost += 1
        if self._lost >= _LOST:
            raise EndpointError(f"{loaded.name} fails at everything: {said}")
        return [Failure("server", said)]

    def _short_of_memory(
        self, rows: list[Row[_Work, Written | Failure]], batches: Batches[_Work, Written | Failure]
    ) -> None:
        """Make no batch of this size again."""
        tokens = max(row.tokens for row in rows) * len(rows)
        if len(rows) > 1 and tokens // 2 < batches.most_tokens:
            batches.most_tokens = tokens // 2
            self._notice(
                f"{self.endpoint.identity.name}: out of memory on {len(rows)} samples; from here on batches "
                f"hold {batches.most_tokens:,} tokens (max_batch_tokens)"
            )
