from __future__ import annotations

import json
import runpy
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpt_core.behaviours import BEHAVIOURS, count_behaviours, find_behaviours

HERE = Path(__file__).resolve().parent / "behaviours"
STORED = json.loads((HERE / "agreement.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return runpy.run_path(str(HERE / "agreement.py"))["measure"]()


def test_a_span_names_the_words_that_show_a_behaviour() -> None:
    text = "It is red. Wait, no, let me double-check: it is orange."
    said = {sign.behaviour: text[sign.start : sign.end] for sign in find_behaviours(text)}
    assert said == {"backtracking": "Wait, no", "verification": "double-check"}


def test_a_sentence_shows_a_behaviour_once_and_a_thought_as_often_as_its_sentences() -> None:
    assert count_behaviours("Let me check it again, and double-check it.")["verification"] == 1
    assert count_behaviours("Let me check it again. Then I double-check it.")["verification"] == 2


@pytest.mark.parametrize(
    "text", ["", "Wait,", "\nWait,", "Hmm,", ".\nAlternatively,", "The back of a checked coat."]
)
def test_a_cue_alone_and_words_of_the_scene_are_no_behaviour(text: str) -> None:
    assert count_behaviours(text) == dict.fromkeys(BEHAVIOURS, 0)


def test_curly_apostrophes_and_capitals_are_read_like_plain_ones() -> None:
    assert count_behaviours("LET’S START WITH the left side.")["subgoals"] == 1


def test_spans_fit_a_text_whose_small_letters_are_longer() -> None:
    text = "İİİ. Let me double-check."
    (sign,) = find_behaviours(text)
    assert text[sign.start : sign.end] == "double-check"


@given(
    st.text()
    | st.lists(st.sampled_from(["wait, ", "no", "again", ". ", "first ", "if it was ", "ß", "\n"])).map(
        "".join
    )
)
def test_no_text_raises_and_counts_are_those_of_the_spans(text: str) -> None:
    signs = find_behaviours(text)
    assert all(0 <= sign.start < sign.end <= len(text) for sign in signs)
    assert count_behaviours(text) == dict.fromkeys(BEHAVIOURS, 0) | Counter(sign.behaviour for sign in signs)


@pytest.mark.parametrize("piece", ["no, actually, ", "first ", "again look. ", "if it was ", "i am ", "not "])
def test_long_hostile_texts_are_read_in_linear_time(piece: str) -> None:
    start = time.process_time()
    find_behaviours(piece * (200_000 // len(piece)))
    assert time.process_time() - start < 3


def test_the_stored_agreement_is_the_measured_one(measured: dict[str, Any]) -> None:
    stored = {name: STORED[name] for name in measured}
    assert measured == stored, "uv run python tests/core/behaviours/agreement.py, then docs/generate.py"


def test_agreement_with_texts_that_were_held_out_is_worth_counting_by(measured: dict[str, Any]) -> None:
    held_out = measured["sample"]["held_out"]
    assert {name: one["kappa"] > 0.8 for name, one in held_out.items()} == dict.fromkeys(BEHAVIOURS, True)


def test_agreement_with_thoughts_that_models_wrote_is_moderate_at_least(measured: dict[str, Any]) -> None:
    if "recorded" not in measured:
        pytest.skip("the recorded thoughts are not here")
    held_out = measured["recorded"]["held_out"]
    assert {name: one["kappa"] > 0.5 for name, one in held_out.items()} == dict.fromkeys(BEHAVIOURS, True)
