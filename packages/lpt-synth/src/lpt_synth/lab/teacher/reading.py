"""What a prompt asks of the teacher: the scene of its caption, the question, the choices, the form."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, MutableSequence, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

from lpt_core import AnswerStyle, normal_text
from lpt_synth.lab.captions import Described, read_caption
from lpt_synth.lab.question import Question
from lpt_synth.lab.questions import questions
from lpt_synth.lab.scene import Thing

T = TypeVar("T")

_WORDINGS = 3
"""At least as many as the wordings of any one question."""
_MAX_PROMPT = 100_000
_MAX_FORM = 10_000
"""Characters after a question in which its choices and the form of its answer are sought."""
_LABELLED = re.compile(r"[ \t]*(?:\(([A-J])\)|([A-J])[.)])[ \t]+(\S.*)")
_STYLES: tuple[tuple[AnswerStyle, tuple[str, ...]], ...] = (
    ("letter_parens", ("in parentheses", "(X)")),
    ("letter_dot", ("full stop", " X.")),
    ("text", ("full text", "text of the correct option", "text of the right option")),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The true answer to a question about a scene.

    Attributes:
        option: Place of the right option among those shown, from 0.
        question: The question as this world knows it.
    """

    option: int
    question: Question


@dataclass(frozen=True, slots=True)
class Asked:
    """What an expander's prompt asks.

    Attributes:
        described: What its caption says.
        text: The question.
        options: The choices in the order shown.
        lines: The same with their labels, as shown.
        style: How the answer is to be written.
        answer: The true answer.
    """

    described: Described
    text: str
    options: tuple[str, ...]
    lines: tuple[str, ...]
    style: AnswerStyle
    answer: Answer


class _Wording(random.Random):
    """Draws that always choose the same wording, so that all of them can be gone through."""

    def __init__(self, place: int) -> None:
        super().__init__(0)
        self._place = place

    def choice(self, seq: Sequence[T] | MutableSequence[T]) -> T:  # pyright: ignore[reportIncompatibleMethodOverride] # narrower than typeshed's protocol, and enough here
        return seq[self._place % len(seq)]


@lru_cache(maxsize=256)
def known_questions(described: Described) -> Mapping[str, Question]:
    """All questions about a scene, by their text in every wording."""
    return {
        question.text: question
        for place in range(_WORDINGS)
        for question in questions(described.scene, described.overlaps, _Wording(place))
    }


def answer_of(described: Described, text: str, options: Sequence[str]) -> Answer | None:
    """The true answer to a question of this world, worked out anew from the scene.

    Args:
        described: What the caption says.
        text: The question in any of its wordings.
        options: The choices in any order.

    Returns:
        None where it is no question about this scene, or no one choice is right.
    """
    question = known_questions(described).get(text)
    if question is None:
        return None
    shown = [normal_text(option) for option in options]
    if question.kind == "by_size":
        right = [thing for thing in _of_size(described, question) if thing.name in shown]
        if len(right) != 1:
            return None
        thing = right[0]
        finding = f"At the {thing.place} is a {thing.size} one, the {thing.name}."
        question = replace(question, answer=thing.name, finding=finding)
    places = [place for place, option in enumerate(shown) if option == normal_text(question.answer)]
    if len(places) != 1:
        return None
    others = tuple(option for place, option in enumerate(options) if place != places[0])
    return Answer(places[0], replace(question, distractors=others))


def _of_size(described: Described, question: Question) -> list[Thing]:
    size = "large" if "largest" in question.text else "small"
    return [thing for thing in described.scene.things if thing.size == size]


def caption_in(text: str) -> Described | None:
    """The caption of this world that a prompt holds, if it holds one."""
    return read_caption(text[:_MAX_PROMPT])


def read_asked(text: str) -> Asked | None:
    """What an expander's prompt asks; None where it holds no caption or no question about its scene.

    The question and its choices are sought wherever they stand after each other outside the caption, so
    that prompts of people's own serve as well.
    """
    described = caption_in(text)
    if described is None:
        return None
    rest = f"{text[: described.start]}\n{text[described.end : _MAX_PROMPT]}"
    found = [known for known in known_questions(described) if known in rest]
    for question in sorted(found, key=lambda known: (-len(known), known)):
        begin = rest.rindex(question) + len(question)
        options, lines, after = _options(rest[begin : begin + _MAX_FORM])
        answer = answer_of(described, question, options)
        if answer is not None:
            return Asked(described, question, options, lines, _style(after), answer)
    return None


def _options(text: str) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """What the first lines labelled A, B, … in this order say, these lines, and what follows them."""
    options: list[str] = []
    labelled: list[str] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        match = _LABELLED.match(line)
        if match and "ABCDEFGHIJ".find(match[1] or match[2]) == len(options):
            options.append(match[3].strip())
            labelled.append(line.strip())
        elif options:
            return tuple(options), tuple(labelled), "\n".join(lines[number:])
    return tuple(options), tuple(labelled), ""


def _style(text: str) -> AnswerStyle:
    """How a prompt wants the answer; a letter in parentheses where it does not say."""
    for style, marks in _STYLES:
        if any(mark in text for mark in marks):
            return style
    return "letter_parens"
