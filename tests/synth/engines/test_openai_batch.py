"""The batch mode, against a real local server that speaks the protocol, faults and crashes included."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpt_core import ConfigError, EndpointError, ImageRef, derived_int
from lpt_synth.budget import cost_of
from lpt_synth.config import OpenAIEndpoint
from lpt_synth.engines.batch_api import read_batch
from lpt_synth.engines.batch_journal import Sent, Unkept
from lpt_synth.engines.batch_results import read_results
from lpt_synth.engines.faults import Redactor
from lpt_synth.engines.openai_batch import OpenAIBatchEngine, line_id, of_line
from lpt_synth.store import Store
from lpt_synth.testing.engine_contract import EngineContract
from lpt_synth.types import Completion, Failure, Reply

QUICK = {"poll_s": 0.01, "gather_s": 0.03}


def say(text: str) -> tuple[int, Any]:
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return 200, {"model": "played", "choices": [choice], "usage": usage}


def echo(body: dict[str, Any]) -> tuple[int, Any]:
    return say(str(body["messages"][-1]["content"]).upper())


async def no_image(ref: ImageRef) -> str:
    return f"data:image/png;base64,{ref.sha256[:8]}"


@asynccontextmanager
async def engine_at(server: Any, batch: dict[str, Any] | None = None, **options: Any):
    own = {
        name: options.pop(name)
        for name in ("journal", "known", "commit", "notice", "progress")
        if name in options
    }
    given = {"base_url": server.url, "model": "m", "batch": QUICK | (batch or {}), **options}
    engine = OpenAIBatchEngine(OpenAIEndpoint.model_validate(given), images=no_image, **own)
    try:
        await engine.open()
        yield engine
    finally:
        await engine.close()


def ask(
    server: Any, table: Any, texts: list[str], samples: tuple[int, ...] = (0,), **options: Any
) -> list[Reply]:
    async def run() -> list[Reply]:
        async with engine_at(server, **options) as engine:
            asked = (engine.complete(table.request(text), samples) for text in texts)
            return await asyncio.wait_for(asyncio.gather(*asked), 20)

    return asyncio.run(run())


def texts(replies: list[Reply]) -> list[str]:
    return [
        outcome.text for reply in replies for outcome in reply.outcomes if isinstance(outcome, Completion)
    ]


# ---- what is sent, what comes back -----------------------------------------------------------------------


def test_all_that_is_asked_together_travels_in_one_batch_and_comes_back_in_any_order(
    table: Any, batch_server: Any
) -> None:
    server, seen = batch_server(echo), []
    words = [f"word {i}" for i in range(25)]
    replies = ask(server, table, words, progress=seen.append)
    assert texts(replies) == [word.upper() for word in words]
    assert all((r.sent, r.input_tokens, r.output_tokens, r.model) == (1, 10, 5, "played") for r in replies)
    assert len(server.batches) == 1
    assert server.calls[:2] == ["POST files", "POST batches"]
    (batch,) = server.batches.values()
    request = table.request("word 3")
    line = next(line for line in server.asked(batch) if line["custom_id"] == line_id(request.key, 0))
    assert line["body"]["seed"] == derived_int(0, request.key, 0, bits=31)
    assert line["body"]["model"] == "m"
    assert seen[0] == (1, 0, 25)
    assert seen[-1] == (0, 0, 0)
    assert (1, 25, 25) in seen


def test_a_full_batch_is_sent_at_once_and_the_rest_when_nothing_more_comes(
    table: Any, batch_server: Any
) -> None:
    server = batch_server(echo)
    replies = ask(server, table, [str(i) for i in range(25)], batch={"max_requests": 10})
    assert len(texts(replies)) == 25
    sizes = [batch["request_counts"]["total"] for batch in server.batches.values()]
    assert sizes == [10, 10, 5]


def test_every_sample_is_a_line_of_its_own(table: Any, batch_server: Any) -> None:
    server = batch_server(lambda body: say(str(body["seed"])))
    (reply,) = ask(server, table, ["x"], samples=(4, 0))
    key = table.request("x").key
    assert texts([reply]) == [str(derived_int(0, key, sample, bits=31)) for sample in (4, 0)]
    assert [of_line(line) for line in sorted(server.lines)] == [(key, 0), (key, 4)]


# ---- what goes wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["expired", "cancelled", "half"])
def test_lines_without_an_answer_are_asked_again_in_the_next_batch_and_no_others(
    table: Any, batch_server: Any, fate: str
) -> None:
    server = batch_server(echo)
    server.play = [fate]
    words = [str(i) for i in range(10)]
    replies = ask(server, table, words)
    assert texts(replies) == words
    assert sorted(Counter(server.lines).values()) == [1] * 5 + [2] * 5
    assert sorted(reply.sent for reply in replies) == [1] * 5 + [2] * 5


def test_what_no_batch_answers_is_given_up_on_with_a_reason(table: Any, batch_server: Any) -> None:
    server = batch_server(echo)
    server.play = ["late"] * 9
    for reply in ask(server, table, ["a", "b"], batch={"max_tries": 2}):
        (failure,) = reply.outcomes
        assert isinstance(failure, Failure)
        assert failure.kind == "timeout"
        assert "is expired, and holds no answer" in failure.message
    assert len(server.batches) == 2


def test_errors_of_single_lines_become_typed_outcomes(table: Any, batch_server: Any) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        text = body["messages"][-1]["content"]
        if text == "long":
            return 400, {"error": {"message": "too long"}}
        if text == "busy" and len(server.batches) < 2:
            return 429, {"error": {"message": "slow down"}}
        if text == "never":
            return 500, {"error": {"message": "boom"}}
        if text == "empty":
            return 200, {"choices": []}
        return say("fine")

    server = batch_server(answer)
    replies = ask(server, table, ["long", "busy", "never", "empty", "x"], batch={"max_tries": 2})
    long, busy, never, empty, x = (reply.outcomes[0] for reply in replies)
    assert long == Failure("refused", "too long", 400)
    assert busy == x == Completion("fine")
    assert never == Failure("server", "boom", 500)
    assert isinstance(empty, Failure)
    assert empty.kind == "malformed"
    assert [reply.sent for reply in replies] == [1, 2, 2, 2, 1]


def test_a_field_that_is_refused_is_left_out_and_that_is_told(table: Any, batch_server: Any) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        if "seed" in body:
            return 400, {"error": {"message": "Unrecognized request argument supplied: seed"}}
        return echo(body)

    told: list[str] = []
    server = batch_server(answer)
    replies = ask(server, table, ["a", "b"], batch={"max_tries": 1}, notice=told.append)
    assert texts(replies) == ["A", "B"]
    assert told == [f"{server.url} (m) refuses seed: it is left out"]


def test_a_batch_that_is_refused_because_of_one_line_fails_that_line_alone(
    table: Any, batch_server: Any
) -> None:
    server = batch_server(echo)
    server.play = ["failed"]
    server.errors = [{"line": 2, "code": "invalid_request", "message": "image too large"}]
    replies = ask(server, table, ["a", "b", "c"])
    assert texts(replies) == ["A", "C"]
    assert replies[1].outcomes == (Failure("refused", "invalid_request: image too large", 400),)


def test_batches_that_are_refused_as_a_whole_stop_the_run(table: Any, batch_server: Any) -> None:
    server = batch_server(echo)
    server.play = ["failed"] * 9
    server.errors = [{"line": None, "code": "model_not_found", "message": "no batches for m"}]
    with pytest.raises(EndpointError, match=r"last 3 batches were refused.*no batches for m"):
        ask(server, table, ["a", "b"])
    server.play = ["refused"] * 9
    with pytest.raises(EndpointError, match=r"last 3 batches were refused.*billing hard limit"):
        ask(server, table, ["a", "b"])


def test_a_batch_for_which_too_much_is_enqueued_waits_for_another_to_end(
    table: Any, batch_server: Any
) -> None:
    server = batch_server(echo)
    server.looks = 6
    server.play = ["completed", "failed", "completed"]
    server.errors = [{"line": None, "code": "token_limit_exceeded", "message": "enqueued token limit"}]
    replies = ask(server, table, list("abcdef"), batch={"max_requests": 3, "max_tries": 1})
    assert texts(replies) == list("ABCDEF")


def test_a_wrong_key_stops_the_run(table: Any, batch_server: Any) -> None:
    server = batch_server(echo)
    server.faults = [401]
    with pytest.raises(EndpointError, match="wants a key"):
        ask(server, table, ["a"])


def test_faults_of_the_network_on_the_way_are_tried_again(table: Any, batch_server: Any) -> None:
    server = batch_server(echo)
    server.faults = [500, 0, 429, 0, 503, 502, 0, 500]
    assert texts(ask(server, table, ["a", "b"])) == ["A", "B"]
    assert len(server.batches) == 1


def test_a_server_that_is_gone_stops_the_run_when_patience_is_out(table: Any, batch_server: Any) -> None:
    server = batch_server(echo)
    server.url = "http://127.0.0.1:9/v1"
    with pytest.raises(EndpointError, match="nothing has succeeded"):
        ask(server, table, ["a"], patience_s=0.2)


# ---- crashes ---------------------------------------------------------------------------------------------


class Crashing(Unkept):
    """A journal in which a process dies at its n-th step: whatever it would do after that never happens."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    async def keep(self, key: str, value: str) -> None:
        self.at -= 1
        if self.at == 0:
            await asyncio.sleep(60)
        await super().keep(key, value)


