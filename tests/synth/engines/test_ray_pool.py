"""Who is asked what when replicas come and go; no Ray is needed for that."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lpt_core import ConfigError, EndpointError, ImageRef, Message, load_prompt
from lpt_synth.config import OpenAIEndpoint
from lpt_synth.engines.over_ray import pool as module
from lpt_synth.engines.over_ray.pool import LostError, Pool
from lpt_synth.make_engines import make_replica
from lpt_synth.types import Completion, Failure, Reply


class Played:
    """A replica that a test plays."""

    def __init__(self, number: int, dies_at: int = 0, opens: object = None) -> None:
        self.number, self.dies_at, self.opens = number, dies_at, opens
        self.asked = self.busy = self.most = 0
        self.dead = self.closed = False

    async def open(self):
        if isinstance(self.opens, LostError):
            raise self.opens
        return self.opens

    async def close(self) -> None:
        self.closed = True

    async def answer(self, what: int) -> tuple[int, int]:
        if self.dead:
            raise LostError("gone")
        self.asked += 1
        self.busy += 1
        self.most = max(self.most, self.busy)
        self.dead = self.dead or self.asked == self.dies_at
        try:
            await asyncio.sleep(0.001)
        finally:
            self.busy -= 1
        if self.dead:
            raise LostError("its node was switched off")
        return self.number, what


def played(make: Callable[[int], Played], act, replicas: int = 2, slots: int = 3, patience_s: float = 60):
    """What ``act`` makes of a pool, all replicas that there were, and what was told."""
    made: list[Played] = []
    notices: list[str] = []

    def start() -> Played:
        made.append(make(len(made)))
        return made[-1]

    async def run():
        pool = Pool(start, replicas, slots, patience_s, notices.append)
        try:
            return await asyncio.wait_for(act(pool), 20)
        finally:
            await pool.close()
            assert len(asyncio.all_tasks()) == 1
            assert all(one.closed for one in made)

    return asyncio.run(run()), made, notices


async def all_asked(pool: Pool, many: int = 40):
    return await asyncio.gather(*(pool.ask(lambda one, i=i: one.answer(i)) for i in range(many)))


def test_all_replicas_are_asked_and_none_has_more_than_its_slots() -> None:
    answers, made, notices = played(Played, all_asked)
    assert [what for _, what in answers] == list(range(40))
    assert sum(one.asked for one in made) == 40
    assert all(one.asked and one.most <= 3 for one in made)
    assert not notices


def test_what_a_lost_replica_had_is_asked_of_others_and_another_takes_its_place() -> None:
    answers, made, notices = played(lambda n: Played(n, dies_at=5 if n == 1 else 0), all_asked)
    assert [what for _, what in answers] == list(range(40))
    assert len(made) == 3
    assert made[1].asked <= 5 + 2, "only what was in flight is asked twice"
    assert sum(one.asked for one in made) <= 40 + 3
    assert made[2].asked > 0
    assert len(notices) == 1, "one loss is told once, whatever was in flight"
    assert "replica 2 is lost" in notices[0]


def test_a_request_that_kills_every_replica_is_given_up_and_the_others_are_answered() -> None:
    async def act(pool: Pool):
        async def deadly(one: Played):
            one.dead = True
            return await one.answer(0)

        assert await pool.ask(deadly) is None
        return await all_asked(pool, 4)

    answers, made, _ = played(Played, act)
    assert [what for _, what in answers] == [0, 1, 2, 3]
    assert len(made) >= 4


def test_replicas_that_never_live_stop_the_run_with_the_reason() -> None:
    with pytest.raises(EndpointError, match="all replicas died 3 times in a row; the last: out of memory"):
        played(lambda n: Played(n, opens=LostError("out of memory")), all_asked)


def test_what_no_replica_will_ever_do_stops_the_run_at_once() -> None:
    with pytest.raises(ConfigError, match="no such model"):
        played(lambda n: Played(n, opens=ConfigError("no such model")), all_asked)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.01)
    monkeypatch.setattr(module, "_TELL_S", 0.02)

    class Never(Played):
        async def open(self):
            await asyncio.sleep(100)

    told: list[str] = []

    async def act(pool: Pool):
        pool._notice = told.append
        await all_asked(pool)

    with pytest.raises(EndpointError, match=r"no replica was there for 0\.1 s"):
        played(Never, act, patience_s=0.1)
    assert [one for one in told if "ray status" in one] == told[:1] != []


def test_cancelled_calls_give_their_slots_back() -> None:
    async def act(pool: Pool):
        tasks = [asyncio.ensure_future(pool.ask(lambda one: one.answer(0))) for _ in range(30)]
        await asyncio.sleep(0.0005)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return await all_asked(pool, 20)

    answers, _, _ = played(Played, act)
    assert len(answers) == 20


def test_what_an_engine_raises_is_raised() -> None:
    async def act(pool: Pool):
        async def wrong(_: Played):
            raise KeyError("a bug")

        with pytest.raises(KeyError):
            await pool.ask(wrong)
        return await all_asked(pool, 8)

    assert len(played(Played, act)[0]) == 8


def test_what_a_replica_is_told_can_be_pickled(table: Any) -> None:
    shown = ImageRef(path="a.png", sha256=f"{7:064x}", width=4, height=3)
    request = table.request(
        messages=(Message.of("user", "What?", shown),), response_schema={"type": "object"}
    )
    inner = OpenAIEndpoint(base_url="http://h/v1", model="m")
    told = (partial(make_replica, instruct=load_prompt("expand_instruct")), inner, request)
    make, end, asked = pickle.loads(pickle.dumps(told))
    assert (end, asked) == (inner, request)
    assert make(end, images=None, notice=print).name == "openai"
    answered = (Reply((Completion("a"), Failure("server", "b"))), EndpointError("c", "d"))
    assert pickle.loads(pickle.dumps(answered))[0] == answered[0]
