"""Which lists of options can be read, and that a list which cannot is never read wrongly."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpt_core import LETTERS, MAX_OPTIONS, MCQ, Presentation, check_options, parse_options

LETTERED = list(zip(string.ascii_uppercase, string.ascii_lowercase, strict=True))

READ: list[tuple[str, list[str]]] = [
    ("(A) Red (B) Blue (C) Green (D) Black", ["Red", "Blue", "Green", "Black"]),
    ("(A) Red, (B) Blue, and (C) Green", ["Red", "Blue", "Green"]),
    ("(A) Red; (B) Blue; or (C) Green", ["Red", "Blue", "Green"]),
    ("A) Red | B) Blue", ["Red", "Blue"]),
    ("(A) Red / (B) Blue", ["Red", "Blue"]),
    ("A. Red B. Blue C. Green", ["Red", "Blue", "Green"]),
    ("A: Red\nB: Blue", ["Red", "Blue"]),
    ("A - Red\nB – Blue", ["Red", "Blue"]),
    ("- A. Red\n- B. Blue", ["Red", "Blue"]),
    ("* A Red\n• B Blue", ["Red", "Blue"]),
    ("1. (A) Red\n2. (B) Blue", ["Red", "Blue"]),
    ("Option A: Red\nOption B: Blue", ["Red", "Blue"]),
    ("**A.** Red\n**B.** Blue", ["Red", "Blue"]),
    ("**A. Red**\n**B. Blue**", ["Red", "Blue"]),
    ("**(A)** Red **(B)** Blue", ["Red", "Blue"]),
    ("(A) **Red** (B) **Blue**", ["Red", "Blue"]),
    ("[A] Red [B] Blue", ["Red", "Blue"]),
    ("（A）Red （B）Blue", ["Red", "Blue"]),
    ("A．Red\nB．Blue", ["Red", "Blue"]),
    ("(a) red (b) blue", ["red", "blue"]),
    ("a. red\nb. blue", ["red", "blue"]),
    ("A.Red B.Blue", ["Red", "Blue"]),
    ("A)Red,B)Blue", ["Red", "Blue"]),
    ("(A) - Red (B) - Blue", ["Red", "Blue"]),
    ("Here are the choices: (A) Red (B) Blue", ["Red", "Blue"]),
    ("(A) Red\n   with dots\n\n(B) Blue", ["Red with dots", "Blue"]),
    # Texts with letters, stops and brackets of their own (paper.md §5, defects 7 and 8).
    ("(A) Vitamin A. (B) Vitamin B. (C) Vitamin C. (D) Vitamin D.", [f"Vitamin {c}." for c in "ABCD"]),
    ("A. Vitamin A. B. Vitamin B. C. Vitamin C. D. Vitamin D.", [f"Vitamin {c}." for c in "ABCD"]),
    ("A. Vitamin D. B. Vitamin C. C. Zinc D. Iron", ["Vitamin D.", "Vitamin C.", "Zinc", "Iron"]),
    ("A. Zinc\nB. Iron\nC. Vitamin D.", ["Zinc", "Iron", "Vitamin D."]),
    ("A. U.S.A. flag B. U.K. flag C. D.C. flag", ["U.S.A. flag", "U.K. flag", "D.C. flag"]),
    ("(A) Between A. and B. (B) e.g. this", ["Between A. and B.", "e.g. this"]),
    ("A. Between A. and B.\nB. none", ["Between A. and B.", "none"]),
    ("(A) x (B) y (C) both (A) and (B) (D) z", ["x", "y", "both (A) and (B)", "z"]),
    ("A. x\nB. y\nC. both A. and B.\nD. z", ["x", "y", "both A. and B.", "z"]),
    ("(A) x\n(B) y\n(C) z\n(D) Both (C) and (D) so", ["x", "y", "z", "Both (C) and (D) so"]),
    ("(A) Both (B) and (C)\n(B) Red\n(C) Blue", ["Both (B) and (C)", "Red", "Blue"]),
    ("(A) A dog (B) A cat", ["A dog", "A cat"]),
    ("A. A dog\nB. I see none", ["A dog", "I see none"]),
    ("(A) a man (a boy) (B) person(s)", ["a man (a boy)", "person(s)"]),
    ("(A) -5 (B) 5", ["-5", "5"]),
    ("(A) 3.5 (B) 4.5", ["3.5", "4.5"]),
    ("(A) * (B) **", ["*", "**"]),
    ("(A) 2**3 (B) 3**2 now", ["2**3", "3**2 now"]),
    ("(A) None (B) NA (C) nan", ["None", "NA", "nan"]),
    ("(A) A (B) B", ["A", "B"]),
    ("(A) 红 (B) 蓝", ["红", "蓝"]),
    (" ".join(f"({c}) is {i}" for i, c in enumerate(LETTERS)), [f"is {i}" for i in range(10)]),
]

REFUSED: list[tuple[str, str]] = [
    ("", "options_unreadable"),
    ("Red, Blue", "options_unreadable"),
    ("1. Red 2. Blue", "options_unreadable"),
    ("(A) Red", "options_unreadable"),
    ("(B) Red (C) Blue", "options_unreadable"),
    ("(A) Red (C) Blue", "options_unreadable"),
    ("(A) Red (B) Blue (D) Black", "options_unreadable"),
    ("(A) Red\n(B) Blue\n(D) Black", "options_unreadable"),
    ("(A) Red (A) Pink (B) Blue", "options_unreadable"),
    ("(A) Red (B) Blue (B) Pink (C) Green", "options_unreadable"),
    ("(A) x (B) y (C) z (D) Both (C) and (D) so", "options_unreadable"),
    ("(A) Both (B) and (C) (B) Red (C) Blue (D) x", "options_unreadable"),
    ("I was asked which of them it is: (A) Red (B) Blue", "options_unreadable"),
    ("(A) Red (B) " + "blue " * 5_000, "options_unreadable"),
    ("(A) Red (B) (C) Green", "option_empty"),
    ("(A) Red\n(B)\n(C) Green", "option_empty"),
    ("(A) (B) Blue", "option_empty"),
    ("(A) Red (B)", "option_empty"),
    ("A. \nB. Blue", "option_empty"),
    ("(A) Red (B) \u200b (C) Green", "option_empty"),
    ("(A) Red (B) red", "options_duplicate"),
    ("(A) Red (B) Re\u200bd", "options_duplicate"),
    (" ".join(f"({c}) is {i}" for i, c in enumerate(string.ascii_uppercase[:11])), "options_too_many"),
    (" ".join(f"({c}) is {i}" for i, c in enumerate(string.ascii_uppercase)), "options_too_many"),
]


@pytest.mark.parametrize(("text", "options"), READ, ids=range(len(READ)))
def test_a_list_of_options_is_read(text: str, options: list[str]) -> None:
    read = parse_options(text)
    assert not read.problems
    assert list(read.options) == options


@pytest.mark.parametrize(("text", "kind"), REFUSED, ids=range(len(REFUSED)))
def test_a_list_that_cannot_be_read_is_refused_with_its_reason(text: str, kind: str) -> None:
    read = parse_options(text)
    assert read.options == ()
    assert [problem.kind for problem in read.problems] == [kind]


def test_the_reason_says_which_option_and_how_many() -> None:
    assert str(parse_options("(A) Red (B) (C)").problems[0]) == "option B, C has no text"
    assert str(check_options(["x"]).problems[0]) == "1 options; a question has at least 2"
    many = check_options([str(n) for n in range(11)]).problems[0]
    assert str(many) == f"11 options; at most {MAX_OPTIONS} are supported"


def test_options_read_by_other_means_are_checked_and_left_as_they_are() -> None:
    assert check_options(["(B) x", " y "]).options == ("(B) x", " y ")
    assert check_options([]).problems[0].kind == "options_too_few"


@given(st.text())
def test_no_text_makes_the_reader_of_options_raise(text: str) -> None:
    parse_options(text)


@given(st.text(alphabet="AaBbCD(). \n*-:,"))
def test_no_text_like_a_list_makes_it_raise_or_return_neither(text: str) -> None:
    read = parse_options(text)
    assert bool(read.options) != bool(read.problems)


WORDS = st.text(alphabet="bcdefghjklmnopqrstuvwxyzéß'", min_size=2, max_size=8).filter(
    lambda word: word.strip("'") == word
)
TAME = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)


@given(st.lists(TAME, min_size=2, max_size=10, unique=True), st.integers(0, 50))
def test_options_as_shown_are_read_back(options: list[str], seed: int) -> None:
    mcq = MCQ.make(caption_id="c", question="Which?", options=tuple(options), gold=0)
    presentation = Presentation.derive(mcq, seed)
    assert parse_options(presentation.render_options(mcq)).options == presentation.shown(mcq)


@pytest.mark.parametrize(
    "text",
    [
        "A. " * 300_000,
        "(A) (B) (C) " * 80_000,
        "A. " * 6_000,
        "A.\n" * 3_000 + " " * 10_000 + "B. x",
        " ".join(f"{upper}. {lower}" for upper, lower in LETTERED * 100),
        "\n".join(f"({upper}) {lower}" for upper, lower in LETTERED[::-1] * 90),
        "(" * 20_000,
        "*" * 20_000,
        "- " * 10_000,
        "A" + " " * 19_000 + "B",
        "\nA" * 10_000,
        " \n" * 10_000 + "A",
        "1. " * 6_000,
        "Option " * 2_800,
        "e\u0301\u0323" * 6_000,
    ],
    ids=range(15),
)
def test_a_pathological_list_takes_no_time(text: str) -> None:
    began = time.process_time()
    parse_options(text)
    assert time.process_time() - began < 1