def crash(server: Any, table: Any, words: list[str], journal: Unkept, until: Any, **options: Any) -> None:
    """Ask, and stop without an end as soon as something holds."""

    async def run() -> None:
        async with engine_at(server, journal=journal, **options) as engine:
            asked = [asyncio.ensure_future(engine.complete(table.request(word), (0,))) for word in words]
            await asyncio.wait_for(table.until(until), 10)
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(run())


WORDS = [f"w{i}" for i in range(7)]


@pytest.mark.parametrize("step", ["intended", "uploaded", "created", "recorded"])
def test_after_a_crash_at_any_step_nothing_is_asked_twice(table: Any, batch_server: Any, step: str) -> None:
    server = batch_server(echo)
    server.looks = 10**9
    # The journal is written twice: before anything is sent, and when the batch's id is known.
    journal = Crashing(2 if step == "created" else 0)
    server.faults = {"intended": [500] * 10**4, "uploaded": [0] + [500] * 10**4}.get(step, [])
    calls = {"intended": 1, "uploaded": 3, "created": 2, "recorded": 4}[step]
    crash(server, table, WORDS, journal, lambda: len(server.calls) >= calls and journal.at <= 0)
    server.faults, server.looks = [], 1
    for batch in server.batches.values():
        batch["looks"] = 1
    assert len(server.batches) == (0 if step in ("intended", "uploaded") else 1)
    assert len(journal.under("")) == 1
    replies = ask(server, table, WORDS, journal=journal)
    assert texts(replies) == [word.upper() for word in WORDS]
    assert Counter(server.lines) == {line_id(table.request(word).key, 0): 1 for word in WORDS}
    assert not journal.under(""), "what is collected is forgotten"


