"""The one loop of a run: read a caption, ask what the store does not hold, store, read, ask on.

Captions are worked on side by side, each through all its stages as fast as its answers come, so that
stages overlap; engines limit how much is in flight. Whatever an engine answers is on disk before anything
reads it. A run that is stopped, killed or out of money goes on where it was.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lpt_core import Caption, DataError, EndpointError, LptError, Problem, StoreError
from lpt_synth.budget import Budget, cost_of, most_it_can_cost
from lpt_synth.captions import CaptionReader
from lpt_synth.config import RunConfig
from lpt_synth.flow import Flow, in_turn
from lpt_synth.meter import Meter
from lpt_synth.sources import SourceRow
from lpt_synth.store import Store
from lpt_synth.types import Completion, Engine, Outcome, Request, Role

_WINDOW_OF_TURNS = 4096  # captions
_GRACE_S = 20.0  # how long answers under way may take after a stop


@dataclass(slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        stopped: Why it ended early; None if it went through.
        error: The error that stopped it, if one did.
        tally: Of all captions that were worked on or found complete.
        incomplete: Captions with something missing or failed.
    """

    stopped: Literal["error", "interrupted", "max_cost"] | None = None
    error: LptError | None = None
    tally: Counter[str] = field(default_factory=Counter[str])
    problems: list[Problem] = field(default_factory=list[Problem])
    incomplete: int = 0

    @property
    def done(self) -> bool:
        """Nothing is missing."""
        return self.stopped is None and not self.incomplete


