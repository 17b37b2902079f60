"""What people and models write for an option, and how each of it is read."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import pytest

from lpt_core import READER_VERSION, AnswerStatus, read_choice


class Case(NamedTuple):
    options: tuple[str, ...]
    text: str
    status: AnswerStatus
    option: int | None = None


COLOURS = ("Red", "Blue", "Green", "Black")
ANIMALS = ("A dog", "A cat", "An owl", "I see none")
FLAGS = ("U.S.A. flag", "D.C. flag", "Vitamin D.", "e.g. a kite")
LETTERED = ("B", "A", "K", "D")
BOTH = ("cats", "dogs", "both (A) and (B)", "neither")
NUMBERS = ("1", "2", "3", "10")
EMPTYISH = ("None", "NA", "null", "nan")
ROMAN = ("I", "II", "III", "IV")

# fmt: off
ANSWERS: dict[str, list[Case]] = {
    "a letter": [
        Case(COLOURS, text, "found", 1)
        for text in (
            "(B)", "B", "b", "(b)", "B.", "B)", "B:", "(B).", "(B):", "( B )", "[B]", "{B}", "<B>", "B .",
            "**B**", "*B*", "__B__", "`B`", "**(B)**", "(**B**)", "**B.**", "***B***", "~~B~~", "```B```",
            r"\boxed{B}", r"$\boxed{B}$", r"$\text{B}$", r"\boxed{\text{B}}", r"$$\mathbf{(B)}$$",
            r"\(B\)", r"\textbf{B}", r"The answer is $\boxed{B}$.", r"\boxed{(B)}", r"\[ \boxed{B} \]",
            '"B"', "“B”", "'(B)'", "«B»", "「B」", "（B）", "Ｂ", "【B】", "B：", "B。", "Ⓑ", "⒝", "𝐁",
            "\u200bB\u200b", "\ufeff(B)", "(\xa0B\xa0)", "\xa0B\xa0", "(\nB\n)", "\n\n B \n", "\tB\t",
            "B\x00", "👉 (B)", "(B) ✅", "B ✔️", "<b>B</b>", "- B", "# B", "> (B)",
        )
    ],
    "a letter in a sentence": [
        Case(COLOURS, text, "found", 1)
        for text in (
            "Option B", "option (b)", "Choice B", "Answer: B", "Answer: **B**", "answer B", "B is correct",
            "The answer is (B).", "The answer is B", "The correct answer is: B)", "My final answer: (B)",
            "So, the answer is option B.", "The correct option is B.", "Letter B", "Final answer - B",
            "I think that it is (B)", "It is (B), I believe", "Based on the picture, the answer is B.",
            "A closer look shows (B)", "B because the light falls so", "B - since the light falls so",
            "B, as the light shows", "(B) as I said above, (B)", "B, B", "b is the one: (B)", "*B " * 600,
        )
    ],
    "a letter and its text": [
        Case(COLOURS, text, "found", 1)
        for text in (
            "(B) Blue", "(B)Blue", "B. Blue", "B.Blue", "B) Blue", "B)Blue", "B: Blue", "(B): Blue",
            "B Blue", "b blue", "B - Blue", "B-Blue", "B – Blue", "(B) - Blue.", "B, Blue", "(b) BLUE!",
            "B\nBlue", "**B. Blue**", "**B.** Blue", "**(B)** *Blue*", r"\boxed{B. Blue}",
            r"\boxed{\text{(B) Blue}}", "Option B: Blue", "The answer is (B) Blue.", "Blue (B)",
            "Blue, option B", "Blue [B]", "(B) Blue (not red)", "(B) The answer is Blue.",
            "The shirt is (B) Blue.", "(B) “Blue”", "【B】Blue", "<answer-text>(B)</answer-text> Blue",
        )
    ],
    "a text": [
        Case(COLOURS, text, "found", 1)
        for text in (
            "Blue", "blue", "BLUE", "Blue.", "Blue!", " Blue ", "**Blue**", "*blue*.", "'Blue'", "“Blue.”",
            r"\text{Blue}", r"\boxed{Blue}", "Ｂlue", "Bl\u200bue", "Bl\xadue", "The answer is Blue.",
            "Answer: blue", "Blue 🟦", "The correct option is: **Blue**",
        )
    ],
    "texts that look like something else": [
        Case(ANIMALS, "A dog", "found", 0), Case(ANIMALS, "a cat.", "found", 1),
        Case(ANIMALS, "(A) A dog", "found", 0), Case(ANIMALS, "A A dog", "found", 0),
        Case(ANIMALS, "A cat", "found", 1), Case(ANIMALS, "(B) A dog", "ambiguous"),
        Case(ANIMALS, "A", "found", 0), Case(ANIMALS, "I", "off_menu"),
        Case(ANIMALS, "I see none", "found", 3), Case(FLAGS, "U.S.A. flag", "found", 0),
        Case(FLAGS, "(A) U.S.A. flag", "found", 0), Case(FLAGS, "D.C. flag", "found", 1),
        Case(FLAGS, "Vitamin D.", "found", 2), Case(FLAGS, "Vitamin D", "found", 2),
        Case(FLAGS, "(C) Vitamin D.", "found", 2), Case(FLAGS, "C. Vitamin D because of D", "ambiguous"),
        Case(FLAGS, "(C) Vitamin D it is", "found", 2), Case(FLAGS, "e.g. a kite", "found", 3),
        Case(FLAGS, "D", "found", 3), Case(FLAGS, "D.", "found", 3),
        Case(BOTH, "both (A) and (B)", "found", 2), Case(BOTH, "(C) both (A) and (B)", "found", 2),
        Case(BOTH, "Both (A) and (B).", "found", 2), Case(BOTH, "(A) and (B)", "ambiguous"),
        Case(BOTH, "C", "found", 2), Case(BOTH, "(C) both", "found", 2), Case(BOTH, "neither", "found", 3),
        Case(NUMBERS, "3", "found", 2), Case(NUMBERS, "(C) 3", "found", 2),
        Case(NUMBERS, "(C) 1", "ambiguous"), Case(NUMBERS, "C. 3 of 10", "found", 2),
        Case(NUMBERS, "10", "found", 3), Case(NUMBERS, "4", "off_menu"), Case(NUMBERS, "1.", "found", 0),
        Case(NUMBERS, "1.0", "off_menu"), Case(NUMBERS, "(1)", "off_menu"),
        Case(EMPTYISH, "None", "found", 0), Case(EMPTYISH, "NA", "found", 1),
        Case(EMPTYISH, "N/A", "off_menu"), Case(EMPTYISH, "null", "found", 2),
        Case(EMPTYISH, "NaN", "found", 3), Case(EMPTYISH, "(D) nan", "found", 3),
        Case(ROMAN, "I", "found", 0), Case(ROMAN, "II", "found", 1), Case(ROMAN, "(B) II", "found", 1),
        Case(("-5", "5", "0.5", ".5"), "-5", "found", 0), Case(("-5", "5", "0.5", ".5"), "5", "found", 1),
        Case(("-5", "5", "0.5", ".5"), ".5", "found", 3),
        Case(("-5", "5", "0.5", ".5"), "(A) 5", "ambiguous"),
        Case(("A+", "B+", "C++", "C#"), "B+", "found", 1),
        Case(("A+", "B+", "C++", "C#"), "C++", "found", 2),
        Case(("Red.", "Red!", "x", "y"), "Red!", "found", 1),
        Case(("Red.", "Red!", "x", "y"), "(B) Red", "found", 1),
        Case(("Red.", "Red!", "x", "y"), "Red", "off_menu"),
        Case(("***", "**", "x", "y"), "**", "found", 1),
        Case(("the dog’s tail", "an ear"), "the dog's tail", "found", 0),
        Case(("red", "dark red"), "(A) dark red", "ambiguous"),
        Case(("red", "dark red"), "dark red (B)", "found", 1),
        Case(("dog", "A dog"), "A dog", "ambiguous"), Case(("dog", "A dog"), "dog", "found", 0),
        Case(("Is", "Not"), "(A) is", "found", 0), Case(("$5", "$50"), "$5", "found", 0),
        Case(("😀", "😢"), "😢", "found", 1), Case(("👩\u200d🚀", "👩🚀"), "👩🚀", "found", 1),
        Case(tuple("abcdefghij"), "(J)", "found", 9), Case(tuple("0123456789"), "I", "found", 8),
        Case(tuple("0123456789"), "e.g. this", "off_menu"),
        Case(tuple("0123456789"), "I think so", "off_menu"), Case(("", "x"), "", "missing"),
        Case(("x", ""), "(B)", "found", 1), Case((), "A", "off_menu"),
        Case(("**", "***"), "(A) this", "found", 0),
    ],
    "options that are letters": [
        Case(LETTERED, "(A)", "found", 0), Case(LETTERED, "A", "ambiguous"),
        Case(LETTERED, "A.", "ambiguous"), Case(LETTERED, "A)", "found", 0),
        Case(LETTERED, "(A) B", "found", 0), Case(LETTERED, "(A) A", "ambiguous"),
        Case(LETTERED, "K", "found", 2), Case(LETTERED, "C", "found", 2), Case(LETTERED, "D", "found", 3),
        Case(LETTERED, "B. A", "found", 1), Case(("(B)", "(A)"), "(A)", "ambiguous"),
    ],
    "a contradiction": [
        Case(COLOURS, text, "ambiguous")
        for text in (
            "(B) Red", "B. Red", "B: red", "B Red", "b red", "B-Red", "Red (B)", "Red, option B",
            "(B)\nRed", "(B) The shirt is red", "Answer: B) Red", r"\boxed{B. Red}",
            "The answer is (B), red.", "A red (B)",
        )
    ],
    "several labels": [
        Case(COLOURS, text, "ambiguous")
        for text in (
            "(A) or (B)", "A or B", "a or b", "A/B", "A, B", "A, B and C", "B, C", "B; C", "A & B",
            "(A)(B)", "(A) (B)", "A B", "B\nC", "A and B", "[A, B]", "both A and C", "Both (A) and (C)",
            "Either A or D", "Options A and B", "(A) Red or (B) Blue", "(A) Red. (B) Blue.", "A. B. C. D.",
            "A-B", "B.C.", "It is (A), or perhaps (B)", "(B) rather than (C)", "B, unless it is D",
            "The answer is A or B", "(A) Red (B) Blue (C) Green (D) Black", "Answer: (A), (B)",
            "A. Red B. Blue", "(B), not A", "Option A or option B", "Either A or option B",
            "either a or (b)", "A or option B", "Answer: B. Wait, maybe C", "B (mostly), C (a bit)",
            "B is likelier than A is", "Blue (see (A))", "A) Blue, not Red", "(A) b.", "B is a",
        )
    ],
    "no option": [
        Case(COLOURS, text, "off_menu")
        for text in (
            "(E)", "E", "E.", "Z", "(X)", "(E) Red", "Purple", "(Purple)", "the answer", "X.", "AB", "BB",
            "1", "(1)", "?", "...", "-", "None of the above", "(None)", "A bird", "a lot", "I think so",
            "I am blue?", "Option A is wrong.", "B-52 bomber", "A/C unit",
             "U.S.A. flag", "D.C. is the capital", "N/A", "A or E", "e.g. blue", "C-shaped",
            "D-day", "a-b-c-d-e-f-g-h-ij", "It is not (B)", "anything except (B)", "B is wrong",
            "(B) isn't right", "Blueish", "blue-green", "the shirt is blue", "Red or blue", "dog (s)",
            "person(s)", "А", "β", "Answer:", "The answer is", "<answer>", "</b>", "{}", "()", "[]",
            r"\frac{A}{B}", '{"answer": "B"}', "\ud800", "x" * 3_000, "(B)" + " " * 3_000, "(" * 1_999,
        )
    ],
    "nothing": [
        Case(COLOURS, text, "missing")
        for text in (
            "", " ", "\n", "\u200b", "**", "\u3000", '""', "`` ``", "$$", r"\boxed{}", "💥",
        )
    ],
}
# fmt: on


def flat(table: dict[str, list[Case]]) -> list[object]:
    return [
        pytest.param(case, id=f"{kind}-{number}-{case.text[:40]!a}-{len(case.text)}")
        for kind, cases in table.items()
        for number, case in enumerate(cases)
    ]


@pytest.mark.parametrize("case", flat(ANSWERS))
def test_an_answer_is_read_as_what_it_says(case: Case) -> None:
    choice = read_choice(case.text, case.options)
    assert (choice.status, choice.option) == (case.status, case.option)


def test_a_changed_reading_raises_the_reader_version() -> None:
    seen = [read_choice(case.text, case.options) for cases in ANSWERS.values() for case in cases]
    digest = hashlib.sha256(repr([(one.status, one.option) for one in seen]).encode()).hexdigest()[:16]
    assert (READER_VERSION, digest) == (1, "9681470d5d46e30f"), (
        "Where a text is read differently than before, raise READER_VERSION, so that stored readings are "
        "made anew, and pin the new pair here. Where only cases were added, pin the new digest."
    )
