from __future__ import annotations

import asyncio
import logging
import random
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from lpt_core import (
    ConfigError,
    DataError,
    EndpointError,
    ImageRef,
    Message,
    Sampling,
    StoreError,
    derived_int,
)
from lpt_synth.engines import retry
from lpt_synth.engines.openai import OpenAIEngine
from lpt_synth.types import Completion, Failure, Reply

BUSY = (429, {"error": {"message": "slow down"}}, {"Retry-After": "0"})
KEY = "s3cret-hunter2-s3cret"


def refuse(message: str, status: int = 400, **more: object):
    return status, {"error": {"message": message, **more}}


# ---- what is sent ----------------------------------------------------------------------------------------


def test_a_request_carries_what_it_must_and_no_more(table):
    request = table.request("Hi", sampling=Sampling(temperature=0.5, max_tokens=9))
    reply, server = table.ask(lambda body, _: table.say("Hello"), request, (3,), extra_body={"user": "u"})
    assert server.calls == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Hi"}],
            "temperature": 0.5,
            "max_tokens": 9,
            "seed": derived_int(0, request.key, 3, bits=31),
            "user": "u",
        }
    ]
    assert reply == Reply((Completion("Hello"),), 10, 5, 1, "", "played")
    assert server.paths == ["/v1/chat/completions"]
    assert "Authorization" not in server.headers[0]


def test_all_samples_travel_as_one_n_with_the_seed_of_the_first(table):
    request = table.request(n=5)
    reply, server = table.ask(lambda body, _: table.say(*"abc"), request, (4, 0, 2))
    assert [o.text for o in reply.outcomes] == ["a", "b", "c"]
    assert server.calls[0]["n"] == 3
    assert server.calls[0]["seed"] == derived_int(0, request.key, 4, bits=31)


def test_no_seed_where_the_endpoint_wants_none(table):
    _, server = table.ask(lambda body, _: table.say("x"), seeds=False)
    assert "seed" not in server.calls[0]


def test_no_samples_are_no_request(table):
    reply, server = table.ask(lambda body, _: table.say("x"), samples=())
    assert (reply.outcomes, reply.sent, server.calls) == ((), 0, [])


def test_a_body_of_many_megabytes_is_sent_without_a_warning(table):
    image = ImageRef(path="a.png", sha256="0" * 64, width=1, height=1)

    async def large(_: ImageRef) -> str:
        return "data:image/png;base64," + "A" * 3_000_000

    request = table.request(messages=(Message.of("user", "q", image),))
    reply, server = table.ask(lambda body, _: table.say("x"), request, images=large)
    assert reply.outcomes == (Completion("x"),)
    assert len(server.calls[0]["messages"][0]["content"][0]["image_url"]["url"]) > 3_000_000


def test_an_image_that_is_gone_fails_its_request_alone(table):
    image = ImageRef(path="a.png", sha256="0" * 64, width=1, height=1)

    async def gone(_: ImageRef) -> str:
        raise DataError("a.png: not there any more.")

    async def act(engine, server):
        bad = await engine.complete(table.request(messages=(Message.of("user", "q", image),)), (0, 1))
        return bad, await engine.complete(table.request(), (0,)), engine.limiter.in_flight

    bad, good, in_flight = table.play(lambda body, _: table.say("x"), act, images=gone)
    assert bad.outcomes == (Failure("refused", "a.png: not there any more."),) * 2
    assert good.outcomes == (Completion("x"),)
    assert in_flight == 0


def test_what_extra_body_may_not_set_is_refused_at_once(table):
    with pytest.raises(ConfigError, match="may not set temperature"):
        table.ask(lambda body, _: table.say("x"), extra_body={"temperature": 1})


# ---- what is tried again ---------------------------------------------------------------------------------

PASSING = {
    "429": BUSY,
    "408": refuse("slow", 408),
    "409": refuse("conflict", 409),
    "425": refuse("early", 425),
    "500": refuse("boom", 500),
    "502": (502, b"<html>Bad gateway</html>"),
    "503": refuse("overloaded", 503),
    "504": (504, b""),
    "529": refuse("overloaded", 529),
    "cut": "cut",
    "closed": "close",
    "empty": b"",
    "html": b"<html></html>",
    "no choices": {"choices": []},
    "no text": {"choices": [{"message": {"content": None}}]},
    "error in a 200": {"error": {"message": "upstream", "code": 502}},
    "choices that are none": {"choices": [5]},
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_tried_again_until_it_has(table, name):
    reply, server = table.ask(lambda body, call: table.say("x") if call == 3 else PASSING[name])
    assert reply.outcomes == (Completion("x"),)
    assert (reply.sent, len(server.calls)) == (3, 3)
    assert server.calls[0] == server.calls[2]


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("429", "throttled", 429),
        ("500", "server", 500),
        ("408", "timeout", 408),
        ("cut", "connection", None),
        ("closed", "connection", None),
        ("html", "malformed", None),
        ("no text", "malformed", None),
    ],
)
def test_what_never_passes_is_given_up_on_with_its_last_kind(table, name, kind, status):
    reply, server = table.ask(lambda body, _: PASSING[name], samples=(0, 1), max_attempts=3)
    assert len(server.calls) == reply.sent == 3
    assert [o.kind for o in reply.outcomes] == [kind, kind]
    assert reply.outcomes[0].status == status
    assert reply.outcomes[0].message


