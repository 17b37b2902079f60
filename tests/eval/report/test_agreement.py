from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpt_core import Sampling
from lpt_eval.protocol import Protocol
from lpt_eval.records import Response
from lpt_eval.report.agreement import AGREEMENTS, agreement, last_named
from lpt_eval.scoring import score

OPTIONS = ("Red square", "Blue square", "No", "Green")


@pytest.mark.parametrize(
    ("thought", "place"),
    [
        ("I see a door. So it is (B).", 1),
        ("It could be (A).\nThe answer is: Green", 3),
        ("The thing at the top is a blue square.", 1),
        ("It is (D). Let me check again. Yes, that holds.", 3),
        ("At first (A). No, it must be (B).", 1),
        ("It is not the red square.", None),  # what it is, it does not say
        ("There is a red square and a blue square.", None),
        ("It is (A) or (B).", None),
        ("No, I cannot see it.", None),  # "no" is a word before it is an option
        ("It is (A). One. Two. Three. Four. Five.", None),  # too far from the end
        ("It is (A). Wait, no, it could never be (B).", None),  # named, but not so that it can be read
        ("", None),
    ],
)
def test_the_option_that_the_end_of_a_thought_names(thought, place) -> None:
    assert last_named(thought, OPTIONS) == place


@given(st.text())
def test_no_thought_makes_it_raise(text) -> None:
    assert last_named(text, OPTIONS) in (None, 0, 1, 2, 3)


@pytest.mark.parametrize(
    ("named", "answered", "found"),
    [
        ("B", "B", "both right"),
        ("A", "A", "both wrong"),
        ("A", "B", "answer right"),
        ("B", "A", "thought right"),
        ("C", "A", "neither"),
    ],
)
@pytest.mark.parametrize("shuffle", [0, 1])
def test_thought_and_answer_are_held_together_in_the_order_shown(
    make_item, protocol, named, answered, found, shuffle
) -> None:
    item = make_item()  # its gold is "Blue", option 1
    letters = dict(zip("ABCD", "BCDA" if shuffle else "ABCD", strict=True))  # pass 1 moves all on by one
    text = f"<think>So it is ({letters[named]}).</think><answer>({letters[answered]})</answer>"
    response = Response(item_id=item.id, shuffle=shuffle, text=text, finish_reason="stop")
    assert agreement(score(item, response, protocol), item) == found
    assert found in AGREEMENTS


def test_without_a_thought_or_an_answer_there_is_nothing_to_hold_together(make_item) -> None:
    item = make_item()
    asked = Protocol(name="p", form="think", system="", template="{{ question }}", sampling=Sampling())
    for text in (
        "<answer>(B)</answer>",
        "<think>It is (B).</think> Well.",
        "<think></think><answer>B</answer>",
    ):
        row = score(item, Response(item_id=item.id, text=text, finish_reason="stop"), asked)
        assert agreement(row, item) is None
