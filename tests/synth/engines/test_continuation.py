from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpt_core import ImageRef, Message, load_prompt
from lpt_synth.engines.continuation import (
    SENTINEL_BEGUN,
    Forgetful,
    as_mode,
    classify,
    following,
    full_text,
    instructed,
    only_opens,
    prefilled_turn,
    thought_is_open,
)
from lpt_synth.engines.wire import Choice

THOUGHT = (
    "To find the colour of the boat, I look at the harbour. The boat beside the pier is red, and the "
    "one behind it is blue.\n\nSo the answer is (B) blue."
)
PREFILL = f"<think> {THOUGHT}\nWait,"
GOING_ON = " the question asks about the boat beside the pier. So it is red.\n</think>\n<answer>(A)</answer>"


@pytest.mark.parametrize("rest", [GOING_ON, "\n\nlet me look again", "", " ", "I see.", " Wait, wait."])
def test_what_goes_on_is_left_as_it_is(rest):
    assert following(PREFILL, rest) == rest


@pytest.mark.parametrize(
    "echo",
    [
        PREFILL,
        PREFILL.replace("<think> ", "<think>\n"),
        PREFILL.removeprefix("<think>"),
        PREFILL.removeprefix("<think> "),
        "\n\n" + PREFILL.replace("\n", " "),
        "  ".join(PREFILL.split(" ")),
    ],
)
def test_an_echo_of_the_whole_prefill_is_taken_off_whatever_its_spaces(echo):
    assert following(PREFILL, echo + GOING_ON) == GOING_ON


@pytest.mark.parametrize(
    "text",
    [
        "<think>Okay, so I need to find the colour.",
        "\n<think>\n",
        "<think>" + THOUGHT[:60],
        THOUGHT,
        THOUGHT[:90] + " green.</think>",
        THOUGHT.replace("\n\n", " ") + " Hmm, no.",
        "The boat beside the pier is red, and the one behind it is blue. So the answer is (B) blue. Wait, no",
    ],
)
def test_what_begins_anew_or_repeats_is_no_continuation(text):
    assert following(PREFILL, text) is None


@pytest.mark.parametrize(
    "text",
    [
        " The boat beside the pier is red, so (A).",
        "To find the colour of the boat, I must look again.",
        " one behind it is blue. So what?",
    ],
)
def test_a_few_words_of_the_thought_may_come_again(text):
    assert following(PREFILL, text) == text


def test_a_thought_of_a_few_words_may_be_taken_up_again():
    assert following("<think> Wait,", " Wait, what is that?") == " Wait, what is that?"
    assert following("<think> Wait,", "<think> Wait, what is that?") == " what is that?"


@pytest.mark.parametrize("prefill", ["<think>", "<think>\n", " <think> "])
def test_a_prefill_that_only_opens_a_thought_takes_off_that_tag_and_no_more(prefill):
    assert only_opens(prefill)
    assert following(prefill, "<think> I see") == " I see"
    assert following(prefill, "\n<think>I see") == "I see"
    assert following(prefill, " I see") == " I see"
    assert following(prefill, "I <think>") == "I <think>"


@given(st.text(max_size=300), st.text(max_size=300))
def test_nothing_that_a_model_writes_makes_it_raise(prefill, text):
    made = following(prefill, text)
    assert made is None or text.endswith(made)


@given(st.text(alphabet=" \n", max_size=3), st.text(max_size=40).filter(lambda t: t[:1] not in "<"))
def test_an_echo_is_always_taken_off_whole(space, rest):
    assert following(PREFILL, space + PREFILL + rest) == rest


def test_no_recorded_continuation_is_taken_for_a_repetition():
    path = Path(__file__).resolve().parents[3].parent / "shared" / "recorded" / "docci_recorded.json"
    if not path.is_file():
        pytest.skip("the recorded calls (../shared/recorded) are not here")
    seen = 0
    for image in json.loads(path.read_text()).values():
        for short in (short for mcq in image["mcqs"] for short in mcq["short"]):
            prefill = short["text"].split("</think>")[0].rstrip() + "\nWait,"
            for long in short["long"]:
                rest = long.split("Wait,", 1)[-1]
                assert following(prefill, rest) == rest
                assert following(prefill, prefill + rest) == rest
                assert following(prefill, "<think>\n" + rest) is None
                seen += 1
    assert seen == 720


