"""How a response is taken apart, and which of its answers counts."""

from __future__ import annotations

import hashlib
import time
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpt_core import READER_VERSION, AnswerStatus, parse_answer, read_choice, split_thought


class Case(NamedTuple):
    options: tuple[str, ...]
    text: str
    status: AnswerStatus
    option: int | None = None


COLOURS = ("Red", "Blue", "Green", "Black")
T = "<think> I look. </think> "
RESPONSES: dict[str, list[Case]] = {
    "tags": [
        Case(COLOURS, "<think> x </think> <answer> (B) </answer>", "found", 1),
        Case(COLOURS, "<answer>(B)</answer>", "found", 1),
        Case(COLOURS, "x </think><answer>(B)</answer>", "found", 1),
        Case(COLOURS, T + "<ANSWER>B</ANSWER>", "found", 1),
        Case(COLOURS, "<THINK>x</Think><Answer>B</aNSWER >", "found", 1),
        Case(COLOURS, "<think\n>x</think ><answer\n>B</answer\t>", "found", 1),
        Case(COLOURS, T + "<answer>\n\nB\n\n</answer> That is it.", "found", 1),
        Case(COLOURS, T + "<answer>A</answer> No: <answer>B</answer>", "found", 1),
        Case(COLOURS, T + "<answer><answer>B</answer></answer>", "found", 1),
        Case(COLOURS, T + "<answer>A<answer>B</answer>", "found", 1),
        Case(COLOURS, T + "<answer>B</answer></answer></answer>", "found", 1),
        Case(COLOURS, T + "B", "missing"),
        Case(COLOURS, T + "The answer is (B).", "missing"),
        Case(COLOURS, T + "B</answer>", "missing"),
        Case(COLOURS, T, "missing"),
        Case(COLOURS, "", "missing"),
        Case(COLOURS, "(B)", "missing"),
        Case(COLOURS, T + "<answer></answer>", "missing"),
        Case(COLOURS, T + "<answer> \n </answer>", "missing"),
        Case(COLOURS, T + "</answer>B<answer>", "truncated"),
        Case(COLOURS, T + "<answer>B", "truncated"),
        Case(COLOURS, T + "<answer>B</answe", "truncated"),
        Case(COLOURS, T + "<answer>A</answer><answer>B", "truncated"),
        Case(COLOURS, T + "<answer>B<answer>", "truncated"),
        Case(COLOURS, T + "<answer> the answer </answer>", "off_menu"),
        Case(COLOURS, T + "&lt;answer&gt;B&lt;/answer&gt;", "missing"),
    ],
    "thoughts": [
        Case(COLOURS, "<think> It is <answer>A</answer>.", "truncated"),
        Case(COLOURS, "<think>", "truncated"),
        Case(COLOURS, "<think> I look and", "truncated"),
        Case(COLOURS, "<think> <answer>A</answer> </think> <answer>B</answer>", "found", 1),
        Case(COLOURS, "<think> <answer>A</answer> </think>", "missing"),
        Case(COLOURS, "<think> <answer>A</answer> </think> <answer>B", "truncated"),
        Case(COLOURS, "<think>x</think><answer>A</answer></think><answer>B</answer>", "found", 1),
        Case(COLOURS, "<think>x</think><answer>A</answer></think>", "missing"),
        Case(COLOURS, "<think>x</think></think></think><answer>B</answer>", "found", 1),
        Case(COLOURS, "<think><think>x</think></think><answer>B</answer>", "found", 1),
        Case(COLOURS, "<think>x</think><think>y</think><answer>B</answer>", "found", 1),
        Case(COLOURS, "<think>x</think> Hmm. <think> <answer>B</answer>", "truncated"),
        Case(COLOURS, "<answer>A</answer><think>x</think><answer>B</answer>", "found", 1),
        Case(COLOURS, "<answer>A</answer><think>x</think>", "missing"),
        Case(COLOURS, "<answer>A</answer><think>x", "truncated"),
        Case(COLOURS, "</think><think><answer>B</answer>", "truncated"),
        Case(COLOURS, "</think>", "missing"),
    ],
    "size": [
        Case(COLOURS, "<think>" + "x" * 1_000_000, "truncated"),
        Case(COLOURS, "<think>" + "x" * 1_000_000 + "</think><answer>B</answer>", "found", 1),
        Case(COLOURS, T + "<answer>" + "B" * 1_000_000 + "</answer>", "off_menu"),
        Case(COLOURS, T + "<answer>" + " " * 1_000_000 + "B</answer>", "found", 1),
    ],
}


def flat(table: dict[str, list[Case]]) -> list[object]:
    return [
        pytest.param(case, id=f"{kind}-{number}-{case.text[:40]!a}-{len(case.text)}")
        for kind, cases in table.items()
        for number, case in enumerate(cases)
    ]


@pytest.mark.parametrize("case", flat(RESPONSES))
def test_a_response_is_read_at_its_last_answer(case: Case) -> None:
    answer = parse_answer(case.text, case.options)
    assert (answer.status, answer.option) == (case.status, case.option)


