from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from lpt_core import (
    EndpointError,
    StoreError,
)
from lpt_synth.engines import retry
from lpt_synth.engines.openai import OpenAIEngine
from lpt_synth.types import Completion, Failure

BUSY = (429, {"error": {"message": "slow down"}}, {"Retry-After": "0"})
KEY = "s3cret-hunter2-s3cret"


def refuse(message: str, status: int = 400, **more: object):
    return status, {"error": {"message": message, **more}}


# ---- what stops a run ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refuse("bad key", 401), ["401", "bad key", "LPT_KEY"]),
        (refuse("no rights", 403), ["403", "no rights", "LPT_KEY", "model m"]),
        (refuse("model not found", 404), ["404", "no model 'm'", "/v1"]),
        (refuse("pay first", 402), ["402", "credit"]),
        (refuse("quota", 429, code="insufficient_quota"), ["429", "credit"]),
        ((405, b""), ["405", "base_url"]),
        ((301, b"", {"Location": "https://elsewhere/v1"}), ["301", "moved to https://elsewhere/v1"]),
    ],
)
def test_what_no_request_gets_around_stops_the_run_at_once(table, monkeypatch, answer, words):
    monkeypatch.setenv("LPT_KEY", KEY)
    with pytest.raises(EndpointError) as caught:
        table.ask(lambda body, _: answer, api_key_env="LPT_KEY")
    for word in [*words, "http://127.0.0.1"]:
        assert word in str(caught.value)
    assert KEY not in str(caught.value)


def test_401_without_a_key_says_where_to_name_one(table):
    with pytest.raises(EndpointError, match=r"wants a key.*\n.*api_key_env"):
        table.ask(lambda body, _: refuse("who are you?", 401))