def test_after_a_crash_in_the_middle_of_storing_the_rest_is_collected(table: Any, batch_server: Any) -> None:
    server, journal, stored = batch_server(echo), Unkept(), set()

    async def commit(request: Any, samples: Any, reply: Reply) -> None:
        if len(stored) == 3:
            await asyncio.sleep(60)
        stored.add(line_id(request.key, samples[0]))

    crash(server, table, WORDS, journal, lambda: len(stored) == 3, commit=commit)
    names = {line_id(table.request(word).key, 0): word for word in WORDS}
    left = [word for name, word in names.items() if name not in stored]
    replies = ask(server, table, left, journal=journal, known=lambda name: name in stored)
    assert texts(replies) == [word.upper() for word in left]
    assert len(server.lines) == len(WORDS)
    assert not journal.under("")


def test_a_creation_whose_answer_is_lost_is_looked_for_before_it_is_repeated(
    table: Any, batch_server: Any
) -> None:
    server = batch_server(echo)
    ask(server, table, ["other", "batches"], batch={"max_requests": 1})
    ask(server, table, ["more", "of them"], batch={"max_requests": 1})
    server.play = ["lost"]
    assert texts(ask(server, table, ["a", "b"])) == ["A", "B"]
    assert len(server.batches) == 4 + 1


def test_what_is_asked_after_a_crash_is_taken_from_the_old_batch_and_the_rest_from_a_new_one(
    table: Any, batch_server: Any
) -> None:
    server, journal = batch_server(echo), Unkept()
    server.looks = 10**9
    crash(server, table, ["a", "b", "c"], journal, lambda: len(server.calls) > 3)
    server.looks = server.batches["batch_0"]["looks"] = 1
    replies = ask(server, table, ["b", "d"], journal=journal)
    assert texts(replies) == ["B", "D"]
    assert len(server.lines) == 4
    assert len(journal.under("")) == 1, "a and c are paid for and not collected"
    assert texts(ask(server, table, ["c", "a"], journal=journal)) == ["C", "A"]
    assert len(server.lines) == 4


