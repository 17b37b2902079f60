from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpt_core import DataError
from lpt_eval.protocol import Protocol
from lpt_eval.records import Item, Response, Row
from lpt_eval.scoring import score, score_all

MakeItem = Callable[..., Item]

# Options: (A) Red, (B) Blue, (C) Green, (D) Yellow; (B) is right. Expected is the letter read, or "x"
# for unextractable, "t" for truncated.

ANSWERS = [
    # What stands between the answer tags, after a thought.
    ("(B)", "B"), ("B", "B"), ("b", "B"), ("(b)", "B"), ("B.", "B"), ("B)", "B"), ("[B]", "B"), ("{B}", "B"),
    ("**B**", "B"), ("**(B)**", "B"), ("`B`", "B"), ("(B).", "B"), ("(B). because it is", "B"),
    ("\\boxed{B}", "B"), ("$\\boxed{B}$", "B"), ("$B$", "B"), ("\\text{B}", "B"), ("( B )", "B"),
    ("（Ｂ）", "B"), ("\u200bB\u200b", "B"), ("B\u00a0", "B"), ("\ufeff(B)", "B"), ('"B"', "B"),
    ("✅ B", "B"),
    ("Blue", "B"), ("blue", "B"), ("BLUE", "B"), ("Blue.", "B"), ("'Blue'", "B"), ("*Blue*", "B"),
    ("(B) Blue", "B"), ("B. Blue", "B"), ("B: Blue", "B"), ("B - Blue", "B"), ("B Blue", "B"),
    ("(B)Blue", "B"),
    ("Blue (B)", "B"), ("The answer is (B)", "B"), ("The answer is: B", "B"), ("Option B", "B"),
    ("option b", "B"), ("Choice (B)", "B"), ("Answer: (B)", "B"), ("The correct option is B.", "B"),
    ("I think it is (B).", "B"), ("So the answer is Blue", "B"), ("(B) Blue, as the door shows", "B"),
    ("(A)", "A"), ("A", "A"), ("a", "A"), ("Red", "A"), ("(A) Red", "A"), ("(C)", "C"), ("C. Green", "C"),
    ("Yellow", "D"), ("(D)", "D"), ("D) Yellow", "D"), ("the answer is yellow", "D"),
    # No option, or more than one: never a guess.
    ("", "x"), (" ", "x"), ("\n", "x"), ("()", "x"), (".", "x"), ("**", "x"), ("?", "x"), ("...", "x"),
    ("(E)", "x"), ("E", "x"), ("J", "x"), ("Z", "x"), ("(F) Purple", "x"), ("Purple", "x"), ("Bluish", "x"),
    ("(A) or (B)", "x"), ("A and B", "x"), ("A/B", "x"), ("A, B, C, D", "x"), ("both (A) and (B)", "x"),
    ("AB", "x"), ("(AB)", "x"), ("ABCD", "x"), ("(A)(B)", "x"), ("A or B or C", "x"), ("either A or B", "x"),
    ("(A) Blue", "x"), ("(B) Red", "x"), ("B. Green", "x"), ("Red (B)", "x"), ("Red or Blue", "x"),
    ("not (B)", "x"), ("Not B", "x"), ("(B) is wrong", "x"), ("It is not (B)", "x"), ("neither", "x"),
    ("None of the above", "x"), ("none", "x"), ("N/A", "x"), ("nan", "x"), ("null", "x"), ("None", "x"),
    ("I don't know", "x"), ("I cannot see the image", "x"), ("The image is unclear", "x"), ("unknown", "x"),
    ("1", "x"), ("2", "x"), ("(2)", "x"), ("0", "x"), ("1.", "x"), ("II", "x"), ("第二", "x"), ("Б", "x"),
    ("А", "x"), ("β", "x"), ("🅱", "x"), ("the sky", "x"), ("A dog stands there", "x"), ("I see", "x"),
    ("Blue and Red", "x"), ("It is either (A) Red or (B) Blue", "x"), ("B?  No, C", "x"), ("(B) -> (C)", "x"),
    ("X", "x"), ("(X)", "x"), ("the answer", "x"), ("answer", "x"), ("the letter of the correct option", "x"),
    ("<b>B</b>", "B"), ("<think>B</think>", "x"), ("{'answer': 'Purple'}", "x"), ("\\frac{1}{2}", "x"),
    ("(((((((((((", "x"), ("[[[", "x"), ("\x00", "x"), ("\u202e)B(", "x"), ("A" * 5000, "x"),
    ("(B)" * 3000, "x"),
    ("[LMMS_EVAL_REQUEST_FAILED: timeout]", "x"), ("Error: connection refused", "x"), ("<|im_end|>", "x"),
]  # fmt: skip