@pytest.mark.parametrize(("value", "words"), [(None, "is not set"), (" ", "is not set"), ("ä", "no HTTP")])
def test_a_key_that_is_not_there_is_told_before_anything_is_sent(table, monkeypatch, value, words):
    monkeypatch.delenv("LPT_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("LPT_KEY", value)
    with pytest.raises(EndpointError, match=words) as caught:
        table.ask(lambda body, _: table.say("x"), api_key_env="LPT_KEY")
    assert "LPT_KEY" in str(caught.value)


def test_the_same_refusal_of_everything_is_not_paid_for_ten_thousand_times(table):
    calls: list[int] = []

    def answer(body, call):
        calls.append(call)
        return refuse(f"request {call}: top_p is not allowed here")

    async def act(engine, server):
        for i in range(1000):
            await engine.complete(table.request(str(i)), (0,))

    with pytest.raises(EndpointError, match=r"the first 20 requests were all refused.*top_p"):
        table.play(answer, act)
    assert len(calls) == retry.REFUSALS


def test_a_server_that_is_not_there_stops_the_run_when_patience_is_out(table):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"

    async def act(engine, server):
        return await engine.complete(table.request(), (0,))

    with pytest.raises(EndpointError, match=r"nothing has succeeded for \d+ s"):
        table.play(lambda *_: None, act, base_url=url, patience_s=0.4, max_attempts=2)


def test_a_server_that_comes_up_late_is_waited_for(table):
    async def run():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        from aiohttp import web

        server = table.Server(lambda body, _: table.say("x"))
        server.url = f"http://127.0.0.1:{port}/v1"
        async with table.engine(server, max_attempts=2, patience_s=20) as engine:
            asked = [asyncio.ensure_future(engine.complete(table.request(str(i)), (0,))) for i in range(8)]
            await asyncio.sleep(0.3)
            assert not any(one.done() for one in asked)
            app = web.Application()
            app.router.add_post("/{path:.*}", server.handle)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            replies = await asyncio.wait_for(asyncio.gather(*asked), 20)
            await runner.cleanup()
            return replies

    for reply in asyncio.run(run()):
        assert reply.outcomes == (Completion("x"),)
        assert reply.sent > 1


def test_a_server_that_only_breaks_stops_the_run_instead_of_burning_every_item(table):
    async def act(engine, server):
        failed = 0
        for i in range(1000):
            reply = await engine.complete(table.request(str(i)), (0,))
            failed += isinstance(reply.outcomes[0], Failure)
        return failed

    with pytest.raises(EndpointError, match="out of memory"):
        table.play(lambda body, _: refuse("out of memory", 500), act, patience_s=0.3, max_attempts=3)


def test_one_poisonous_request_harms_no_other(table):
    def answer(body, _):
        return refuse("boom", 500) if "poison" in str(body["messages"]) else table.say("x")

    async def act(engine, server):
        texts = ["poison" if i % 7 == 0 else str(i) for i in range(70)]
        return await asyncio.gather(*(engine.complete(table.request(t), (0, 1)[:1]) for t in texts))

    replies = table.play(answer, act, patience_s=0.0, max_attempts=3)
    assert sum(isinstance(r.outcomes[0], Completion) for r in replies) == 60


# ---- secrets ---------------------------------------------------------------------------------------------


def test_the_key_is_sent_and_is_in_no_message_repr_or_log(table, monkeypatch, caplog):
    monkeypatch.setenv("LPT_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []

    def answer(body, call):
        return refuse(f"Bearer {KEY} is unknown field seed") if "seed" in body else refuse(f"your key {KEY}!")

    async def act(engine, server):
        reply = await engine.complete(table.request(), (0,))
        seen.extend([repr(engine), str(engine), repr(vars(engine)), repr(reply)])
        seen.extend(repr(value) for value in vars(engine).values())
        return server.headers[0]["Authorization"]

    header = table.play(answer, act, api_key_env="LPT_KEY", notice=seen.append)
    assert header == f"Bearer {KEY}"
    assert "your key ***!" in "".join(seen)
    assert not [text for text in [*seen, caplog.text] if KEY in text]


def test_the_key_is_in_no_error_about_a_broken_connection(table, monkeypatch):
    monkeypatch.setenv("LPT_KEY", KEY)
    for answer in ("cut", "close", b"HTTP nonsense " + KEY.encode(), refuse(KEY, 500)):
        reply, _ = table.ask(lambda body, _, a=answer: a, api_key_env="LPT_KEY", max_attempts=2)
        assert KEY not in repr(reply)


# ---- keeping ---------------------------------------------------------------------------------------------


def test_an_answer_is_in_flight_until_it_is_durable(table):
    gate = asyncio.Event()
    committed: list[tuple[int, ...]] = []
    began: list[str] = []

    async def commit(request, samples, reply):
        began.append(request.key)
        await gate.wait()
        committed.append(tuple(samples))

    async def act(engine, server):
        asked = [asyncio.ensure_future(engine.complete(table.request(str(i)), (0,))) for i in range(5)]
        await table.until(lambda: len(began) == 2)
        held = engine.limiter.in_flight, len(server.calls), any(one.done() for one in asked)
        gate.set()
        await asyncio.gather(*asked)
        return held, engine.limiter.in_flight

    played = table.play(lambda body, _: table.say("x"), act, commit=commit, concurrency=2)
    assert played == ((2, 2, False), 0)
    assert committed == [(0,)] * 5


def test_failures_are_committed_too(table):
    committed = []

    async def commit(request, samples, reply):
        committed.append((tuple(samples), reply))

    reply, _ = table.ask(lambda body, _: refuse("too long", 413), samples=(0, 1), commit=commit)
    assert committed == [((0, 1), reply)]


def test_a_store_that_cannot_write_stops_the_run_and_holds_no_slot(table):
    async def commit(request, samples, reply):
        raise StoreError("the disk is full.")

    async def act(engine, server):
        with pytest.raises(StoreError, match="disk is full"):
            await engine.complete(table.request(), (0,))
        return engine.limiter.in_flight

    assert table.play(lambda body, _: table.say("x"), act, commit=commit) == 0


def test_one_single_that_stops_the_run_cancels_its_fellows(table):
    async def answer(body, call):
        if call == 1:
            return refuse("n must be 1")
        await asyncio.sleep(0 if call == 2 else 5)
        return refuse("bad key", 401)

    async def act(engine, server):
        with pytest.raises(EndpointError):
            await engine.complete(table.request(), (0, 1, 2))
        left = [task for task in asyncio.all_tasks() if "OpenAIEngine" in repr(task.get_coro())]
        return engine.limiter.in_flight, left

    assert table.play(lambda body, call: answer(body, call), act) == (0, [])


def test_cancelling_gives_all_slots_back(table):
    async def never():
        await asyncio.sleep(30)

    async def act(engine, server):
        asked = [asyncio.ensure_future(engine.complete(table.request(str(i)), (0,))) for i in range(9)]
        await asyncio.sleep(0.1)
        taken = engine.limiter.in_flight
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        return taken, engine.limiter.in_flight, engine.limiter.waiting

    assert table.play(lambda body, _: never(), act, concurrency=3) == (3, 0, 0)


def test_it_must_be_opened_first(table):
    async def run():
        server = table.Server(lambda body, _: None)
        async with server.running():
            endpoint_engine = None
            async with table.engine(server) as engine:
                endpoint_engine = engine.endpoint
            engine = OpenAIEngine(endpoint_engine, images=lambda ref: None)
            with pytest.raises(RuntimeError, match="open"):
                await engine.complete(table.request(), (0,))

    asyncio.run(run())


# ---- proxies ---------------------------------------------------------------------------------------------


def test_a_loopback_address_never_goes_through_the_proxy(table, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert table.ask(lambda body, _: table.say("x"))[0].outcomes == (Completion("x"),)


def test_the_environment_s_proxy_is_used_for_others(table, monkeypatch):
    async def run():
        async with table.Server(lambda body, _: table.say("through")).running() as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
            monkeypatch.setenv("no_proxy", "other.invalid")
            async with table.engine(proxy, base_url="http://models.invalid/v1") as engine:
                return await engine.complete(table.request(), (0,)), proxy.headers[0]["Host"]

    reply, host = asyncio.run(run())
    assert (reply.outcomes, host) == ((Completion("through"),), "models.invalid")


def test_a_proxy_of_another_kind_is_told(table, monkeypatch):
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
    with pytest.raises(EndpointError, match="neither http nor https"):
        table.ask(lambda body, _: table.say("x"), base_url="http://models.invalid/v1")