def test_a_batch_that_the_server_has_forgotten_is_asked_anew(table: Any, batch_server: Any) -> None:
    server, journal = batch_server(echo), Unkept()
    server.looks = 10**9
    crash(server, table, ["a"], journal, lambda: len(server.calls) > 3)
    server.looks = 1
    server.batches["batch_0"]["fate"] = "missing"
    assert texts(ask(server, table, ["a"], journal=journal)) == ["A"]
    assert not journal.under("")


def test_a_record_that_cannot_be_read_is_forgotten(table: Any, batch_server: Any) -> None:
    server, journal = batch_server(echo), Unkept()
    prefix = f"batch {server.url} m "
    asyncio.run(journal.keep(f"{prefix}x", "{nonsense"))
    assert texts(ask(server, table, ["a"], journal=journal)) == ["A"]
    assert not journal.under("")


def test_the_store_keeps_batches_under_way(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite", create=True) as store:
        notes = store.notes

        async def act() -> None:
            await notes.keep("batch u m 1", "a")
            await notes.keep("batch u m% 2", "b")
            await notes.keep("batch u m 1", "c")
            assert notes.under("batch u m ") == {"batch u m 1": "c"}
            await notes.drop("batch u m 1")
            assert notes.under("batch u m ") == {}
            assert notes.under("batch u m% ") == {"batch u m% 2": "b"}

        asyncio.run(act())


# ---- money, configuration, hostile files -----------------------------------------------------------------


def test_a_batch_costs_half() -> None:
    price = {"input": 2.0, "output": 8.0}
    given = {"base_url": "http://h/v1", "model": "m", "price": price}
    reply = Reply((Completion("x"),), 1_000_000, 1_000_000)
    costs = [
        cost_of(OpenAIEndpoint.model_validate(given | {"batch": batch}), reply)
        for batch in (False, True, {"price_factor": 0.25})
    ]
    assert costs == [10.0, 5.0, 2.5]


def test_batches_are_switched_on_by_a_word_or_a_section() -> None:
    def read(**given: Any) -> OpenAIEndpoint:
        return OpenAIEndpoint.model_validate({"base_url": "http://h/v1", "model": "m", **given})

    assert read().batch is None
    assert read(batch=False).batch is None
    assert read(batch=True).batch == read(batch={}).batch
    assert read(batch={"max_requests": 7}).parallel == 7
    with pytest.raises(ValueError, match="belong to one server"):
        read(batch=True, base_url=["http://a/v1", "http://b/v1"])
    with pytest.raises(ConfigError, match="not configured for batches"):
        OpenAIBatchEngine(read(), images=no_image)


def test_no_record_or_answer_raises() -> None:
    for text in ("", "[]", "{}", '{"ids": 5}', '{"path": 1, "ids": null, "made": "x", "id": ""}'):
        assert Sent.load("t", text) is None
    assert read_batch(b"[]") is None
    assert read_batch(b'{"id": "../files", "status": "completed"}') is None, "an id goes into a URL"


@given(st.binary() | st.text().map(str.encode))
def test_no_file_of_results_raises(raw: bytes) -> None:
    read_results(raw, Redactor(None))
    read_batch(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(max_examples=40)
@given(JSON, JSON, JSON)
def test_no_line_of_results_raises(status: Any, body: Any, error: Any) -> None:
    for response in (body, {"status_code": status, "body": body}, {"status_code": 400, "body": body}):
        row = {"custom_id": "x", "response": response, "error": error}
        assert list(read_results(json.dumps(row).encode(), Redactor(None))) == ["x"]


# ---- the contract ------------------------------------------------------------------------------------------


class TestOpenAIBatchEngine(EngineContract):
    @pytest.fixture(autouse=True)
    def _serving(self, batch_server: Any) -> None:
        server = batch_server(lambda body: say(" number 1"))
        self.open = lambda: engine_at(server)

    @asynccontextmanager
    async def engine(self):
        async with self.open() as engine:
            yield engine
