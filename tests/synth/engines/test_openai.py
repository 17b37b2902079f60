from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from lpt_core import (
    ConfigError,
    DataError,
    ImageRef,
    Message,
    Sampling,
    derived_int,
)
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
