"""The probe, against servers that play the ways in which real ones treat a prefilled turn."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from lpt_core import ConfigError, ImageRef, Message
from lpt_synth.engines.continuation import SENTINEL_BEGUN, Forgetful
from lpt_synth.types import NOT_CONTINUED, Completion

PREFILL = "<think> The boat beside the pier is red, the one behind it is blue: so it is (B).\nWait,"
GOING_ON = " beside the pier is red. </think>\n<answer>(A)</answer>"
ALONE = "One, two, three, four, five, six, seven, eight, nine, ten."
NO = {"error": {"message": "Extra inputs are not permitted"}}


def begun_turn(body: dict[str, Any]) -> str | None:
    last = body["messages"][-1]
    return last["content"] if last["role"] == "assistant" else None


def goes_on(begun: str) -> str:
    return "en, eight, nine, ten." if begun.endswith(SENTINEL_BEGUN) else GOING_ON


class Played:
    """What servers do, by name; each takes ``say`` and a body."""

    @staticmethod
    def vllm(say, body):
        if begun_turn(body) is None:
            return say(ALONE)
        assert body["add_generation_prompt"] is False
        return say(goes_on(begun_turn(body)) if body.get("continue_final_message") else ALONE)

    @staticmethod
    def vllm_with_a_reasoning_parser(say, body):
        if begun_turn(body) is None:
            return say(None, reasoning="The user wants me to count")
        thought, _, rest = goes_on(begun_turn(body)).partition("</think>")
        return say(rest or None, reasoning=thought)

    @staticmethod
    def deepseek(say, body):
        if begun_turn(body) is None:
            return say(ALONE)
        return say(goes_on(begun_turn(body)) if body["messages"][-1].get("prefix") else ALONE)

    @staticmethod
    def mistral(say, body):
        if "continue_final_message" in body:
            return 422, {"detail": [{"loc": ["body", "continue_final_message"], "msg": "extra"}]}
        begun = begun_turn(body)
        return say(ALONE if begun is None else begun + goes_on(begun))

    @staticmethod
    def openai(say, body):
        return say(ALONE)

    @staticmethod
    def next_turn(say, body):
        return say(ALONE if begun_turn(body) is None else "seven, eight, nine, ten.")

    @staticmethod
    def template_cuts_thoughts(say, body):
        begun = begun_turn(body)
        return say(ALONE if begun is None or "<think>" in begun else goes_on(begun))

    @staticmethod
    def claude(say, body):
        if begun_turn(body) is not None:
            return 400, {"error": {"message": "Prefilling assistant messages is not supported."}}
        return say(ALONE)


def probe(table, how, **options):
    """What the probe told, the mode of a request, and the server."""
    told: list[str] = []

    async def act(engine, server):
        reply = await engine.complete(table.request(prefill=PREFILL), (0,))
        return reply, engine, server

    def answer(body, _):
        return how(table.say, body)

    reply, engine, server = table.play(answer, act, notice=told.append, **options)
    return reply, engine, server, told


@pytest.mark.parametrize(
    ("how", "mode", "findings"),
    [
        (Played.vllm, "continue_final_message", ""),
        (Played.vllm_with_a_reasoning_parser, "continue_final_message", ""),
        (Played.deepseek, "prefix", "continue_final_message restarts, prefix continues"),
        (Played.mistral, "prefix", "continue_final_message refuses, prefix echoes"),
        (Played.openai, "instruct", "continue_final_message restarts, prefix restarts"),
        (Played.next_turn, "instruct", "continue_final_message trims, prefix trims"),
        (Played.template_cuts_thoughts, "instruct", "continue_final_message trims, prefix trims"),
        (Played.claude, "instruct", "continue_final_message refuses, prefix refuses"),
    ],
)
def test_how_an_endpoint_continues_is_found_out(table, how, mode, findings):
    memory = Forgetful()
    reply, engine, server, told = probe(table, how, memory=memory)
    assert reply.mode == mode
    assert memory.get(f"prefill {server.url} m") == mode
    assert engine.sent == reply.sent == len(server.calls) > 2, "the probe is counted"
    assert [findings in line for line in told] == ([True] if findings else [])


def test_what_follows_is_the_same_by_whichever_mode(table):
    for how in (Played.vllm, Played.vllm_with_a_reasoning_parser, Played.deepseek, Played.mistral):
        reply = probe(table, how)[0]
        assert reply.outcomes == (Completion(GOING_ON),), how


def test_the_probe_s_requests_are_short_greedy_and_in_order(table):
    _, _, server, _ = probe(table, Played.openai)
    *probes, last = server.calls
    assert [call["temperature"] for call in probes] == [0.0] * 5
    assert all(call["max_tokens"] == 16 for call in probes)
    assert begun_turn(probes[0]) is None
    assert [call["messages"][-1].get("prefix", False) for call in probes[1:]] == [False] * 2 + [True] * 2
    assert PREFILL in last["messages"][-1]["content"]
    assert last["messages"][-1]["role"] == "user"


def test_it_is_made_once_however_many_wait_for_it_and_not_at_all_when_remembered(table):
    memory = Forgetful()

    async def act(engine, server):
        requests = [table.request(f"q {i}", prefill=PREFILL) for i in range(20)]
        replies = await asyncio.gather(*(engine.complete(request, (0,)) for request in requests))
        return sorted(reply.sent for reply in replies), len(server.calls)

    sent, calls = table.play(lambda body, _: Played.vllm(table.say, body), act, memory=memory)
    assert (sent, calls) == ([1] * 19 + [3], 22), "one request answers for the probe"

    async def again(engine, server):
        memory.put(f"prefill {server.url} m", "continue_final_message")
        reply = await engine.complete(table.request(prefill=PREFILL), (0,))
        return reply.sent, len(server.calls)

    assert table.play(lambda body, _: Played.vllm(table.say, body), again, memory=memory) == (1, 1)


def test_what_is_remembered_but_no_mode_is_not_believed(table):
    class Odd(Forgetful):
        def get(self, key):
            return "sorcery"

    assert probe(table, Played.deepseek, memory=Odd())[0].mode == "prefix"


def test_nothing_is_probed_where_nothing_is_prefilled_or_the_mode_is_given(table):
    async def act(engine, server):
        await engine.complete(table.request(), (0,))
        return engine.sent

    assert table.play(lambda body, _: table.say("x"), act) == 1
    reply, engine, _, _ = probe(table, Played.deepseek, prefill="prefix")
    assert (reply.mode, engine.sent) == ("prefix", 1)


def test_a_control_that_is_refused_proves_nothing_and_is_not_remembered(table):
    def how(say, body):
        if "Count from one" in body["messages"][0]["content"]:
            return 422, {"error": {"message": "no such recording"}}
        return say(GOING_ON)

    memory = Forgetful()
    reply, _, server, told = probe(table, how, memory=memory)
    assert reply.mode == "continue_final_message"
    assert reply.outcomes == (Completion(GOING_ON),)
    assert memory.get(f"prefill {server.url} m") is None
    assert "no such recording" in told[0]


def test_what_the_network_does_to_a_probe_is_not_remembered_of_the_mode(table):
    def how(say, body):
        return say(ALONE) if begun_turn(body) is None else (500, {"error": "broken"})

    memory = Forgetful()
    _, _, server, told = probe(table, how, memory=memory, max_attempts=2)
    assert memory.get(f"prefill {server.url} m") is None
    assert "broken" in told[0]


def test_a_probe_s_faults_are_tried_again(table):
    seen: dict[str, int] = {}

    def how(say, body):
        text = str(body["messages"])
        seen[text] = seen.get(text, 0) + 1
        return (503, NO) if seen[text] == 1 else Played.deepseek(say, body)

    assert probe(table, how)[0].mode == "prefix"


def test_one_who_is_cancelled_does_not_take_the_probe_with_them(table):
    gate = asyncio.Event()

    async def act(engine, server):
        first = asyncio.ensure_future(engine.complete(table.request("a", prefill=PREFILL), (0,)))
        await table.until(lambda: len(server.calls) == 1)
        second = asyncio.ensure_future(engine.complete(table.request("b", prefill=PREFILL), (0,)))
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        reply = await second
        return first.cancelled(), reply.mode

    async def slow(body):
        await gate.wait()
        return Played.vllm(table.say, body)

    assert table.play(lambda body, _: slow(body), act) == (True, "continue_final_message")


# ---- completions ---------------------------------------------------------------------------------------


def completions_only(say, body):
    if "messages" in body:
        return say(ALONE)
    prompt = body["prompt"]
    assert re.search(r"<\|im_start\|>assistant\n<think>", prompt)
    return {"choices": [{"text": goes_on(prompt), "finish_reason": "length", "index": 0}]}


def test_a_template_of_our_own_goes_through_completions(table):
    reply, _, server, told = probe(table, completions_only, chat_template="chatml")
    assert reply.mode == "completions"
    assert reply.outcomes == (Completion(GOING_ON, "length"),)
    assert server.paths[-1] == "/v1/completions"
    assert server.calls[-1]["prompt"].endswith(PREFILL)
    assert "messages" not in server.calls[-1]
    assert "add_special_tokens" not in server.calls[-1]
    assert "completions continues" in told[0]


def test_a_prompt_with_bos_asks_for_no_second_one(table):
    reply, _, server, _ = probe(
        table,
        lambda say, body: {"choices": [{"text": GOING_ON}]},
        chat_template="deepseek-r1",
        prefill="completions",
    )
    assert reply.mode == "completions"
    assert server.calls[-1]["prompt"].startswith("<｜begin▁of▁sentence｜><｜User｜>")
    assert server.calls[-1]["add_special_tokens"] is False


def test_the_template_s_own_variables_come_from_extra_body(table, tmp_path):
    file = tmp_path / "x.jinja"
    file.write_text("thinking={{ enable_thinking }} {{ messages[0].content }} ", encoding="utf-8")
    _, _, server, _ = probe(
        table,
        lambda say, body: {"choices": [{"text": GOING_ON}]},
        chat_template=str(file),
        prefill="completions",
        extra_body={"chat_template_kwargs": {"enable_thinking": True}},
    )
    assert server.calls[-1]["prompt"] == f"thinking=True What do you see? {PREFILL}"


def test_an_endpoint_without_completions_falls_back_instead_of_stopping(table):
    def how(say, body):
        return say(ALONE) if "messages" in body else (404, {"detail": "Not Found"})

    reply, _, _, told = probe(table, how, chat_template="chatml")
    assert reply.mode == "instruct"
    assert "completions refuses" in told[0]


def test_completions_needs_a_template(table):
    with pytest.raises(ConfigError, match="needs a chat_template"):
        probe(table, Played.vllm, prefill="completions")


def test_a_request_with_an_image_does_not_go_through_completions(table):
    image = ImageRef(path="a.png", sha256="0" * 64, width=1, height=1)
    request = table.request(messages=(Message.of("user", "q", image),), prefill="<think>")
    reply, server = table.ask(
        lambda body, _: table.say("<think> I see"), request, prefill="completions", chat_template="chatml"
    )
    assert reply.mode == "none"
    assert server.paths == ["/v1/chat/completions"]
    assert server.calls[0]["messages"][-1]["role"] == "user"


# ---- a prefill that only opens a thought ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "mode"),
    [(Played.vllm, "continue_final_message"), (Played.openai, "none"), (Played.claude, "none")],
)
def test_a_bare_think_is_not_sent_where_it_cannot_be_continued(table, how, mode):
    async def act(engine, server):
        return (await engine.complete(table.request(prefill="<think>"), (0,))).mode, server.calls[-1]

    found, call = table.play(lambda body, _: how(table.say, body), act)
    assert found == mode
    assert (begun_turn(call) == "<think>") == (mode != "none")


@pytest.mark.parametrize("text", ["<think> I see</think>a", " I see</think>a"])
def test_a_bare_think_that_comes_back_is_taken_off(table, text):
    request = table.request(prefill="<think>")
    reply, _ = table.ask(lambda body, _: table.say(text), request, prefill="none")
    assert reply.outcomes == (Completion(" I see</think>a"),)


def test_no_prefill_at_all_cannot_continue_a_thought(table):
    with pytest.raises(ConfigError, match="cannot continue a thought"):
        table.ask(lambda body, _: table.say("x"), table.request(prefill=PREFILL), prefill="none")


# ---- each answer is looked at --------------------------------------------------------------------------


def test_samples_that_begin_anew_are_marked_and_kept_whole(table):
    anew = PREFILL.removeprefix("<think>")[:60] + "…"
    texts = [GOING_ON, "<think>Okay, so", PREFILL + GOING_ON, anew]
    request = table.request(prefill=PREFILL, n=4)
    reply, _ = table.ask(
        lambda body, _: table.say(*texts), request, range(4), prefill="continue_final_message"
    )
    assert reply.outcomes == (
        Completion(GOING_ON),
        Completion("<think>Okay, so", NOT_CONTINUED),
        Completion(GOING_ON),
        Completion(anew, NOT_CONTINUED),
    )


def test_instruct_takes_a_thought_of_the_model_s_own_off(table):
    text = "<think>I am to go on.</think> beside the pier.</think> <answer>(A)</answer>"
    request = table.request(prefill=PREFILL)
    reply, server = table.ask(lambda body, _: table.say(text), request, prefill="instruct")
    assert reply.outcomes == (Completion(" beside the pier.</think> <answer>(A)</answer>"),)
    assert server.calls[0]["messages"][-1]["content"].startswith("What do you see?\n")
