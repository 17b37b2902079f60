"""How batches are made up and computed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lpt_synth.engines.batches import Batches, Row, next_batch


def rows(*sizes: tuple[str, int]) -> list[Row[str, str]]:
    loop = asyncio.new_event_loop()
    try:
        return [Row(f"{i}", group, length, length + 10, loop.create_future())
                for i, (group, length) in enumerate(sizes)]  # fmt: skip
    finally:
        loop.close()


def test_a_batch_is_the_oldest_row_and_those_nearest_in_length() -> None:
    waiting = rows(("a", 50), ("a", 500), ("b", 50), ("a", 48), ("a", 60), ("a", 5))
    assert [row.work for row in next_batch(waiting, 3, 10_000)] == ["0", "3", "4"]
    assert [row.work for row in next_batch(waiting, 9, 10_000)] == ["0", "3", "4", "5", "1"]
    assert [row.work for row in next_batch(waiting[2:], 9, 10_000)] == ["2"]


def test_a_batch_is_bounded_in_tokens_but_takes_one_row_whatever_it_is() -> None:
    waiting = rows(("a", 50), ("a", 500), ("a", 48))
    assert [row.work for row in next_batch(waiting, 9, 120)] == ["0", "2"]
    assert [row.work for row in next_batch(waiting, 9, 10)] == ["0"]


class Gate:
    """Computes lengths; each batch waits until it is let through."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self.started = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def compute(self, rows: list[Row[str, int]]) -> list[int]:
        self.seen.append([row.work for row in rows])
        self.started.release()
        assert self.go.acquire(timeout=10)
        if "bad" in self.seen[-1]:
            raise ValueError("bad work")
        return [len(row.work) for row in rows]


def play(act: Callable[[Batches[str, int], Gate], Awaitable[Any]]) -> tuple[Any, Gate]:
    gate = Gate()

    async def go() -> Any:
        batches = Batches(gate.compute, 4, 1000)
        try:
            return await asyncio.wait_for(act(batches, gate), 20)
        finally:
            gate.go.release(100)
            await asyncio.to_thread(batches.close)

    return asyncio.run(go()), gate


def asked(batches: Batches[str, int], *works: str) -> asyncio.Task[list[int]]:
    loop = asyncio.get_running_loop()
    return asyncio.create_task(batches.ask([Row(w, "g", 1, 2, loop.create_future()) for w in works]))


async def until_started(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.started.acquire, timeout=10)


def test_what_comes_while_a_batch_is_computed_makes_up_the_next() -> None:
    async def act(batches: Batches[str, int], gate: Gate) -> list[list[int]]:
        first = asked(batches, "a")
        await until_started(gate)
        later = [asked(batches, "bb", "ccc"), asked(batches, "dddd"), asked(batches, "e", "f")]
        await asyncio.sleep(0)
        gate.go.release(3)
        return await asyncio.gather(first, *later)

    came, gate = play(act)
    assert came == [[1], [2, 3], [4], [1, 1]]
    assert gate.seen == [["a"], ["bb", "ccc", "dddd", "e"], ["f"]]


def test_what_is_cancelled_is_not_computed() -> None:
    async def act(batches: Batches[str, int], gate: Gate) -> list[int]:
        asked(batches, "a")
        await until_started(gate)
        gone, stays = asked(batches, "gone"), asked(batches, "stays")
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        gate.go.release(2)
        return await stays

    came, gate = play(act)
    assert came == [5]
    assert gate.seen == [["a"], ["stays"]]


def test_an_error_goes_to_all_who_wait_for_the_batch_and_the_next_is_computed() -> None:
    async def act(batches: Batches[str, int], gate: Gate) -> list[Any]:
        asked(batches, "a")
        await until_started(gate)
        two = [asked(batches, "bad"), asked(batches, "x")]
        await asyncio.sleep(0)
        gate.go.release(3)
        failed = await asyncio.gather(*two, return_exceptions=True)
        return [*failed, await asked(batches, "good")]

    (first, second, third), _ = play(act)
    assert isinstance(first, ValueError)
    assert isinstance(second, ValueError)
    assert third == [4]


def test_closing_lets_go_of_those_who_wait() -> None:
    async def act(batches: Batches[str, int], gate: Gate) -> None:
        asked(batches, "a")
        await until_started(gate)
        waits = asked(batches, "b")
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(batches.close))
        while not batches.closing:
            await asyncio.sleep(0.001)
        gate.go.release()
        await closing
        with pytest.raises(asyncio.CancelledError):
            await waits

    _, gate = play(act)
    assert gate.seen == [["a"]]
