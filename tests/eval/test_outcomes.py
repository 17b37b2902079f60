"""What becomes of outputs that are hard to read, in each form in which a model can be asked.

Five protocols: the paper's, thinking and direct (an answer stands between tags alone), the released one
(between tags, else all that follows the thought), and the native ones of V* (the same) and of MMLU-Pro
(between tags, else what follows the last "answer is").
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpt_eval.presets import preset
from lpt_eval.records import Item, Response
from lpt_eval.scoring import score

TAGGED = (preset("paper", "think", "vstar"), preset("paper", "direct", "vstar"))
TAIL = (preset("released", "think", "vstar"), preset("paper", "native", "vstar"))
PHRASE = (preset("paper", "native", "mmlu_pro"),)
SIGNS = {"correct": "c", "wrong": "w", "unextractable": "u", "truncated": "t", "failed": "f"}

MENUS: dict[str, tuple[tuple[str, ...], int]] = {
    "dog": (
        ("The color of the dog is red", "The color of the dog is white", "The color of the dog is black"),
        1,
    ),
    "side": (("left", "right"), 0),
    "ten": (("12", "24", "36", "48", "60", "72", "84", "96", "108", "120"), 4),
    "yes": (("Yes", "No"), 1),
    "odd": (("U.S.A.", "A. and B.", "None of the above", "I don't know"), 2),
    "near": (("cat", "a cat", "cats", "dog"), 3),
}
"""Options in the order shown, and the right one."""

# By menu, and by what becomes of them: between answer tags after a thought (in all five protocols alike),
# alone where all may be read, and alone where only what follows "answer is" may. Alone where tags were asked
# for, all are unextractable.
SAID: dict[str, dict[str, list[str]]] = {
    "dog": {
        "ccu": [
            "B", "(B)", "B.", "b)", "(b)", "[B]", "B:", "**B.**", "The color of the dog is white",
            "the color of the dog is white.", "(B) white", "B. white", "B. The color of the dog is white",
            "The color of the dog is white (B)", "Answer: B", "B, I think", "I choose option B.",
            "My choice: (B)", "Final answer: **B**", "### Final Answer\n\n(B)", "$\\boxed{\\text{B}}$",
            "\\boxed{(B)}", "\\boxed{The color of the dog is white}", "<b>(B)</b>", "`(B)`", "> (B)",
            "- (B)", "1. (B)", "(B)\n\n(B)", "B\n", "\nB", "B B", "B\tThe color of the dog is white", "B)",
            "((B))", "{B}", "<B>", "(B)?", "unsure (B)", "B]]", "\uff22", "\u24b7", "\u202eB", "\u0000B",
            "B\u0000", "\ufeffB", "\u300cB\u300d", "(B\uff09", "\u7b54\u6848\uff1a(B)",
            "\u6b63\u786e\u7b54\u6848\u662f (B)\u3002", '{"answer": "(B)"}', "answer = B", "```\nB\n```",
            "(B) " * 40,
        ],
        "uuu": [
            "white", "White", "The dog is white.", "It is white",
            "The color of the dog is white, not black", "C. The color of the dog is white",
            "The answer is B because the answer is never C", "(A) is wrong, so (B)", "A? B!",
            "I would say B", "(B)\n(C)", "D", "(D)", "E. The color of the dog is white", "Z",
            "A dog is in the picture", "I", "I.", "AB", "A-B", "B-", "(B", "B/C", "B&C", "B+", "Both",
            "All of the above", "none of them", "neither A nor C", "not A, not C", "Anything but B", "B?",
            "maybe B", "(B) or maybe (C)", "either", "Option (B) is incorrect.", "B is not correct",
            "There is no B", "I cannot see a dog.", "As an AI language model, I cannot view images.",
            "null", "[B", "\u0412", "\ud83c\udd51", "B\u0301", "\uff22\uff22", "\u7b54\u6848\u662fB",
            "La respuesta es B", '{"answer": "B"}', "print('B')", '```json\n{"answer": "B"}\n```', "B" * 40,
            "Let me think. The dog looks white.", "The answer is", "The answer is: ", "The answer is white",
            "the answer is (X)", "the answer is (X) where X is the letter",
        ],
        "wwu": [
            "The color of the dog is black", "A. dog", "A", "a",
        ],
        "ccc": [
            "answer is B", "Answer is: (B)", "The best answer is: B",
            "The final answer is $\\boxed{B}$. I hope it is correct.",
        ],
        "uuc": [
            "The answer is (A). No, the answer is (B).", "The answer is not (A), the answer is (B).",
        ],
        "uuw": [
            "The answer is (B)\nQuestion:\nWhat is the color of the cat?\nThe answer is (C)",
        ],
    },
    "side": {
        "ccu": [
            "left", "Left.", "(A) left", "A", "left (A)",
        ],
        "uuu": [
            "The left side", "on the left", "It is on the left side of the car.", "left or right",
            "to the right", "That's right, it is left", "(A) right", "left (B)", "You are right: (A)",
        ],
        "wwu": [
            "right",
        ],
        "ccc": [
            "The answer is left.",
        ],
    },
    "ten": {
        "ccu": [
            "E", "60", "(E) 60", "E. 60", "60.",
        ],
        "uuu": [
            "60.0", "=60", "so 5*12 = 60", "12*5=60", "E) 48", "K", "-60", "sixty", "6 0",
            "the answer is 12 or 60",
        ],
        "ccc": [
            "The answer is 60", "The answer is (E)",
        ],
        "wwu": [
            "J", "I", "I. 108", "120",
        ],
        "www": [
            "The answer is (I).",
        ],
    },
    "yes": {
        "ccu": [
            "No", "no.", "NO!", "(B) No", "B",
        ],
        "uuu": [
            "No, it is not.", "yes and no", "Not yes", "No (A)", "(A) No", "Nope", "There is no answer",
        ],
        "wwu": [
            "Yes",
        ],
        "ccc": [
            "The answer is no",
        ],
    },
    "odd": {
        "ccu": [
            "None of the above", "none of the above.", "(C)", "C. None of the above",
        ],
        "wwu": [
            "I don't know", "(D) I don't know", "U.S.A.", "A. and B.", "B",
        ],
        "uuu": [
            "I do not know", "USA", "A and B", "(A) and (B)", "None",
        ],
        "ccc": [
            "The answer is none of the above",
        ],
    },
    "near": {
        "ccu": [
            "dog", "D. dog",
        ],
        "uuu": [
            "a dog", "the dog", "dogs", "a cat", "A cat", "(D) a dog", "The answer is a dog", "cat and dog",
        ],
        "wwu": [
            "cat", "cats",
        ],
        "ccc": [
            "The answer is dog.",
        ],
    },
}  # fmt: skip
WHOLE = [
    ("<think>Hm.</think>B", "ucu"),
    ("<think>Hm.</think>\n\n**(B)**", "ucu"),
    ("<think>Hm.</think>The answer is (B).", "ucc"),
    ("<think>The answer is (B).</think>", "uuu"),
    ("<think>Hm.</think><think>(B)", "ttt"),
    ("<think>Hm.</think><answer>", "ttt"),
    ("<think>Hm.</think><answer>(B)</answer> The answer is (C).", "ccc"),
    ("<think>Hm.</think> The answer is (C). <answer>(B)</answer>", "ccc"),
    ("<answer>(B)</answer></think> (C)", "uwu"),
    ("<answer>(C)</answer></think> <answer>(B)</answer>", "ccc"),
    ("<think>Hm.<answer>(B)</answer>", "ttt"),
    ("Hm.</think> B", "ucu"),
    ("<answer>B</answer", "ttt"),
    ("<answer>B<answer>", "ttt"),
    ("<answer>\n\n</answer>", "uuu"),
    ("<answer>B</answer><answer>B</answer>", "ccc"),
    ("<answer>B</answer><answer>C", "ttt"),
    ("<answer><think>Hm.</think>B</answer>", "uuu"),
    ("<answer>B <think>Hm.</think></answer>", "uuu"),
    ("<ans>B</ans>", "ucu"),
    ("<answer>A</answer> Sorry, I meant B.", "www"),
    ("answer: <answer>white</answer>", "uuu"),
    ("<answer>The color of the dog is white</answer>", "ccc"),
]  # fmt: skip
"""Whole outputs on the menu "dog": under the protocols with tags, those that read all, and MMLU-Pro's own."""