def test_a_changed_reading_raises_the_reader_version() -> None:
    seen = [parse_answer(case.text, case.options) for cases in RESPONSES.values() for case in cases]
    digest = hashlib.sha256(repr([(one.status, one.option) for one in seen]).encode()).hexdigest()[:16]
    assert (READER_VERSION, digest) == (1, "9d475ad4ac823896"), (
        "Where a text is read differently than before, raise READER_VERSION, so that stored readings are "
        "made anew, and pin the new pair here. Where only cases were added, pin the new digest."
    )


@pytest.mark.parametrize(
    ("text", "thought", "tail", "is_open"),
    [
        ("", None, "", False),
        ("just this", None, "just this", False),
        ("<think> a </think> b", "a", " b", False),
        ("a </think> b", "a", " b", False),
        ("x <think> a </think> b", "a", " b", False),
        ("<think> a </think> b </think> c", "a </think> b", " c", False),
        ("<think> a", "a", "", True),
        ("<think>", "", "", True),
        ("<think> a </think> b <think> c", "a </think> b <think> c", "", True),
        ("a </think> b <think> c", "c", "", True),
    ],
)
def test_a_response_splits_at_the_last_end_of_thought(
    text: str, thought: str | None, tail: str, is_open: bool
) -> None:
    split = split_thought(text)
    assert (split.thought, split.tail, split.open) == (thought, tail, is_open)


def test_the_parts_of_a_response_are_kept_with_the_reading() -> None:
    answer = parse_answer("<think> I look. </think>\n<answer> (B) </answer> Done.", COLOURS)
    assert answer.thought == "I look."
    assert answer.raw == "(B)"
    assert answer.tail == "<answer> (B) </answer> Done."


@given(st.text())
def test_no_text_makes_the_readers_raise(text: str) -> None:
    parse_answer(text, COLOURS)
    parse_answer(f"<think>{text}</think><answer>{text}</answer>", (text, "x"))
    split_thought(text)
    read_choice(text, COLOURS)
    read_choice(text, (text, text))


@given(st.text(alphabet="AaBb()[]{}<>.:,;*_$`'\"\\ \n-–/&orthewisd", max_size=60))
def test_no_text_like_an_answer_makes_them_raise_or_find_nothing_and_say_so(text: str) -> None:
    choice = read_choice(text, ("a", "Red", "the B"))
    assert (choice.option is not None) == (choice.status == "found")


PATHOLOGICAL = {
    "answers begun": "<answer>" * 100_000,
    "answers ended": "</answer>" * 100_000,
    "answers": "<answer>A</answer>" * 55_000,
    "answers nested": "<answer>" * 60_000 + "A" + "</answer>" * 60_000,
    "thoughts begun": "<think>" * 140_000,
    "thoughts ended": "</think>" * 120_000,
    "thoughts": "<think></think>" * 65_000,
    "tags that never end": ("<answer" + " " * 5_000) * 200,
    "one tag that never ends": "</think><answer" + " " * 1_000_000,
    "half tags": "<" * 1_000_000,
    "brackets": "(" * 1_000_000,
    "emphasis": "**" * 500_000,
    "blanks": " " * 1_000_000,
    "lines": "\nA" * 500_000,
    "labels": "A. " * 300_000,
    "bracketed labels": "(A) " * 250_000,
    "latex": "\\boxed{" * 140_000,
    "accents": "e" + "\u0301\u0323" * 500_000,
    "ligatures": "\ufdfa" * 300_000,
}


@pytest.mark.parametrize("text", PATHOLOGICAL.values(), ids=PATHOLOGICAL.keys())
def test_a_pathological_megabyte_takes_no_time(text: str) -> None:
    began = time.process_time()
    for response in (text, f"<think>{text}</think> <answer> {text} </answer>"):
        parse_answer(response, COLOURS)
    read_choice(text, COLOURS)
    assert time.process_time() - began < 1


# What passes for an answer by its length is short; the rules must not be slow even on the worst of it.
WORST = (
    "(", "*", "_", "$", "`", "'", " ", ".", "A ", "A, ", "A or ", "A/", "(A)", "the answer ",
    "the final best ", "\\boxed{", "\\text{A", "\\boxed{A}", "[ ", "A-", "Red ", "red (", "option ", "not ",
    "<b>", "> ", "A)", "-", "\u0301\u0323", "\ufdfa", "n't", "A.B.", "both ", "so ", "🙂",
)  # fmt: skip


@pytest.mark.parametrize("unit", WORST)
@pytest.mark.parametrize("end", ["", "!", "}", "A"])
def test_the_longest_answer_takes_no_time(unit: str, end: str) -> None:
    text = (unit * 2_000)[:1_999] + end
    began = time.process_time()
    read_choice(text, COLOURS)
    read_choice("A" + text, COLOURS)
    assert time.process_time() - began < 0.5
