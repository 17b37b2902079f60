"""What every engine keeps to. Derive a class from ``EngineContract`` in a test module; pytest does the rest.

Example::

    class TestMyEngine(EngineContract):
        @asynccontextmanager
        async def engine(self):
            engine = MyEngine()
            await engine.open()
            yield engine
            await engine.close()
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from lpt_core import Message, Sampling
from lpt_synth.types import NOT_CONTINUED, Completion, Engine, Failure, Model, Reply, Request

T = TypeVar("T")

LONG_PREFILL = "<think> The picture shows a red lighthouse on a grey rock, so the answer must be (B). Wait,"
"""A thought that was begun: what an engine is asked to go on from."""


class EngineContract:
    """The tests. A subclass says how its engine is made.

    Attributes:
        model: Which model the requests are for.
    """

    model = Model("contract")

    def engine(self) -> AbstractAsyncContextManager[Engine]:
        """An engine that is open, and is closed at the end.

        Whatever serves it runs in a loop or process of its own, since the tasks of this one are counted.
        """
        raise NotImplementedError

    def request(self, text: str = "What is in the picture?", n: int = 1, prefill: str = "") -> Request:
        """A request for this engine's model."""
        return Request.make(
            stage="expand" if prefill else "ask",
            role="expander" if prefill else "asker",
            item=text[:20],
            messages=(Message.of("user", text),),
            sampling=Sampling(temperature=0.7, max_tokens=16),
            n=n,
            prompt="contract",
            model=self.model,
            prefill=prefill,
        )

    def with_engine(self, act: Callable[[Engine], Awaitable[T]]) -> T:
        """What ``act`` makes of an open engine, in an event loop of its own."""

        async def run() -> T:
            async with self.engine() as engine:
                return await act(engine)

        return asyncio.run(run())

    def check(self, reply: Reply, samples: int) -> None:
        """Exactly one outcome for each sample, and counts that can be true."""
        assert len(reply.outcomes) == samples
        assert all(isinstance(outcome, Completion | Failure) for outcome in reply.outcomes)
        assert min(reply.input_tokens, reply.output_tokens) >= 0
        assert reply.sent >= 1

    def test_has_a_name(self) -> None:
        """A name, for provenance."""
        assert self.with_engine(_name)

    def test_gives_one_outcome_for_each_sample(self) -> None:
        """Any selection of samples, in any order."""
        for samples in ((0,), (0, 1, 2), (4, 2), (7,)):
            request = self.request(n=8)
            self.check(self.with_engine(lambda e, r=request, s=samples: e.complete(r, s)), len(samples))

    def test_answers_many_requests_at_once(self) -> None:
        """Concurrent calls do not get in each other's way."""

        async def act(engine: Engine) -> list[Reply]:
            requests = [self.request(f"What is in picture {i}?") for i in range(40)]
            return await asyncio.gather(*(engine.complete(request, (0, 1)) for request in requests))

        for reply in self.with_engine(act):
            self.check(reply, 2)

    def test_takes_any_text(self) -> None:
        """Control characters, half surrogate pairs, template syntax: nothing raises."""
        for text in ("", "\x00\x1f\u2028", "half a pair: \ud83d", "\U0001f5fc" * 2000, "{{ x }} <|im_end|>"):
            request = self.request(text)
            self.check(self.with_engine(lambda e, r=request: e.complete(r, (0,))), 1)

    def test_gives_only_what_follows_a_prefill(self) -> None:
        """The prefill is not repeated, and how it was continued is told."""
        for prefill in ("<think>", LONG_PREFILL):
            request = self.request(prefill=prefill)
            reply = self.with_engine(lambda e, r=request: e.complete(r, (0, 1)))
            self.check(reply, 2)
            assert reply.mode
            for outcome in reply.outcomes:
                if isinstance(outcome, Completion) and outcome.finish_reason != NOT_CONTINUED:
                    assert not outcome.text.lstrip().startswith(prefill)

    def test_leaves_nothing_behind_when_it_is_stopped(self) -> None:
        """No task outlives the calls that were cancelled."""

        async def act(engine: Engine) -> int:
            before = len(asyncio.all_tasks())
            asked = [asyncio.ensure_future(engine.complete(self.request(), (0, 1, 2))) for _ in range(8)]
            await asyncio.sleep(0)
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            await engine.close()
            await asyncio.sleep(0)
            return len(asyncio.all_tasks()) - before

        assert self.with_engine(act) <= 0

    def test_can_be_closed_twice(self) -> None:
        """Closing is idempotent."""
        self.with_engine(_close)


async def _name(engine: Engine) -> str:
    return engine.name


async def _close(engine: Engine) -> None:
    await engine.close()
    await engine.close()