WHOLES = [
    # The whole response, under tagged reading.
    ("<think>B</think><answer>(B)</answer>", "B"),
    ("<answer>(B)</answer>", "B"),
    ("<ANSWER>(B)</ANSWER>", "B"),
    ("<think>\n\n</think>\n<answer>\n(B)\n</answer>\n", "B"),
    ("<think>It may be <answer>(A)</answer>. No.</think> <answer>(B)</answer>", "B"),
    ("<think>x</think> <answer>(A)</answer> Wait. <answer>(B)</answer>", "B"),
    ("<think>x</think> <answer>(B)</answer> Wait. <answer>(A)</answer>", "A"),
    ("<think>x</think> more </think> <answer>(B)</answer>", "B"),
    ("It is blue.</think> <answer>(B)</answer>", "B"),
    ("<think>x</think> The answer: <answer>(B)</answer> Good luck!", "B"),
    ("<think>x</think> <answer>(B)</answer><|im_end|>", "B"),
    ("<think >x</think > <answer >(B)</answer >", "B"),
    ("<think>x</think> <answer>(B)</answer> <think>again", "t"),
    ("<think>x</think> <answer>(B)", "t"),
    ("<think>x</think> <answer>", "t"),
    ("<think>The door is blue, so (B)", "t"),
    ("<think>", "t"),
    ("<think>It is <answer>(B)</answer>", "t"),
    ("<think>x</think>", "x"),
    ("<think>x</think> (B)", "x"),
    ("<think>x</think> The answer is (B).", "x"),
    ("", "x"),
    (" ", "x"),
    ("(B)", "x"),
    ("B", "x"),
    ("Blue", "x"),
    ("Answer: B", "x"),
    ("\\boxed{B}", "x"),
    ("</answer>(B)<answer>", "t"),
    ("(B)</answer>", "x"),
    ("<analysis>x</analysis> (B)", "x"),
    ("<|begin_of_thought|>x<|end_of_thought|> <|begin_of_solution|>(B)<|end_of_solution|>", "x"),
    ("&lt;answer&gt;(B)&lt;/answer&gt;", "x"),
    ("<answer/>(B)", "x"),
    ("< answer >(B)</ answer >", "x"),
    ("{\"answer\": \"B\"}", "x"),
    ("<answer><answer>(B)</answer></answer>", "B"),
    ("<answer>(A)</answer><answer></answer>", "x"),
    ("[LMMS_EVAL_REQUEST_FAILED: 500]", "x"),
    ("A" * 100_000, "x"),
    ("<think>" * 5_000, "t"),
    ("<answer>" * 5_000, "t"),
    ("</think>" * 5_000, "x"),
    ("<think>x</think><answer>" + "(B) " * 5_000 + "</answer>", "x"),
]  # fmt: skip