def test_a_request_that_takes_too_long_is_tried_again(table):
    async def slowly(call):
        await asyncio.sleep(5 if call == 1 else 0)
        return table.say("x")

    reply, _ = table.ask(lambda body, call: slowly(call), timeout_s=0.2)
    assert reply.outcomes == (Completion("x"),)
    assert reply.sent >= 2


@pytest.mark.parametrize("form", ["seconds", "date", "milliseconds"])
def test_retry_after_is_waited_for(table, form):
    def header():
        soon = datetime.now(UTC) + timedelta(seconds=2)  # to the second: at least one from now
        return {
            "seconds": {"Retry-After": "1"},
            "date": {"Retry-After": format_datetime(soon, usegmt=True)},
            "milliseconds": {"retry-after-ms": "900"},
        }[form]

    times: list[float] = []

    def answer(body, call):
        times.append(asyncio.get_running_loop().time())
        return table.say("x") if call == 2 else (429, {}, header())

    table.ask(answer)
    assert times[1] - times[0] >= 0.85


def test_the_slot_is_free_while_a_retry_waits(table):
    def answer(body, _):
        return (429, {}, {"Retry-After": "100"}) if "first" in str(body["messages"]) else table.say("x")

    async def act(engine, server):
        first = asyncio.ensure_future(engine.complete(table.request("first"), (0,)))
        await table.until(lambda: engine.sent == 1 and engine.limiter.in_flight == 0)
        second = await engine.complete(table.request("second"), (0,))
        waiting = not first.done()
        first.cancel()
        return second.outcomes, waiting

    assert table.play(answer, act, concurrency=1) == ((Completion("x"),), True)


def test_one_burst_of_429_cuts_the_limit_once(table):
    together, calm = asyncio.Event(), asyncio.Event()

    async def answer(call):
        if call == 16:
            together.set()
        await (together if call <= 16 else calm).wait()
        return BUSY if call <= 16 else table.say("x")

    async def act(engine, server):
        asked = [asyncio.ensure_future(engine.complete(table.request(str(i)), (0,))) for i in range(16)]
        await table.until(lambda: len(server.calls) == 16 + 8)
        limits = engine.limiter.limit, engine.limiter.in_flight
        calm.set()
        await asyncio.gather(*asked)
        return limits, len(server.calls), engine.limiter.in_flight

    assert table.play(lambda _, call: answer(call), act) == ((8, 8), 32, 0)


def test_concurrency_is_never_exceeded_and_is_reached(table):
    async def answer():
        await asyncio.sleep(0.01)
        return table.say("x")

    async def act(engine, server):
        await asyncio.gather(*(engine.complete(table.request(str(i)), (0,)) for i in range(200)))
        return server.most_open, engine.limiter.limit

    most, limit = table.play(lambda body, _: answer(), act, concurrency=24)
    assert 16 < most <= limit == 24


# ---- n ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal", [refuse("n must be 1"), refuse("'n' : number must be at most 1", 422, param="n")]
)
def test_an_endpoint_that_refuses_n_is_asked_singly_and_that_is_remembered(table, refusal):
    told: list[str] = []

    def answer(body, _):
        return refusal if "n" in body else table.say(str(body["seed"]))

    async def act(engine, server):
        first = await engine.complete(table.request("a"), (0, 1, 2))
        return first, await engine.complete(table.request("b"), (0, 1)), server

    first, second, server = table.play(answer, act, notice=told.append)
    key = table.request("a").key
    assert [o.text for o in first.outcomes] == [str(derived_int(0, key, i, bits=31)) for i in range(3)]
    assert (first.sent, second.sent) == (4, 2)
    assert [call.get("n") for call in server.calls] == [3, None, None, None, None, None]
    assert told == [f"{server.url} (m) refuses n: samples are asked for singly"]


def test_fewer_choices_than_n_are_kept_and_the_rest_asked_singly(table):
    told: list[str] = []
    parts: list[tuple[int, ...]] = []

    async def commit(request, samples, reply):
        parts.append(tuple(samples))

    def answer(body, _):
        return table.say("a", "b") if body.get("n") == 4 else table.say("single")

    request = table.request(n=4)
    reply, _ = table.ask(answer, request, range(4), notice=told.append, commit=commit)
    assert [o.text for o in reply.outcomes] == ["a", "b", "single", "single"]
    assert (reply.sent, reply.input_tokens, reply.output_tokens) == (3, 30, 20)
    assert sorted(parts) == [(0, 1), (2,), (3,)]
    assert "fewer samples than n" in told[0]