# ---- reasoning that servers take out ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reasoning", "prefill", "mode", "text"),
    [
        ("a", "", "", None, "a"),
        ("a", "r", "", None, "<think>r</think>a"),
        ("\n\na", "\nr\n", "", None, "<think>\nr\n</think>\n\na"),
        # Never closed: the limit came first.
        (None, "r", "", None, "<think>r"),
        ("", "r", "", None, "<think>r"),
        # The server gives both, and the text whole.
        ("<think>r</think>a", "r", "", None, "<think>r</think>a"),
        # The parser took the continuation of a begun thought for reasoning.
        ("a", " r", PREFILL, "continue_final_message", " r</think>a"),
        (None, " r", PREFILL, "continue_final_message", " r"),
        ("a", " r", "<think>", "none", " r</think>a"),
        # The prefill's thought was closed already.
        ("a", "r", "<think>t</think>", "prefix", "<think>r</think>a"),
        # A thought about the task is no part of the continuation.
        ("a", "own", PREFILL, "instruct", "a"),
        ("<think>own</think> a</think>b", "", PREFILL, "instruct", " a</think>b"),
        (" a</think>b", "", PREFILL, "instruct", " a</think>b"),
        (None, "", "", None, ""),
    ],
)
def test_a_thought_that_the_server_took_out_is_put_back(content, reasoning, prefill, mode, text):
    assert full_text(Choice(content, reasoning, "stop"), prefill, mode) == text


def test_whether_a_thought_is_open():
    assert thought_is_open("<think> a")
    assert not thought_is_open("<think> a </think> b")
    assert not thought_is_open("a")


# ---- asking ------------------------------------------------------------------------------------------


def test_how_each_mode_sends_the_prefill():
    turn = {"role": "assistant", "content": "p"}
    flags = {"continue_final_message": True, "add_generation_prompt": False}
    assert prefilled_turn("continue_final_message", "p") == ([turn], flags)
    assert prefilled_turn("prefix", "p") == ([turn | {"prefix": True}], {})
    assert prefilled_turn("none", "p") == prefilled_turn("instruct", "p") == ([], {})


def test_instruct_wraps_the_last_user_turn_and_keeps_its_image():
    image = ImageRef(path="a.png", sha256="0" * 64, width=1, height=1)
    messages = (Message.of("system", "s"), Message.of("user", "q", image))
    made = instructed(messages, PREFILL, load_prompt("expand_instruct"))
    assert made[0] is messages[0]
    assert made[1].content[0] == messages[1].content[0]
    assert made[1].text.startswith("q\n")
    assert made[1].text.endswith(PREFILL)
    assert instructed((), PREFILL, load_prompt("expand_instruct")) == ()


def test_modes_by_name():
    assert as_mode("prefix") == "prefix"
    assert as_mode("auto") is None
    assert as_mode(None) is None


def test_a_memory_of_its_own():
    memory = Forgetful()
    assert memory.get("k") is None
    memory.put("k", "v")
    assert memory.get("k") == "v"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("en, eight, nine, ten.", "continues"),
        (f"<think>\n{SENTINEL_BEGUN}en, eight", "echoes"),
        (f"{SENTINEL_BEGUN}en, eight", "echoes"),
        (" en, eight", "trims"),
        ("seven, eight", "trims"),
        ("One, two, three, four, five, six, seven, eight, nine, ten", "restarts"),
        ("Sure! One, two", "restarts"),
        (SENTINEL_BEGUN, "restarts"),
        ("", "restarts"),
    ],
)
def test_what_an_endpoint_did_with_the_sentinel(text, finding):
    begun = f"<think>\n{SENTINEL_BEGUN}"
    assert classify(begun, Choice(text, "", "stop"), "One, two") == finding


def test_a_continuation_in_the_reasoning_counts_and_one_that_the_control_gives_too_does_not():
    assert classify(SENTINEL_BEGUN, Choice(None, "en, eight", "length"), "One") == "continues"
    assert classify(SENTINEL_BEGUN, Choice("en, un", "", "stop"), "en, un") == "restarts"