TAILS = [
    # The whole response, where what follows the thought may be the answer.
    ("B", "B"),
    ("(B)", "B"),
    ("B.", "B"),
    ("Blue", "B"),
    ("B. Blue", "B"),
    ("The answer is (B).", "B"),
    ("\\boxed{B}", "B"),
    ("**Answer: B**", "B"),
    ("<think>x</think> B", "B"),
    ("<think>(A)</think>\n\n(B)", "B"),
    ("<answer>(B)</answer>", "B"),
    ("It could be (A). <answer>(B)</answer>", "B"),
    ("<answer></answer> B", "x"),
    ("<answer>Purple</answer> (B)", "x"),
    ("<answer>(B)", "t"),
    ("<think>B", "t"),
    ("", "x"),
    ("<think>B</think>", "x"),
    ("A or B", "x"),
    ("E", "x"),
    ("I cannot answer.", "x"),
    ("A dog.", "x"),
    ("Error: connection refused", "x"),
    ("[LMMS_EVAL_REQUEST_FAILED: 500]", "x"),
    ("First (A), then (B), then (C).", "x"),
]  # fmt: skip


def reading_of(row: Row) -> str:
    """The letter, or how the reading failed."""
    return row.letter or {"unextractable": "x", "truncated": "t", "failed": "f"}[row.outcome]


def said(item: Item, text: str, **changes: object) -> Response:
    return Response.model_validate({"item_id": item.id, "text": text, "finish_reason": "stop", **changes})


def test_the_tables_are_as_long_as_they_should_be() -> None:
    assert len({text for text, _ in ANSWERS} | {text for text, _ in WHOLES}) >= 150
    assert len({text for text, _ in TAILS}) == len(TAILS)


@pytest.mark.parametrize(("answer", "expected"), ANSWERS, ids=range(len(ANSWERS)))
def test_what_stands_in_the_answer(
    make_item: MakeItem, protocol: Protocol, answer: str, expected: str
) -> None:
    item = make_item()
    row = score(item, said(item, f"<think>Hm.</think> <answer>{answer}</answer>"), protocol)
    assert reading_of(row) == expected
    assert (row.outcome == "correct") == (expected == "B")


@pytest.mark.parametrize(("text", "expected"), WHOLES, ids=range(len(WHOLES)))
def test_what_a_response_is_read_as(
    make_item: MakeItem, protocol: Protocol, text: str, expected: str
) -> None:
    item = make_item()
    row = score(item, said(item, text), protocol)
    assert reading_of(row) == expected
    assert Row.model_validate_json(row.model_dump_json()) == row


@pytest.mark.parametrize(("text", "expected"), TAILS, ids=range(len(TAILS)))
def test_what_a_tail_is_read_as(make_item: MakeItem, protocol: Protocol, text: str, expected: str) -> None:
    item = make_item()
    native = protocol.model_copy(update={"form": "native", "reading": "tail"})
    assert reading_of(score(item, said(item, text), native)) == expected


@pytest.mark.parametrize("reading", ["tagged", "tail"])
@pytest.mark.parametrize("text", ["The answer is (B", "B", "(B) or", "", "It is blue, so (B)"])
def test_what_the_limit_cut_off_is_truncated(
    make_item: MakeItem, protocol: Protocol, reading: str, text: str
) -> None:
    item = make_item()
    asked = protocol.model_copy(update={"reading": reading})
    row = score(item, said(item, text, finish_reason="length"), asked)
    assert (row.outcome, row.option) == ("truncated", None)


def test_an_answer_that_was_finished_before_the_limit_counts(make_item: MakeItem, protocol: Protocol) -> None:
    item = make_item()
    row = score(item, said(item, "<answer>(B)</answer> And so on", finish_reason="length"), protocol)
    assert row.outcome == "correct"


@pytest.mark.parametrize(
    "failed", [{"finish_reason": "error"}, {"finish_reason": "stop", "error": "timed out"}]
)
def test_a_request_that_failed_is_never_read(
    make_item: MakeItem, protocol: Protocol, failed: dict[str, str]
) -> None:
    item = make_item()
    row = score(item, said(item, "<answer>(B)</answer>", **failed), protocol)
    assert (row.outcome, row.status, row.option, row.place) == ("failed", None, None, None)