def test_more_choices_than_n_are_ignored(table):
    reply, _ = table.ask(lambda body, _: table.say(*"abcd"), samples=(0, 1))
    assert [o.text for o in reply.outcomes] == ["a", "b"]


def test_only_the_choices_that_hold_nothing_are_asked_again(table):
    def answer(body, call):
        return table.say("a", None, "c") if call == 1 else table.say("b")

    reply, server = table.ask(answer, table.request(n=3), range(3))
    assert [o.text for o in reply.outcomes] == ["a", "b", "c"]
    assert [call.get("n") for call in server.calls] == [3, None]


def test_a_refusal_that_leaving_out_n_does_not_mend_is_not_blamed_on_n(table):
    def answer(body, _):
        if "bad" in str(body["messages"]):
            return refuse("n must be 1" if "n" in body else "too long")
        return table.say("a", "b")

    async def act(engine, server):
        bad = await engine.complete(table.request("bad"), (0, 1))
        return bad, await engine.complete(table.request("good"), (0, 1))

    bad, good = table.play(answer, act)
    assert [o.message for o in bad.outcomes] == ["too long", "too long"]
    assert (bad.sent, good.sent) == (3, 1)


# ---- fields that are refused -----------------------------------------------------------------------------

RICH = Sampling(temperature=0.7, top_k=50, repetition_penalty=1.05, max_tokens=9, bad_words=("text",))


def test_every_optional_field_that_is_refused_is_left_out_once_and_told_once(table):
    told: list[str] = []
    unknown = ("top_k", "repetition_penalty", "bad_words", "seed", "response_format")

    def answer(body, _):
        for name in unknown:
            if name in body:
                return refuse(f"Unrecognized request argument supplied: {name}")
        if "max_tokens" in body:
            return refuse("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return table.say("x")

    request = table.request(sampling=RICH, response_schema={"type": "object"})

    async def act(engine, server):
        first = await engine.complete(request, (0,))
        return first, await engine.complete(request, (0,)), server

    first, second, server = table.play(answer, act, notice=told.append, json_schema=True)
    assert (first.sent, second.sent) == (7, 1)
    assert set(server.calls[-1]) == {"model", "messages", "temperature", "max_completion_tokens"}
    assert len(told) == 6
    assert any("max_completion_tokens is sent instead" in line for line in told)


def test_a_value_that_is_wrong_is_not_mended_by_silence(table):
    reply, server = table.ask(lambda body, _: refuse("temperature must be 1"))
    assert reply.outcomes == (Failure("refused", "temperature must be 1", 400),)
    assert len(server.calls) == 1


def test_a_field_whose_absence_does_not_help_is_sent_again_next_time(table):
    async def act(engine, server):
        for _ in range(2):
            await engine.complete(table.request(), (0,))
        return ["seed" in call for call in server.calls]

    assert table.play(lambda body, _: refuse("unknown field seed"), act) == [True, False, True, False]


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


# ---- all at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_every_sample_gets_one_outcome_under_any_faults(table, seed):
    chance = random.Random(seed)
    faults = [*PASSING.values(), refuse("too long", 413), refuse("n must be 1")]
    committed: dict[tuple[str, int], object] = {}

    def answer(body, _):
        n = body.get("n", 1)
        if chance.random() < 0.35:
            return chance.choice(faults)
        texts = [None if chance.random() < 0.1 else f"text {i}" for i in range(n)]
        return table.say(*texts[: max(1, n - (chance.random() < 0.05))])

    async def commit(request, samples, reply):
        assert len(samples) == len(reply.outcomes)
        for sample, outcome in zip(samples, reply.outcomes, strict=True):
            assert (request.key, sample) not in committed
            committed[request.key, sample] = outcome

    async def act(engine, server):
        requests = [table.request(str(i), n=4) for i in range(60)]
        wanted = [tuple(chance.sample(range(4), 1 + i % 4)) for i in range(60)]
        replies = await asyncio.gather(
            *(engine.complete(r, w) for r, w in zip(requests, wanted, strict=True))
        )
        assert sum(reply.sent for reply in replies) == engine.sent == len(server.calls)
        return requests, wanted, replies, engine.limiter.in_flight

    requests, wanted, replies, in_flight = table.play(answer, act, commit=commit, max_attempts=6)
    assert in_flight == 0
    for request, samples, reply in zip(requests, wanted, replies, strict=True):
        assert len(reply.outcomes) == len(samples)
        for sample, outcome in zip(samples, reply.outcomes, strict=True):
            assert committed.pop((request.key, sample)) == outcome
    assert not committed
