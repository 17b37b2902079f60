"""Rewards: what each text is worth, and that none makes them raise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpt_core import MCQ, ImageRef, Message, Presentation, PromptExample
from lpt_train.grpo.rewards import STATUSES, Rewards, overlong, score, well_formed
from lpt_train.grpo.sections import RewardSection

IMAGE = ImageRef(path="a.png", sha256="0" * 64, width=4, height=3)
QUESTION = MCQ.make(caption_id="c", question="Which?", options=("red", "blue", "green"), gold=2)
# Shown as A blue, B green, C red: the letter means the place shown, not the place in the MCQ.
SHOWN = Presentation(mcq_id=QUESTION.id, order=(1, 2, 0), option_style="parens", answer_style="letter_parens")
EXAMPLE = PromptExample.make(
    image=IMAGE, prompt=(Message.of("user", "Which?", IMAGE),), mcq=QUESTION, presentation=SHOWN
)
GOOD = "<think> I see. </think> <answer> {} </answer>"


@pytest.mark.parametrize(
    ("text", "correct", "form", "status"),
    [
        (GOOD.format("(B)"), 1, 1, "found"),
        (GOOD.format("green"), 1, 1, "found"),
        (GOOD.format("B. green"), 1, 1, "found"),
        (GOOD.format("(C)"), 0, 1, "found"),  # C in the MCQ's own order, red as it is shown
        (GOOD.format("(A) or (B)"), 0, 1, "ambiguous"),
        (GOOD.format("(D)"), 0, 1, "off_menu"),
        (GOOD.format(" "), 0, 0, "missing"),
        ("<think>\n\nyes\n</think>\n<answer>B</answer>\n", 1, 1, "found"),
        ("<think>  </think> <answer> B </answer>", 1, 0, "found"),
        ("<answer> B </answer>", 1, 0, "found"),
        ("I see. </think> <answer> B </answer>", 1, 0, "found"),
        (GOOD.format("B") + " So it is.", 1, 0, "found"),
        ("Well, " + GOOD.format("B"), 1, 0, "found"),
        (GOOD.format("A") + GOOD.format("B"), 1, 0, "found"),
        ("<think> a <think> b </think> <answer> B </answer>", 1, 0, "found"),
        ("<THINK> a </THINK> <ANSWER> B </ANSWER>", 1, 0, "found"),
        ("<think> (B), (B), (B)", 0, 0, "truncated"),
        ("<think> a </think> <answer> B", 0, 0, "truncated"),
        ("B", 0, 0, "missing"),
        ("", 0, 0, "missing"),
    ],
)
def test_what_a_text_is_worth(text: str, correct: float, form: float, status: str) -> None:
    got = score(text, 5, EXAMPLE, RewardSection(), 1024)
    assert (got.correct, got.format, got.status, got.length) == (correct, form, status, 0)


@pytest.mark.parametrize(
    ("tokens", "punishment"), [(0, 0), (768, 0), (896, -0.5), (1023, -255 / 256), (1024, -1), (2000, -1)]
)
def test_the_last_tokens_cost_more_and_more(tokens: int, punishment: float) -> None:
    assert overlong(tokens, 1024, 256) == pytest.approx(punishment)


PIECES = st.sampled_from(
    ["<think>", "</think>", "<answer>", "</answer>", "(B)", "B.", "green", " ", "\n", "\ud800", "<|im_end|>"]
)


@given(st.lists(PIECES | st.text(max_size=6), max_size=12).map("".join))
def test_no_text_makes_a_reward_raise(text: str) -> None:
    got = score(text, len(text), EXAMPLE, RewardSection(), 1024)
    assert got.status in STATUSES
    assert {got.correct, got.format} <= {0.0, 1.0}
    assert -1 <= got.length <= 0
    assert not got.correct or got.status == "found"
    assert well_formed(text) == bool(got.format)


def test_a_long_text_of_tags_is_read_in_no_time() -> None:
    for text in ("<think>" * 20_000, "<think " * 20_000, "</answer>" * 20_000, "<answer>" + "(" * 100_000):
        assert score(text, 5, EXAMPLE, RewardSection(), 1024).correct == 0


def test_the_trainer_gets_a_function_for_each_part_and_shares_of_how_answers_were_read() -> None:
    rewards = Rewards([EXAMPLE], RewardSection(length=0.5, length_buffer=4), 8)
    assert rewards.weights == {"correct": 1.0, "format": 0.1, "length": 0.5}
    texts = [GOOD.format("B"), "nothing", GOOD.format("C"), "<think>"]
    told: dict[str, float] = {}
    given = {"completions": texts, "completion_ids": [[1] * 6] * 4, "row": [0] * 4, "prompts": [""] * 4}
    values = [one(**given, log_metric=told.__setitem__) for one in rewards.functions]
    assert values == [[1, 0, 0, 0], [1, 0, 1, 0], [-0.5] * 4]
    assert told == {"answers/found": 0.5, "answers/missing": 0.25, "answers/truncated": 0.25} | {
        "answers/ambiguous": 0.0,
        "answers/off_menu": 0.0,
    }
    assert [one.__name__ for one in Rewards([EXAMPLE], RewardSection(), 8).functions] == ["correct", "format"]
