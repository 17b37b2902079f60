"""What vLLM's /metrics say, and how the limit follows it: against a server that queues as vLLM does."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from lpt_core import uniform
from lpt_synth.engines import load
from lpt_synth.engines.limit import FLOOR, START, Limit
from lpt_synth.engines.load import Load, read_load

# As vllm 0.32's server wrote it, shortened.
PAGE = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 12.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 99.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
"""


# ---- the page ------------------------------------------------------------------------------------------


def test_running_waiting_and_the_cache_are_read() -> None:
    assert read_load(PAGE.encode(), "m") == Load(12, 3, 0.25)
    assert read_load(PAGE.replace("kv_cache", "gpu_cache").encode()) == Load(12, 3, 0.25)
    assert read_load(b"vllm:num_requests_running 1\nvllm:num_requests_waiting 2e0 1700000000") == Load(1, 2)


def test_the_engines_of_a_server_are_added_up_and_other_models_are_passed_over() -> None:
    second = PAGE.replace('engine="0"', 'engine="1"').replace("0.25", "0.75")
    other = PAGE.replace('"m"', '"other"')
    assert read_load((PAGE + second + other).encode(), "m") == Load(24, 6, 0.75)
    assert read_load((PAGE + other).encode(), "an alias") == Load(24, 6, 0.25)


@pytest.mark.parametrize(
    "page",
    [
        "",
        "<html>not found</html>",
        "vllm:num_requests_running 1",
        "vllm:num_requests_waiting 1",
        PAGE.replace("3.0", "NaN"),
        PAGE.replace("3.0", "+Inf"),
        PAGE.replace("3.0", "-1"),
        PAGE.replace("3.0", "1e300"),
        PAGE.replace("3.0", "many"),
        PAGE.replace("\nvllm", "\n vllm"),
    ],
)
def test_what_cannot_be_true_is_no_load(page: str) -> None:
    assert read_load(page.encode(), "m") is None


def test_a_cache_fuller_than_full_is_unknown() -> None:
    assert read_load(PAGE.replace("0.25", "87").encode()) == Load(12, 3, None)


@given(st.binary() | st.lists(st.sampled_from([*PAGE.split("\n"), "vllm:num_requests_waiting{", "\x00"]))
       .map(lambda lines: "\n".join(lines).encode()), st.text())  # fmt: skip
def test_no_page_raises(raw: bytes, model: str) -> None:
    read_load(raw, model)


# ---- the limit -----------------------------------------------------------------------------------------


def full(limit: Limit) -> None:
    while limit.in_flight < limit.limit:
        limit.take()


def test_it_doubles_while_nothing_waits_and_stops_at_the_ceiling() -> None:
    limit, seen = Limit(100), []
    for _ in range(4):
        full(limit)
        limit.observe(Load(limit.in_flight, 0, 0.1))
        seen.append(limit.limit)
    assert seen == [2 * START, 4 * START, 100, 100]


def test_one_look_at_a_queue_holds_and_the_second_sets_it_to_what_runs_and_a_little() -> None:
    limit = Limit(400)
    limit._limit = 200.0
    full(limit)
    limit.observe(Load(100, 100))
    assert limit.limit == 200
    limit.observe(Load(100, 100))
    assert limit.limit == 105
    # What was in flight is still draining: that is no reason to cut again.
    for left in (180, 150, 120):
        limit.in_flight = left
        limit.observe(Load(100, left - 100))
        assert limit.limit == 105


def test_sequences_are_not_requests() -> None:
    limit = Limit(400)
    limit._limit = 40.0
    full(limit)
    for _ in range(2):
        limit.observe(Load(200, 200))  # n = 10
    assert limit.limit == 21


def test_a_full_cache_stops_growth_and_nothing_shall_wait_for_it() -> None:
    limit = Limit(400)
    full(limit)
    limit.observe(Load(16, 0, 0.6))
    assert limit.limit == 24, "no more than what fits"
    full(limit)
    limit.observe(Load(24, 0, 0.93))
    assert limit.limit == 24
    for _ in range(2):
        limit.observe(Load(23, 1, 0.99))
    assert limit.limit == 23


def test_a_server_that_others_fill_is_asked_little_and_not_nothing() -> None:
    limit = Limit(400)
    for _ in range(20):
        limit.in_flight = limit.limit
        limit.observe(Load(256, 5000))
    assert limit.limit == FLOOR
    small = Limit(2)
    full(small)
    for _ in range(20):
        small.observe(Load(256, 5000))
    assert small.limit == 2


def test_a_server_that_says_nothing_any_more_is_judged_by_its_answers_again() -> None:
    limit = Limit(400)
    full(limit)
    limit.observe(Load(16, 0))
    full(limit)
    limit.give_back(limit.take(), throttled=False, succeeded=True)
    assert limit.limit == 2 * START, "answers do not raise what metrics guide"
    limit.observe(None)
    full(limit)
    limit.give_back(limit.take(), throttled=False, succeeded=True)
    assert limit.limit == 2 * START + 1


# ---- the limit against a simulated server ----------------------------------------------------------------