class Runner:
    """Runs a configuration against engines and a store.

    Args:
        config: What to do.
        store: Where outcomes are kept; open for writing.
        engines: Who plays which role; each commits what it answers to a ``Ledger`` on the same store.
        cache: A folder for images that a source holds inside its files.
        max_cost: The most that this run may spend, in the currency of the prices.
        sequential: Ask one thing at a time, in order: for debugging.
    """

    def __init__(
        self,
        config: RunConfig,
        store: Store,
        engines: Mapping[Role, Engine],
        *,
        cache: Path,
        meter: Meter | None = None,
        max_cost: float | None = None,
        sequential: bool = False,
    ) -> None:
        self.config = config
        self.store = store
        self.engines = engines
        self.flow = Flow(config)
        self.plan = self.flow.plan
        self.reader = CaptionReader(config, store, cache)
        self.meter = meter or Meter()
        self.result = RunResult()
        self.sequential = sequential
        self._budget = Budget(max_cost)
        self._bug: Exception | None = None
        self._pending: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- the loop ------------------------------------------------------------------------------------

    async def run(self) -> RunResult:
        """Work through all captions. Errors that stop a run are in the result, not raised."""
        with self._interruptible():
            try:
                for engine in self.engines.values():
                    await engine.open()
                await self._captions()
                await self._drained()
            except LptError as error:
                self.stop("error", error)
                await self._drained()
            finally:
                for engine in self.engines.values():
                    await engine.close()
        if self._bug is not None:
            raise self._bug
        self.result.problems = self.reader.problems
        self.result.tally.update(self.reader.counts)
        return self.result

    async def _captions(self) -> None:
        self.meter.captions = self._count()
        window = 1 if self.sequential else self._window()
        for row in self.reader.rows():
            if self.result.stopped:
                return
            caption = self.reader.known(row)
            if caption is not None and self._sealed(caption, row):
                continue
            while len(self._tasks) >= window:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self._one(row, caption))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _window(self) -> int:
        """How many captions are worked on at once: enough to fill every endpoint, few enough to hold."""
        ends = self.config.endpoints
        # Where models take turns, every window costs loading each of them.
        least = _WINDOW_OF_TURNS if ends.take_turns else 0
        return max(least, 2 * max(ends.asker.parallel, ends.thinker.parallel, ends.expander.parallel))

    def _count(self) -> int | None:
        """How many rows there are, if that is quickly told."""
        deadline, count = self.meter.seconds + 1.0, 0
        for _ in self.reader.rows():
            count += 1
            if self.meter.seconds > deadline:
                return None
        return count

    def _sealed(self, caption: Caption, row: SourceRow) -> bool:
        """Whether a caption is complete, from its seal; counts it then."""
        tally = self.store.seal(caption.id, self.plan)
        if tally is None:
            return False
        if self.reader.is_new(caption, row.where):
            self.result.tally.update(tally)
        self.meter.captions_done += 1
        return True

    async def _one(self, row: SourceRow, caption: Caption | None) -> None:
        """One caption from its row to its seal."""
        try:
            if caption is None:
                made = await asyncio.to_thread(self.reader.inspect, row)
                if isinstance(made, Problem):
                    self.reader.report(made)
                    return
                caption = made
                await self.store.put_image(caption.image)
            if self.reader.is_new(caption, row.where):
                await self._grow(caption)
        except LptError as error:
            self.stop("error", error)
        except Exception as error:  # a bug of ours: it must end the run, not vanish with its task
            self._bug = self._bug or error
            self.stop("error")
        finally:
            self.meter.captions_done += 1

    async def _grow(self, caption: Caption) -> None:
        tree = await self.flow.grow(caption, self.fetch, in_turn if self.sequential else _at_once)
        self.result.tally.update(tree.tally)
        if tree.complete:
            await self.store.put_seal(caption.id, self.plan, dict(tree.tally))
        else:
            self.result.incomplete += 1

    # ---- one request ---------------------------------------------------------------------------------

    async def fetch(self, request: Request) -> Sequence[Outcome | None]:
        """The outcomes of a request: from the store, and for what is not there from the engine."""
        while (pending := self._pending.get(request.key)) is not None:
            await pending
        stage = self.meter.stages[request.stage]
        outcomes: dict[int, Outcome] = self.store.get(request.key)
        missing = [s for s in range(request.n) if not isinstance(outcomes.get(s), Completion)]
        stage.wanted += request.n
        stage.stored += request.n - len(missing)
        if missing and not self.result.stopped:
            self._pending[request.key] = asyncio.get_running_loop().create_future()
            try:
                outcomes |= await self._asked(request, missing, new=not outcomes)
            finally:
                self._pending.pop(request.key).set_result(None)
        return [outcomes.get(sample) for sample in range(request.n)]

    async def _asked(self, request: Request, samples: list[int], *, new: bool) -> dict[int, Outcome]:
        """Ask the engine; what it answers is stored by ``commit`` before it comes back here."""
        endpoint = self.config.endpoints.of(request.role)
        assert endpoint is not None
        most = most_it_can_cost(endpoint, request, len(samples))
        if not await self._budget.reserve(most):
            self.stop("max_cost")
        if self.result.stopped:
            return {}
        cost = 0.0
        try:
            if new:
                await self._tell_why(request)
            reply = await self.engines[request.role].complete(request, samples)
            cost = cost_of(endpoint, reply)
        except (EndpointError, StoreError, DataError) as error:
            self.stop("error", error)
            return {}
        finally:
            await self._budget.settle(most, cost)
        stage = self.meter.stages[request.stage]
        answered = sum(isinstance(outcome, Completion) for outcome in reply.outcomes)
        stage.answered += answered
        stage.failed += len(samples) - answered
        return dict(zip(samples, reply.outcomes, strict=True))

    async def _tell_why(self, request: Request) -> None:
        """Where the item was asked about before, remember what made this another request."""
        others = self.store.others_of(request)
        if not others:
            return
        mine = request.parts
        changed = min(([n for n in mine if mine[n] != other.get(n)] for other in others), key=len)
        reason = " and ".join(changed) if changed else "the cue, the caption or the options"
        await self.store.count_again(request.stage, f"{reason} changed")

    # ---- stopping ------------------------------------------------------------------------------------

    def stop(
        self, reason: Literal["error", "interrupted", "max_cost"], error: LptError | None = None
    ) -> None:
        """Send nothing more. What is under way is waited for, for a while."""
        if self.result.stopped is None:
            self.result.stopped = reason
            self.result.error = error

    async def _drained(self) -> None:
        """Wait for all captions; after a stop, not for ever."""
        waited = 0.0
        while self._tasks and waited < _GRACE_S:
            await asyncio.wait(self._tasks, timeout=0.2)
            waited = waited + 0.2 if self.result.stopped else 0.0
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @contextmanager
    def _interruptible(self) -> Generator[None]:
        """The first Ctrl-C or SIGTERM stops with grace, the second at once."""
        loop = asyncio.get_running_loop()

        def interrupted() -> None:
            if self.result.stopped:
                for task in self._tasks:
                    task.cancel()
            self.stop("interrupted")

        handled: list[signal.Signals] = []
        for name in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(name, interrupted)
                handled.append(name)
            except (NotImplementedError, RuntimeError, ValueError):
                break  # not in the main thread, or no such thing on this system
        try:
            yield
        finally:
            for name in handled:
                loop.remove_signal_handler(name)


async def _at_once(steps: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Await all side by side."""
    return await asyncio.gather(*steps)