def test_a_thought_that_the_server_split_off_is_the_thought(make_item: MakeItem, protocol: Protocol) -> None:
    item = make_item()
    response = said(
        item, "<answer>(B)</answer>", reasoning="It is <answer>(A)</answer>.", completion_tokens=40
    )
    row = score(item, response, protocol)
    assert (row.outcome, row.thought_chars) == ("correct", len("It is <answer>(A)</answer>."))
    assert row.thought_tokens is not None
    assert row.answer_tokens is not None
    assert row.thought_tokens + row.answer_tokens == 40


def test_a_thought_that_used_up_all_tokens_is_truncated(make_item: MakeItem, protocol: Protocol) -> None:
    item = make_item()
    row = score(item, said(item, "", reasoning="It is (B)", finish_reason="length"), protocol)
    assert row.outcome == "truncated"


@pytest.mark.parametrize("shuffle", range(4))
def test_letters_mean_the_order_shown(make_item: MakeItem, protocol: Protocol, shuffle: int) -> None:
    item = make_item(order=(3, 1, 0, 2))
    shown = item.shown(shuffle).shown(item.mcq)
    for place, text in enumerate(shown):
        row = score(item, said(item, f"<answer>({'ABCD'[place]})</answer>", shuffle=shuffle), protocol)
        assert item.mcq.options[row.option or 0] == text
        assert (row.place, row.gold_place) == (place, shown.index("Blue"))
        assert row.outcome == ("correct" if text == "Blue" else "wrong")


def test_as_many_orders_as_options_put_each_at_each_place(make_item: MakeItem) -> None:
    item = make_item(order=(3, 1, 0, 2))
    orders = [item.shown(shuffle).order for shuffle in range(4)]
    assert all(sorted(places) == [0, 1, 2, 3] for places in zip(*orders, strict=True))
    assert item.shown(4) == item.presentation


ADVERSARIAL = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "<answer>",
            "</answer>",
            "(A)",
            "(B)",
            "B",
            "Blue",
            "Red",
            " or ",
            "not ",
            "\n",
        ]
    )
    | st.text(max_size=6),
    max_size=14,
).map("".join)


@given(
    ADVERSARIAL,
    st.none() | ADVERSARIAL,
    st.sampled_from(["stop", "length", "error"]),
    st.sampled_from(["tagged", "tail"]),
)
def test_no_text_makes_scoring_raise_and_a_row_says_what_was_said(
    make_item: MakeItem, protocol: Protocol, text: str, reasoning: str | None, reason: str, reading: str
) -> None:
    item = make_item()
    response = said(item, text, reasoning=reasoning, finish_reason=reason)
    row = score(item, response, protocol.model_copy(update={"reading": reading}))
    assert row.response == response
    assert (row.option is None) == (row.outcome not in ("correct", "wrong"))
    if row.option is not None and reading == "tagged":
        assert "<answer>" in response.whole
        assert "</answer>" in response.whole


@given(st.text(alphabet="ABCDEFGHIJ().,*: ", max_size=12))
def test_a_letter_that_was_read_was_written(make_item: MakeItem, protocol: Protocol, answer: str) -> None:
    item = make_item()
    row = score(item, said(item, f"<answer>{answer}</answer>"), protocol)
    assert row.letter is None or row.letter in answer


def test_surrogates_do_no_harm(make_item: MakeItem, protocol: Protocol) -> None:
    item = make_item()
    row = score(item, said(item, "<think>\ud83d</think><answer>(B)</answer>", error=None), protocol)
    assert row.outcome == "correct"
    assert Row.model_validate_json(row.model_dump_json()) == row


def test_a_response_to_another_item_is_refused(make_item: MakeItem, protocol: Protocol) -> None:
    with pytest.raises(DataError, match="does not fit"):
        score(make_item("2"), said(make_item("1"), "(B)"), protocol)


def test_responses_to_unknown_items_are_left_out(make_item: MakeItem, protocol: Protocol) -> None:
    one, two = make_item("1"), make_item("2")
    rows = score_all([one], [said(one, "<answer>B</answer>"), said(two, "<answer>B</answer>")], protocol)
    assert [row.item_id for row in rows] == [one.id]
