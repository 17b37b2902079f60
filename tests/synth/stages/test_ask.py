from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lpt_core import Caption
from lpt_synth.config import AskConfig
from lpt_synth.stages import AskReading, AskStage
from lpt_synth.types import Completion, Model

Read = Callable[..., AskReading]


def question(
    text: str = "What is red?",
    choices: str = "(A) car (B) van (C) bus (D) bike",
    answer: str = "car",
    kind: str = "Recognition",
) -> str:
    return (
        f"<question> {text} </question> <choices> {choices} </choices> <answer> {answer} </answer> "
        f"<type> {kind} </type>"
    )


@pytest.fixture
def read(caption: Caption) -> Read:
    def read(text: str, finish: str = "stop", **fields: object) -> AskReading:
        stage = AskStage(AskConfig(**fields), Model("asker"), json_schema=False)
        return stage.read(caption, stage.request(caption), Completion(text, finish))

    return read


def kinds(reading: AskReading) -> list[str]:
    return [problem.kind for problem in reading.rejected]


@pytest.mark.parametrize(
    "answer", ["car", "Car.", "(A)", "A", "a)", "A) car", "(A) car", "**(A)**", "The answer is (A)."]
)
def test_gold_is_read_as_letter_text_or_both(read: Read, answer: str) -> None:
    (mcq,) = read(question(answer=answer)).mcqs
    assert (mcq.gold_text, mcq.gold, mcq.kind) == ("car", 0, "Recognition")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (question(answer="plane"), "gold_off_menu"),
        (question(answer="(E)"), "gold_off_menu"),
        (question(answer="(A) van"), "gold_ambiguous"),
        (question(answer="A and B"), "gold_ambiguous"),
        (question(choices="(A) car (B) van (C) CAR (D) bike"), "options_duplicate"),
        (question(choices="(A) car (B) (C) bus (D) bike"), "option_empty"),
        (question(choices="(A) car (B) van (C) bus"), "option_count"),
        (question(choices="(A) car (B) van (C) bus (D) bike (E) cab"), "option_count"),
        (question(choices=" ".join(f"({c}) w{c}" for c in "ABCDEFGHIJKL")), "options_too_many"),
        (question(choices="car, van, bus or bike"), "options_unreadable"),
    ],
)
def test_a_question_that_is_not_sound_is_rejected_with_its_reason(read: Read, text: str, kind: str) -> None:
    reading = read(text)
    assert (reading.mcqs, kinds(reading)) == ([], [kind])
    assert reading.readable, "another call would not make the content sound"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "unreadable"),
        ("I'm sorry, I can't help with that.", "unreadable"),
        ("1. What is red?\nA. car\nB. van\nAnswer: A", "unreadable"),
        ("{broken json", "unreadable"),
        ("[" * 100_000, "unreadable"),
        ("<question> What? </question> <choices> (A) a (B) b </choices>", "no_answer"),
        ("<question> What? </question> <answer> a </answer>", "no_choices"),
        ("<question> </question> <choices> (A) a </choices> <answer> a </answer>", "no_question"),
    ],
)
def test_a_form_that_does_not_read_asks_for_the_second_call(read: Read, text: str, kind: str) -> None:
    reading = read(text)
    assert kinds(reading) == [kind]
    assert not reading.readable


def test_a_question_cut_off_by_the_token_limit_does_not_ask_for_the_second_call(read: Read) -> None:
    reading = read(question() + "\n2. <question> What is bl", "length")
    assert (len(reading.mcqs), kinds(reading), reading.readable) == (1, ["truncated"], True)


def test_end_tags_may_be_forgotten(read: Read) -> None:
    text = "<question> What is red? <choices> (A) car (B) van (C) bus (D) bike <answer> car <type> Spatial"
    (mcq,) = read(text).mcqs
    assert (mcq.question, mcq.options[3], mcq.gold, mcq.kind) == ("What is red?", "bike", 0, "Spatial")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("What is the colour of the car?", "What colour is the car?", True),
        ("What color is the left car?", "What color is the right car?", False),
        ("Where is the dog in the image?", "Where is the dog?", True),
        ("How many dogs are there?", "How many cats are there?", False),
    ],
)
def test_near_duplicates_are_dropped_and_telling_words_are_told_apart(
    read: Read, first: str, second: str, same: bool
) -> None:
    reading = read(question(first) + question(second))
    assert kinds(reading) == (["near_duplicate"] if same else [])
    assert len(reading.mcqs) == (1 if same else 2)


def test_the_same_words_with_another_answer_are_another_question(read: Read) -> None:
    reading = read(question("What is the car left of?") + question("What is left of the car?", answer="van"))
    assert len(reading.mcqs) == 2


def test_at_most_so_many_questions(read: Read) -> None:
    text = "".join(question(f"What is number {word}?") for word in ("one", "two", "three"))
    reading = read(text, max_questions=2)
    assert (len(reading.mcqs), kinds(reading)) == (2, ["over_max_questions"])


def test_json_reads_with_and_without_letters_and_fences(read: Read) -> None:
    entry = {"question": "What is red?", "choices": ["car", "van", "bus", "bike"], "answer": "B", "type": "X"}
    lettered = entry | {"question": "Who?", "choices": ["A. car", "B. van", "C. bus", "D. bike"]}
    (one, two) = read("```json\n" + json.dumps({"questions": [entry, lettered]}) + "\n```").mcqs
    assert one.options == two.options == ("car", "van", "bus", "bike")
    assert one.gold == two.gold == 1


def test_half_a_surrogate_pair_in_json_is_replaced(read: Read) -> None:
    entry = (
        r'[{"question": "What is \ud800 red?", "choices": ["car", "van", "bus", "b\udc00"], "answer": "A"}]'
    )
    (mcq,) = read(entry).mcqs
    assert mcq.model_dump_json()
    assert mcq.question == "What is ? red?"


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (3, "not_a_question"),
        ({}, "no_question"),
        ({"question": 3}, "no_question"),
        ({"question": "q", "choices": ["a", "b"]}, "no_answer"),
        ({"question": "q", "choices": "a b", "answer": "a"}, "no_choices"),
        ({"question": "q", "choices": ["a", 3], "answer": "a"}, "options_unreadable"),
        ({"question": "q", "choices": ["a", "", "c", "d"], "answer": "a"}, "option_empty"),
    ],
)
def test_a_json_entry_that_is_no_question_is_rejected(read: Read, entry: object, kind: str) -> None:
    assert kinds(read(json.dumps([entry]))) == [kind]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(
        st.one_of(
            st.sampled_from(
                [
                    "<question>",
                    "</question>",
                    "<choices>",
                    "</choices>",
                    "<answer>",
                    "</answer>",
                    "<type>",
                    "(A) x",
                    "(B)",
                    "B. y",
                    "[",
                    "]}",
                    "```",
                    "A",
                    '{"questions":',
                ]
            ),
            st.text(max_size=20),
        ),
        max_size=30,
    )
)
def test_reading_never_raises(read: Read, pieces: list[str]) -> None:
    reading = read(" ".join(pieces))
    assert isinstance(reading, AskReading)