@pytest.fixture(scope="module")
def items(make_item) -> dict[str, Item]:
    return {name: make_item(name, options=options, gold=gold) for name, (options, gold) in MENUS.items()}


def signs(item: Item, text: str, **changes: object) -> tuple[set[str], ...]:
    """What becomes of an output, by where an answer may stand."""
    said = Response.model_validate({"item_id": item.id, "text": text, "finish_reason": "stop", **changes})
    return tuple(
        {SIGNS[score(item, said, protocol).outcome] for protocol in protocols}
        for protocols in (TAGGED, TAIL, PHRASE)
    )


SAID_EACH = [
    pytest.param(menu, text, expected, id=f"{menu} {expected} {number}")
    for menu, by_sign in SAID.items()
    for expected, texts in by_sign.items()
    for number, text in enumerate(texts)
]


def test_the_tables_are_as_long_as_they_should_be() -> None:
    assert len(SAID_EACH) + len(WHOLE) >= 200
    assert len({(case.values[0], case.values[1]) for case in SAID_EACH}) == len(SAID_EACH)


@pytest.mark.parametrize(("menu", "text", "expected"), SAID_EACH)
def test_what_becomes_of_what_was_said(items, menu: str, text: str, expected: str) -> None:
    tagged, tail, phrase = expected
    item = items[menu]
    assert signs(item, f"<think>Hm.</think> <answer>{text}</answer>") == ({tagged},) * 3
    assert signs(item, text) == ({"u"}, {tail}, {phrase})
    assert signs(item, f"<think>It may be (A).</think>\n{text}") == ({"u"}, {tail}, {phrase})
    assert signs(item, text, finish_reason="length") == ({"t"},) * 3, "cut off: never an answer"
    assert signs(item, f"<think>Hm.</think> <answer>{text}", finish_reason="length") == ({"t"},) * 3
    assert signs(item, text, finish_reason="error", error="503") == ({"f"},) * 3


