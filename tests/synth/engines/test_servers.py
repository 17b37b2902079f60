"""Several servers of one model: balanced, left out when they are gone, taken back when they answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from lpt_core import EndpointError
from lpt_synth.config import OpenAIEndpoint
from lpt_synth.engines.limit import START
from lpt_synth.engines.limiter import Limiter
from lpt_synth.types import Completion


class Server:
    """A server on a port of its own that can be killed and started again."""

    def __init__(self, name: str, service_s: float = 0.005) -> None:
        self.name = name
        self.service_s = service_s
        self.port = 0
        self.calls: Counter[str] = Counter()
        self.answered = 0
        self.open = 0
        self.broken = False
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.calls[body["messages"][0]["content"]] += 1
        self.open += 1
        try:
            if self.broken:
                return web.json_response({"error": {"message": "EngineDeadError"}}, status=500)
            await asyncio.sleep(self.service_s)
            self.answered += 1
            choices = [{"index": i, "message": {"content": "same"}} for i in range(body.get("n", 1))]
            return web.json_response({"model": self.name, "choices": choices})
        finally:
            self.open -= 1

    @staticmethod
    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": []})

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/v1/models", self.models)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def kill(self) -> None:
        """Cut all connections, answer nobody."""
        runner, self._runner = self._runner, None
        if runner is not None:
            for connection in list(runner.server.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()


@asynccontextmanager
async def engine_at(table: Any, *servers: Server, **options: Any):
    async with AsyncExitStack() as stack:
        for server in servers:
            await server.start()
            stack.push_async_callback(server.kill)
        urls = [server.url for server in servers]
        engine = await stack.enter_async_context(
            table.engine(table.Server(lambda *_: None), base_url=urls, **options)
        )
        yield engine


def run(act: Any) -> Any:
    return asyncio.run(asyncio.wait_for(act, 30))


def test_requests_are_spread_over_all_servers(table: Any) -> None:
    async def act():
        servers = [Server(name) for name in "abc"]
        async with engine_at(table, *servers) as engine:
            asked = (engine.complete(table.request(str(i)), (0,)) for i in range(120))
            replies = await asyncio.gather(*asked)
            assert engine.limiter.in_flight == 0
        return replies, [server.answered for server in servers]

    replies, answered = run(act())
    assert sum(answered) == 120
    assert min(answered) > 24
    assert all(reply.outcomes == (Completion("same"),) and reply.sent == 1 for reply in replies)


def test_the_one_with_free_slots_is_asked(table: Any) -> None:
    async def act():
        slow, quick = Server("slow", service_s=0.3), Server("quick", service_s=0.005)
        async with engine_at(table, slow, quick, concurrency=4) as engine:
            await asyncio.gather(*(engine.complete(table.request(str(i)), (0,)) for i in range(100)))
        return slow.answered, quick.answered

    slow, quick = run(act())
    assert slow + quick == 100
    assert quick > 5 * slow


def test_what_a_killed_server_had_is_answered_by_the_other_and_it_is_taken_back(table: Any) -> None:
    told: list[str] = []
    committed: Counter[str] = Counter()

    async def commit(request: Any, samples: Any, reply: Any) -> None:
        committed[request.key] += len(samples)

    async def act():
        a, b = Server("a", service_s=0.05), Server("b", service_s=0.05)
        async with engine_at(table, a, b, notice=told.append, commit=commit, patience_s=20) as engine:

            async def ask(first: int) -> list[Any]:
                asked = (engine.complete(table.request(str(i)), (0, 1)) for i in range(first, first + 50))
                return await asyncio.gather(*asked)

            first = asyncio.ensure_future(ask(0))
            await table.until(lambda: b.open > 4 and b.answered > 0)
            await b.kill()
            first = await first
            before = b.answered
            assert len(told) == 1, told
            # Nothing is sent to it while it is gone.
            sent = engine.sent
            second = await ask(50)
            assert (engine.sent - sent, b.answered) == (50, before)
            await b.start()
            await table.until(lambda: len(told) == 2)
            third = await ask(100)
            assert b.answered > before
            return first + second + third, b.url

    replies, url = run(act())
    assert [reply.outcomes for reply in replies] == [(Completion("same"), Completion("same"))] * 150
    assert set(committed.values()) == {2}
    assert len(committed) == 150
    assert told[0].startswith(f"{url} is left out: ")
    assert told[1] == f"{url} answers again and is taken back"


def test_a_server_that_breaks_down_over_everything_swallows_no_requests(table: Any) -> None:
    async def act():
        a, b = Server("a", service_s=0.01), Server("b")
        b.broken = True
        async with engine_at(table, a, b, concurrency=4, max_attempts=12) as engine:
            asked = (engine.complete(table.request(str(i)), (0,)) for i in range(100))
            replies = await asyncio.gather(*asked)
            b.broken = False
            while not b.answered:
                await asyncio.gather(*(engine.complete(table.request("more"), (0,)) for _ in range(8)))
        return replies, sum(b.calls.values())

    replies, wasted = run(act())
    assert all(reply.outcomes == (Completion("same"),) for reply in replies)
    assert wasted < 100


def test_where_all_are_gone_they_are_waited_for_and_then_the_run_stops(table: Any) -> None:
    async def act():
        a, b = Server("a"), Server("b")
        async with engine_at(table, a, b, patience_s=0.4, max_attempts=2) as engine:
            await engine.complete(table.request(), (0,))
            await a.kill()
            await b.kill()
            await asyncio.gather(*(engine.complete(table.request(str(i)), (0,)) for i in range(8)))

    with pytest.raises(EndpointError, match=r"http://127\S+ and 1 more \(m\): nothing has succeeded"):
        run(act())


def test_where_all_were_gone_the_first_that_comes_back_is_asked(table: Any) -> None:
    async def act():
        a, b = Server("a"), Server("b")
        async with engine_at(table, a, b, patience_s=20) as engine:
            await a.kill()
            await b.kill()
            asked = [asyncio.ensure_future(engine.complete(table.request(str(i)), (0,))) for i in range(8)]
            await asyncio.sleep(0.1)
            assert not any(one.done() for one in asked)
            await b.start()
            return await asyncio.gather(*asked)

    assert all(reply.outcomes == (Completion("same"),) for reply in run(act()))


def test_a_wrong_key_stops_the_run_and_names_the_server(table: Any) -> None:
    async def act():
        async with table.Server(lambda *_: (401, {"error": {"message": "who?"}})).running() as wrong:
            urls = [wrong.url, "http://127.0.0.1:9/v1"]
            async with table.engine(wrong, base_url=urls) as engine:
                await engine.complete(table.request(), (0,))

    with pytest.raises(EndpointError, match=r"http://127\S+ wants a key"):
        run(act())


def test_which_server_answers_is_no_part_of_what_is_asked() -> None:
    one = OpenAIEndpoint(base_url="http://a/v1", model="m")
    many = OpenAIEndpoint(base_url=("http://b/v1", "http://c/v1/"), model="m")
    assert one.identity == many.identity
    assert many.urls == ("http://b/v1", "http://c/v1")
    assert many.parallel == 2 * one.parallel


@pytest.mark.parametrize(
    "urls", [[], ["http://a/v1", "http://a/v1/"], ["a"], [5], 5, None, ["http://u:p@h/v1"], {"a": "b"}]
)
def test_odd_lists_of_servers_are_refused(urls: Any) -> None:
    with pytest.raises(ValueError, match=r"URL|server twice|credentials"):
        OpenAIEndpoint(base_url=urls, model="m")


def test_slots_go_to_the_least_busy_and_not_to_one_that_is_left_out() -> None:
    async def act():
        limiter = Limiter(100, servers=3)
        taken = [await limiter.acquire(0) for _ in range(6)]
        assert sorted(slot.server for slot in taken) == [0, 0, 1, 1, 2, 2]
        limiter.leave_out(1)
        assert limiter.limit == 2 * START
        assert {(await limiter.acquire(0)).server for _ in range(2 * START - 4)} == {0, 2}
        waiting = [asyncio.ensure_future(limiter.acquire(1)) for _ in range(3)]
        await asyncio.sleep(0)
        assert limiter.waiting == 3
        for slot in taken:
            if slot.server == 1:
                limiter.release(slot)
        assert limiter.waiting == 3
        limiter.take_back(1, anew=True)
        await asyncio.sleep(0)
        assert [one.done() for one in waiting] == [True, False, False]
        limiter.leave_out(0)
        limiter.leave_out(1)
        limiter.leave_out(2)
        assert limiter.limit == 2 * START + 1, "where none is left, all are tried"
        for one in waiting:
            one.cancel()

    asyncio.run(act())
