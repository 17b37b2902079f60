"""Only the gold option, as shown, is right; and what was rendered is read back."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lpt_core import (
    LETTERS,
    MCQ,
    AnswerStyle,
    DataError,
    OptionStyle,
    ParsedAnswer,
    Presentation,
    Verdict,
    normal_text,
    verify,
)
from lpt_core.verify import judge

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "recorded" / "docci_recorded.json"


def question(*options: str, gold: int = 0) -> MCQ:
    return MCQ.make(caption_id="c", question="Which?", options=options, gold=gold)


def shown_as_written(mcq: MCQ) -> Presentation:
    places = tuple(range(len(mcq.options)))
    return Presentation(mcq_id=mcq.id, order=places, option_style="parens", answer_style="text")


def respond(answer: str) -> str:
    return f"<think> x </think> <answer> {answer} </answer>"


def test_only_the_gold_option_is_right_by_letter_or_by_text() -> None:
    mcq = question("Red", "Blue", "Green", "Black", gold=2)
    presentation = Presentation(mcq_id=mcq.id, order=(3, 2, 0, 1), option_style="parens", answer_style="text")
    right = [
        answer
        for place, text in enumerate(presentation.shown(mcq))
        for answer in (f"({LETTERS[place]})", f"{LETTERS[place]}.", text, f"({LETTERS[place]}) {text}")
        if verify(respond(answer), mcq, presentation)[1].correct
    ]
    assert right == ["(B)", "B.", "Green", "(B) Green"]


def test_places_are_as_shown_in_the_reading_and_as_written_in_the_verdict() -> None:
    mcq = question("Red", "Blue", "Green", gold=2)
    presentation = Presentation(mcq_id=mcq.id, order=(2, 0, 1), option_style="dot", answer_style="text")
    answer, verdict = verify(respond("(C)"), mcq, presentation)
    assert answer.option == 2
    assert verdict == Verdict(status="found", option=1, correct=False)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("<think> so", "truncated"),
        ("<answer> (A)", "truncated"),
        ("(A)", "missing"),
        (respond("(A) or (B)"), "ambiguous"),
        (respond("(Z)"), "off_menu"),
        (respond("the answer"), "off_menu"),
    ],
)
def test_what_is_not_found_is_not_right_and_names_no_option(text: str, status: str) -> None:
    mcq = question("Red", "Blue")
    assert verify(text, mcq, shown_as_written(mcq))[1].model_dump() == {
        "status": status,
        "option": None,
        "correct": False,
    }


def test_a_reading_kept_from_before_can_be_judged_alone() -> None:
    mcq = question("Red", "Blue")
    assert judge(ParsedAnswer("found", 0), mcq, shown_as_written(mcq)).correct


def test_the_presentation_of_another_question_is_refused() -> None:
    with pytest.raises(DataError, match="does not fit question"):
        verify(respond("(A)"), question("Red", "Blue"), shown_as_written(question("Cat", "Dog")))


# ---- what was rendered is read back ----------------------------------------------------------------

NASTY = st.sampled_from(
    [
        *"AaBbCcDIiJZ1", "(A)", "(B).", "A.", "b)", "**A**", "$B$", "_C_", r"\boxed{A}", r"\text{B}",
        "<b>A</b>", "A dog", "dog", "a DOG.", "B red", "red", "Red!", "(A) red", "B. dog", "- A", "A or B",
        "both (A) and (B)", "I", "None", "NA", "U.S.A.", "Vitamin D.", "'A'", "A/B", "the answer",
        "Answer: B", "option C", "**", "*", "...", "-5", "5", "5.", "👍", "A 👍", "（A）", "Ａ", "Ⓑ",
        "\u200dA", "A\x00", "ß", "ſs", "x" * 3_000,
    ]
)  # fmt: skip
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
TAG = re.compile(r"</?(?:think|answer)\s*>", re.IGNORECASE)


@st.composite
def questions(draw: st.DrawFn) -> MCQ:
    texts = st.one_of(NASTY, TEXT).filter(lambda text: normal_text(text) != "" and not TAG.search(text))
    options = draw(st.lists(texts, min_size=2, max_size=10, unique_by=normal_text))
    return question(*options, gold=draw(st.integers(0, len(options) - 1)))


@st.composite
def presentations(draw: st.DrawFn, mcq: MCQ) -> Presentation:
    return Presentation(
        mcq_id=mcq.id,
        order=tuple(draw(st.permutations(range(len(mcq.options))))),
        option_style=draw(st.sampled_from(OptionStyle.__args__)),
        answer_style=draw(st.sampled_from(AnswerStyle.__args__)),
    )


def words(text: str) -> list[str]:
    """Letters and digits alone, which is the coarsest form in which two texts can still be told apart."""
    text = re.sub(r"\\[a-z]+|</?[a-z]+>", " ", unicodedata.normalize("NFKC", text))
    return re.findall(r"[^\W_]+", text.casefold())


def confusable(answer: str, place: int, shown: tuple[str, ...]) -> bool:
    """Whether an answer is the label of one option and the text of another (the rule in choices.py)."""
    said = words(answer)
    if not said or len(said[0]) != 1 or said[0] not in "abcdefghij"[: len(shown)]:
        return False
    labelled = LETTERS.index(said[0].upper())
    named = [other for other, text in enumerate(shown) if words(text) == said]
    follows = said[1:] in ([], words(shown[labelled]))
    return follows and (labelled != place or any(other != labelled for other in named))


@given(st.data())
def test_an_option_rendered_as_an_answer_is_read_as_that_option(data: st.DataObject) -> None:
    mcq = data.draw(questions())
    presentation = data.draw(presentations(mcq))
    option = data.draw(st.integers(0, len(mcq.options) - 1))
    answer = presentation.render_answer(mcq, option)
    _, verdict = verify(respond(answer), mcq, presentation)
    if verdict.status == "ambiguous":
        assert confusable(answer, presentation.order.index(option), presentation.shown(mcq))
    else:
        assert verdict == Verdict(status="found", option=option, correct=option == mcq.gold)


@given(st.data())
def test_a_letter_and_its_text_together_are_read_as_that_option(data: st.DataObject) -> None:
    mcq = data.draw(questions())
    presentation = data.draw(presentations(mcq))
    option = data.draw(st.integers(0, len(mcq.options) - 1))
    line = presentation.render_options(mcq).split("\n")
    assume(len(line) == len(mcq.options))
    _, verdict = verify(respond(line[presentation.order.index(option)]), mcq, presentation)
    assert verdict.option in (option, None)


@given(st.text(), st.lists(st.text(), max_size=12))
def test_no_text_makes_verification_raise(text: str, pieces: list[str]) -> None:
    mcq = question("Red", "A dog", "U.S.A. flag", "None")
    tags = ["<think>", "</think>", "<answer>", "</answer>"]
    mixed = "".join(piece + tags[place % 4] for place, piece in enumerate(pieces))
    for response in (text, mixed, respond(text)):
        answer, verdict = verify(response, mcq, shown_as_written(mcq))
        assert (verdict.option is None) == (answer.status != "found")


# ---- what was really recorded ----------------------------------------------------------------------


@pytest.mark.skipif(not RECORDED.exists(), reason=f"no recordings at ../shared/recorded ({RECORDED.name})")
def test_the_recorded_thoughts_are_read_and_judged_as_known() -> None:
    images: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    shorts: Counter[str] = Counter()
    longs: Counter[str] = Counter()
    for asked in (asked for image in images.values() for asked in image["mcqs"]):
        options = tuple(text for _, text in asked["presented_options"])
        mcq = question(*options, gold=options.index(asked["answer"]))
        for short in asked["short"]:
            shorts.update(_ends(short["text"], mcq))
            thought = short["text"].partition("</think>")[0]
            for long in short["long"]:
                longs.update(_ends(f"{thought} Wait,{long}", mcq))
    assert (shorts["found"], shorts["right"], shorts.total() - shorts["right"]) == (240, 158, 240)
    assert (longs["found"], longs["right"], longs.total() - longs["right"]) == (682, 665, 720)


def _ends(text: str, mcq: MCQ) -> list[str]:
    _, verdict = verify(text, mcq, shown_as_written(mcq))
    return [verdict.status, "right"] if verdict.correct else [verdict.status]