@pytest.mark.parametrize(("text", "expected"), WHOLE)
def test_what_becomes_of_whole_outputs(items, text: str, expected: str) -> None:
    assert signs(items["dog"], text) == tuple({sign} for sign in expected)


_PIECES = (
    *("<think>", "</think>", "<answer>", "</answer>", "(A)", "(B)", "B", "C.", "The answer is ", "not "),
    *(" or ", "\n", "**", "\\boxed{", "}", ": "),
    *("The color of the dog is white", "The color of the dog is black"),
)
PIECES = st.sampled_from(_PIECES)
OUTPUTS = st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join)
ENDS = st.sampled_from(["stop", "length"])


@given(OUTPUTS, ENDS)
def test_the_forms_differ_only_in_where_an_answer_may_stand(items, text: str, end: str) -> None:
    """What is answered between tags is answered so in every form; nothing is answered that was cut off."""
    tagged, tail, phrase = signs(items["dog"], text, finish_reason=end)
    assert len(tagged) == len(tail) == len(phrase) == 1
    if tagged <= {"c", "w"}:
        assert tail == phrase == tagged
        assert "</answer" in text
    if end == "length" and "</answer" not in text:
        assert tagged == tail == {"t"}
        assert phrase == {"t"} or "answer is" in text


@given(OUTPUTS, ENDS)
def test_an_answer_is_the_same_whichever_option_is_right(make_item, text: str, end: str) -> None:
    """No reading knows the gold: over all golds, an output is right at most once, and else alike."""
    options, _ = MENUS["dog"]
    each = [signs(make_item("1", options=options, gold=gold), text, finish_reason=end) for gold in range(3)]
    for place in range(3):
        found = ["".join(by_place[place]) for by_place in each]
        assert sorted(found) in (["c", "w", "w"], ["u"] * 3, ["t"] * 3)


@given(st.integers(0, 2), st.permutations(range(3)))
def test_letters_mean_the_order_shown_and_texts_do_not(make_item, place: int, order: list[int]) -> None:
    options, gold = MENUS["dog"]
    item = make_item("1", options=options, gold=gold, order=order)
    right = order[place] == gold
    assert signs(item, f"<answer>({'ABC'[place]})</answer>") == ({"c" if right else "w"},) * 3
    assert signs(item, f"<answer>{options[gold]}</answer>") == ({"c"},) * 3