@dataclass
class Simulated:
    """A server of ``slots`` sequences that lets the rest wait, in steps of a tenth of a second."""

    slots: int
    mean_s: float
    n: int = 1
    seed: int = 0
    requests: list[list[float]] = field(default_factory=list)

    def step(self, limit: Limit) -> int:
        """One step in which the client sends what it may. Returns how many sequences run."""
        for _ in [request for request in self.requests if not any(request)]:
            limit.give_back(0, throttled=False, succeeded=True)
        self.requests = [request for request in self.requests if any(request)]
        while limit.in_flight < limit.limit:
            limit.take()
            self.seed += 1
            length = self.mean_s * (0.5 + uniform(self.seed, "length"))
            self.requests.append([length] * self.n)
        works = 0
        for request in self.requests:
            for at, left in enumerate(request):
                if left and works < self.slots:
                    works += 1
                    request[at] = max(0.0, left - 0.1)
        return works

    def load(self, works: int) -> Load:
        left = sum(1 for request in self.requests for one in request if one)
        return Load(works, max(0, left - works), 0.5)


@pytest.mark.parametrize(("slots", "n"), [(4, 1), (8, 1), (100, 1), (100, 10)])
@pytest.mark.parametrize("mean_s", [1.5, 12.0])
def test_it_settles_within_a_tenth_of_what_the_server_runs(slots: int, n: int, mean_s: float) -> None:
    limit, server = Limit(2000), Simulated(slots, mean_s, n)
    sent: list[int] = []
    kept_busy: list[float] = []
    for tick in range(800):
        works = server.step(limit)
        if tick % 10 == 9:
            limit.observe(server.load(works))
        if tick > 400:
            sent.append(works + round(server.load(works).waiting))
            kept_busy.append(works / slots)
    mean = sum(sent) / len(sent)
    assert sum(kept_busy) / len(kept_busy) > 0.97
    assert mean <= max(1.1 * slots + n, FLOOR), f"{mean} in flight, where {slots} run"
    assert max(sent) <= max(1.3 * slots + 2 * n, FLOOR)


# ---- the whole, against a server with a queue --------------------------------------------------------------


@dataclass
class Queueing:
    """Serves ``slots`` requests at a time, lets any number wait, and never says 429: as vLLM does."""

    slots: int
    service_s: float = 0.03
    page: Callable[[Queueing], Any] | None = None
    url: str = ""
    here: int = 0
    answered: int = 0
    looks: int = 0
    history: list[int] = field(default_factory=list)

    async def complete(self, _: web.Request) -> web.Response:
        self.here += 1
        try:
            async with self._gate:
                await asyncio.sleep(self.service_s)
            self.answered += 1
            return web.json_response({"choices": [{"message": {"content": "x"}}]})
        finally:
            self.here -= 1

    async def metrics(self, _: web.Request) -> web.Response:
        self.looks += 1
        self.history.append(self.here)
        if self.page is not None:
            return self.page(self)
        running = min(self.here, self.slots)
        page = PAGE.replace("12.0", str(running)).replace("3.0", str(self.here - running))
        return web.Response(text=page)

    @asynccontextmanager
    async def running(self):
        self._gate = asyncio.Semaphore(self.slots)
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/metrics", self.metrics)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LOOK_S", 0.05)


def serve(table: Any, server: Queueing, requests: int, **options: Any) -> Any:
    async def run() -> Any:
        async with server.running(), table.engine(server, concurrency=400, **options) as engine:
            asked = (engine.complete(table.request(str(i)), (0,)) for i in range(requests))
            await asyncio.wait_for(asyncio.gather(*asked), 30)
            return engine.limiter.limit

    return asyncio.run(run())


def test_over_http_concurrency_settles_too_and_nothing_is_refused(table: Any) -> None:
    server = Queueing(20, service_s=0.15)
    serve(table, server, 240)
    assert server.answered == 240
    settled = server.history[len(server.history) // 2 : -2]
    assert len(settled) >= 4
    assert 0.8 * 20 <= statistics.median(settled) <= 1.3 * 20, server.history


def test_without_metrics_the_same_server_is_swamped(table: Any) -> None:
    server = Queueing(8)
    assert serve(table, server, 100, metrics=False) > 5 * 8
    assert server.looks == 0


ODD = {
    "none": lambda _: web.Response(status=404),
    "moved": lambda _: web.Response(status=307, headers={"Location": "/elsewhere"}),
    "another's": lambda _: web.Response(text="process_cpu_seconds_total 1\n"),
    "nonsense": lambda _: web.Response(body=b"vllm:num_requests_waiting \xff\n" * 1000),
    "not true": lambda _: web.Response(text=PAGE.replace("12.0", "NaN")),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_metrics_change_nothing_and_are_looked_at_once(table: Any, name: str) -> None:
    server = Queueing(8, service_s=0.01, page=ODD[name])
    assert serve(table, server, 100) > 5 * 8
    assert server.looks == 1


def test_metrics_that_stop_are_done_without(table: Any) -> None:
    def page(server: Queueing) -> web.Response:
        text = PAGE.replace("12.0", "4").replace("3.0", "40")
        return web.Response(text=text) if server.looks < 5 else web.Response(status=500)

    server = Queueing(40, service_s=0.01, page=page)
    limit = serve(table, server, 300)
    assert limit > START, "held low by the metrics first, raised by answers after"
    assert server.looks == 5


def test_a_server_that_is_still_starting_is_looked_at_again_and_then_rarely() -> None:
    async def act(pages: list[bytes | None]) -> tuple[int, list[Load | None]]:
        left, told = list(pages), []

        async def look() -> bytes | None:
            return left.pop(0) if left else None

        watching = asyncio.ensure_future(load.watch(look, told.append, lambda: True))
        await asyncio.sleep(0.3)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return len(pages) - len(left), told

    page = PAGE.encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "LOOK_S", 0.0)
        assert asyncio.run(act([None] * 5 + [page, page, None, page])) == (
            8,
            [Load(12, 3, 0.25)] * 2 + [None],
        )
        assert asyncio.run(act([None] * 50)) == (load.STARTING, [])
