"""Think, expand and judge: what is sent, and how the answers read."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lpt_core import MCQ, Caption
from lpt_synth.config import ExpandConfig, JudgeConfig, ThinkConfig
from lpt_synth.settings import load_recipe
from lpt_synth.stages import ExpandStage, JudgeStage, ThinkStage
from lpt_synth.types import Completion, Model, Request, ShortNode

SEED = 42


@pytest.fixture
def think() -> ThinkStage:
    return ThinkStage(ThinkConfig(n=3, option_styles=("parens",)), Model("vlm"), SEED)


def short_of(think: ThinkStage, caption: Caption, mcq: MCQ, text: str) -> ShortNode:
    presentation = think.present(mcq)
    request = think.request(mcq, think.messages(caption, mcq, presentation))
    return think.read(mcq, presentation, request, 0, Completion(text))


def letter(think: ThinkStage, mcq: MCQ, option: int) -> str:
    return "ABCD"[think.present(mcq).order.index(option)]


def test_the_thinker_sees_the_image_and_never_the_caption(
    think: ThinkStage, caption: Caption, mcq: MCQ
) -> None:
    request = think.request(mcq, think.messages(caption, mcq, think.present(mcq)))
    assert request.image == caption.image
    assert (request.n, request.prefill) == (3, "<think>")
    said = "".join(message.text for message in request.messages)
    assert mcq.question in said
    assert caption.text not in said


def test_a_question_is_shown_the_same_whatever_other_questions_there_are(think: ThinkStage, mcq: MCQ) -> None:
    again = ThinkStage(ThinkConfig(n=3, option_styles=("parens",)), Model("vlm"), SEED)
    assert again.present(mcq) == think.present(mcq)
    orders = {ThinkStage(ThinkConfig(), Model("vlm"), seed).present(mcq).order for seed in range(50)}
    assert len(orders) > 10


def test_a_thought_that_was_prefilled_reads_with_or_without_its_opening(
    think: ThinkStage, caption: Caption, mcq: MCQ
) -> None:
    right = letter(think, mcq, mcq.gold)
    for text in (
        f" I look. </think> <answer>({right})</answer>",
        f"<think>I look.</think><answer>{right}</answer>",
    ):
        short = short_of(think, caption, mcq, text)
        assert short.trace.thought == "I look."
        assert short.trace.verdict.correct
        assert short.dropped is None


@pytest.mark.parametrize(
    ("text", "status", "dropped"),
    [
        (" I look and look", "truncated", None),
        (" </think> <answer>(A)</answer>", "found", "no_thought"),
        (" a <think> b </think> <answer>(A)</answer>", "found", "tags_in_thought"),
        (" a <answer>(A)</answer> b </think> <answer>(A)</answer>", "found", "tags_in_thought"),
        (" a </think> the first", "missing", None),
        (" a </think> <answer>(E)</answer>", "off_menu", None),
        (" a </think> <answer>(A) or (B)</answer>", "ambiguous", None),
    ],
)
def test_what_cannot_be_used_says_why(
    think: ThinkStage, caption: Caption, mcq: MCQ, text: str, status: str, dropped: str | None
) -> None:
    short = short_of(think, caption, mcq, text)
    assert (short.trace.verdict.status, short.dropped) == (status, dropped)


def expand_stage(**fields: object) -> ExpandStage:
    return ExpandStage(ExpandConfig(**fields), Model("r1"), SEED)


def expanded(
    think: ThinkStage, expand: ExpandStage, caption: Caption, mcq: MCQ, thought: str
) -> tuple[ShortNode, Request]:
    short = short_of(think, caption, mcq, f"{thought}</think><answer>(A)</answer>")
    text = expand.user_text(caption, mcq, think.present(mcq))
    return short, expand.request(short.trace, text)


def test_the_thought_that_is_sent_is_the_thought_that_is_stored(
    think: ThinkStage, caption: Caption, mcq: MCQ
) -> None:
    # Defect 24: the authors' code lower-cased the whole thought on its way to the reasoning model.
    expand = expand_stage()
    thought = "The PAN is RED. So it is (B) Pan\n\nI AM SURE"
    short, request = expanded(think, expand, caption, mcq, thought)
    long = expand.read(mcq, short.trace, request, 0, Completion(" no.</think><answer>(A)</answer>"))
    assert long.trace.segments[0].text == thought == short.trace.thought
    assert request.prefill == "<think> " + long.trace.segments[0].text + long.trace.segments[1].text
    assert caption.text in request.messages[0].text


def test_cues_are_drawn_per_thought_and_cover_all(think: ThinkStage, caption: Caption, mcq: MCQ) -> None:
    expand = expand_stage()
    seen = {expand.cue(f"thought {i}", f"id{i}") for i in range(400)}
    assert len(seen) == 8  # four cues, with and without a line break
    assert all(cue.startswith((".\n", ". ")) for cue in seen)
    assert expand.cue("thought", "id7") == expand_stage().cue("thought", "id7")


@pytest.mark.parametrize(
    ("thought", "begins"), [("it is red", "."), ("it is red.", ""), ("is it?", ""), ("so:", "")]
)
def test_a_full_stop_is_added_only_where_one_is_missing(thought: str, begins: str) -> None:
    cue = expand_stage(cues=["Wait,"], breaks=["\n"]).cue(thought, "x")
    assert cue == f"{begins}\nWait,"


BETRAYING = tuple(load_recipe("paper")["expand"]["banned_words"])


@pytest.mark.parametrize(
    ("added", "dropped"),
    [
        (" the Description says red", "banned_words"),
        (" as DESCRIBED, red", "banned_words"),
        (" in the\ncaption it is red", "banned_words"),
        (" it was\n mentioned that it is red", "banned_words"),
        (" the texture of the estate is ornamental", None),
        (" the text on the sign says STOP", None),
        (" nondescript and indescribable", None),
        ("  ", "empty_continuation"),
        (" <think> from the start", "tags_in_thought"),
    ],
)
def test_words_that_betray_the_caption_are_whole_words(
    think: ThinkStage, caption: Caption, mcq: MCQ, added: str, dropped: str | None
) -> None:
    # Defect 25: "text" killed "texture", "mental" killed "ornamental"; "Described" passed.
    expand = expand_stage(banned_words=BETRAYING)
    short, request = expanded(think, expand, caption, mcq, "I look.")
    long = expand.read(mcq, short.trace, request, 0, Completion(f"{added}</think> <answer>(A)</answer>"))
    assert long.dropped == dropped
    assert request.sampling.bad_words == BETRAYING


def test_an_answer_in_the_first_thought_is_not_the_answer(
    think: ThinkStage, caption: Caption, mcq: MCQ
) -> None:
    expand = expand_stage()
    short, request = expanded(think, expand, caption, mcq, "I look.")
    cut = expand.read(mcq, short.trace, request, 0, Completion(" but then"))
    assert (cut.trace.verdict.status, cut.dropped) == ("truncated", None)


@pytest.mark.parametrize(
    ("of", "wanted"), [("all", [True, True]), ("right", [True, False]), ("wrong", [False, True])]
)
def test_which_thoughts_go_on(
    think: ThinkStage, caption: Caption, mcq: MCQ, of: str, wanted: list[bool]
) -> None:
    right, wrong = letter(think, mcq, 0), letter(think, mcq, 1)
    shorts = [short_of(think, caption, mcq, f"x</think><answer>({c})</answer>") for c in (right, wrong)]
    assert [expand_stage(of=of).wants(short.trace) for short in shorts] == wanted
    unread = short_of(think, caption, mcq, "x</think>")
    assert not expand_stage(of=of).wants(unread.trace)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("It does. <verdict>yes</verdict>", "yes"),
        ("<VERDICT> Yes, it does </VERDICT>", "yes"),
        ("<verdict>yes</verdict> or rather <verdict>no</verdict>", "no"),
        ("yes", "unreadable"),
        ("", "unreadable"),
        ("[ERROR] the service is down", "unreadable"),
        ("<verdict>yesterday</verdict>", "unreadable"),
        ("<verdict>maybe</verdict>", "unreadable"),
    ],
)
def test_the_judge_fails_closed(text: str, verdict: str) -> None:
    # Defect 17: the authors' filter took an error text for a yes.
    assert JudgeStage(JudgeConfig(), Model("j")).read(Completion(text)) == verdict


def test_the_judge_sees_all_that_was_added(think: ThinkStage, caption: Caption, mcq: MCQ) -> None:
    # Defect 41: theirs saw the last thirty words.
    expand = expand_stage()
    short, request = expanded(think, expand, caption, mcq, "I look.")
    added = " ".join(f"w{i}" for i in range(200))
    long = expand.read(mcq, short.trace, request, 0, Completion(f" {added}</think> <answer>(A)</answer>"))
    said = JudgeStage(JudgeConfig(), Model("j")).request(mcq, long.trace).messages[0].text
    assert added in said
    assert mcq.gold_text in said


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(), more=st.text())
def test_no_text_makes_a_reader_raise(
    think: ThinkStage, caption: Caption, mcq: MCQ, text: str, more: str
) -> None:
    short = short_of(think, caption, mcq, text)
    expand = expand_stage(banned_words=BETRAYING)
    request = expand.request(short.trace, "user")
    expand.read(mcq, short.trace, request, 0, Completion(more))
    JudgeStage(JudgeConfig(), Model("j")).read(Completion(text))


def test_what_is_sent_makes_the_key_and_nothing_else_does(
    think: ThinkStage, caption: Caption, mcq: MCQ
) -> None:
    # Defects 14 and 27: keys that left the system prompt, or the prefix, out.
    messages = think.messages(caption, mcq, think.present(mcq))
    base = think.request(mcq, messages)
    other = {
        "system prompt": think.request(mcq, (messages[0].of("system", "another"), messages[1])),
        "question": think.request(mcq, (messages[0], messages[1].of("user", "another", caption.image))),
        "sampling": ThinkStage(
            ThinkConfig(sampling={"temperature": 0.1}, option_styles=("parens",)), Model("vlm"), SEED
        ).request(mcq, messages),
        "model": ThinkStage(ThinkConfig(), Model("another"), SEED).request(mcq, messages),
        "revision": ThinkStage(ThinkConfig(), Model("vlm", "v2"), SEED).request(mcq, messages),
        "prefill": ThinkStage(ThinkConfig(prefill=False), Model("vlm"), SEED).request(mcq, messages),
        "pixels": ThinkStage(ThinkConfig(pixels={"limit": 300}), Model("vlm"), SEED).request(mcq, messages),
    }
    assert {name for name, request in other.items() if request.key == base.key} == set()
    more = ThinkStage(ThinkConfig(n=9), Model("vlm"), SEED).request(mcq, messages)
    assert more.key == base.key, "more samples of the same request are the same request"
