"""What the student is taught with: pictures described, things found, questions thought about."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import get_args

from lpt_core import MCQ, AnswerStyle, OptionStyle, Presentation, load_prompt
from lpt_synth.lab.captions import Described, scan
from lpt_synth.lab.draw import overlaps
from lpt_synth.lab.question import Question
from lpt_synth.lab.questions import brief_thought
from lpt_synth.lab.scene import PLACES, Scene
from lpt_synth.lab.teacher.reading import Asked, answer_of
from lpt_synth.lab.teacher.thoughts import continuation

DESCRIBE = {True: "Describe every shape of the picture.", False: "Name the shapes of the picture."}
"""What asks for a description with size and pattern, and for one without."""
FIND = "Say what is where."
LOOK = "Look closely."
"""Before a question it asks for a long look, as a large model gives one when it is told to."""
_FOUND = 8  # facts in the answer to FIND


@dataclass(frozen=True, slots=True)
class Lesson:
    """One example: a conversation about a picture, and what the student is to say.

    Attributes:
        scene: Index of its scene.
        system: The system prompt; "" for none.
        user: What stands after the picture.
        answer: What is learned.
    """

    scene: int
    system: str
    user: str
    answer: str


class Teaching:
    """Turns scenes and their questions into lessons."""

    def __init__(self) -> None:
        self._question = load_prompt("question", 1)
        self._think = load_prompt("think_system", 1).render()
        self._direct = load_prompt("direct_system", 1).render()
        self._option_styles: tuple[OptionStyle, ...] = get_args(OptionStyle)
        self._answer_styles: tuple[AnswerStyle, ...] = get_args(AnswerStyle)

    def describe(self, index: int, scene: Scene, draw: random.Random) -> Lesson:
        """Describe the picture, in reading order."""
        full = draw.random() < 0.6
        return Lesson(index, "", DESCRIBE[full], scan(scene, full=full))

    def find(self, index: int, scene: Scene, draw: random.Random) -> Lesson:
        """Say what is where, where is what, how it looks, in any order: each fact is a look of its own."""
        facts = [f"{thing.name}: {thing.place}, {thing.size}, {thing.pattern}." for thing in scene.things]
        for cell, place in enumerate(PLACES):
            thing = scene.at(cell)
            facts.append(f"{place}: {thing.name if thing else 'nothing'}.")
        draw.shuffle(facts)
        return Lesson(index, "", FIND, " " + " ".join(facts[:_FOUND]))

    def ask(self, index: int, question: Question, draw: random.Random, *, think: bool) -> Lesson:
        """Answer a question after a brief thought that ends in the option's line, or at once."""
        mcq, shown = self.present(question, draw)
        answer = f"<answer> {shown.render_answer(mcq, mcq.gold)} </answer>"
        if think:
            line = shown.render_options(mcq).splitlines()[shown.order.index(mcq.gold)]
            answer = f"<think> {brief_thought(question, draw)}\n{line} </think> {answer}"
        return self.lesson(index, mcq, shown, answer, think=think)

    def look(self, index: int, scene: Scene, question: Question, draw: random.Random) -> Lesson:
        """Answer a question after a long look, which is asked for in so many words."""
        mcq, shown = self.present(question, draw)
        options, lines = shown.shown(mcq), tuple(shown.render_options(mcq).splitlines())
        described = Described(scene, overlaps(scene))
        answer = answer_of(described, mcq.question, options)
        if answer is None:
            raise AssertionError(f"the world does not know its own question {mcq.question!r}")
        asked = Asked(described, mcq.question, options, lines, shown.answer_style, answer)
        said = f"<think>{continuation(asked, '<think>', draw, lapse=False)}"
        plain = self.lesson(index, mcq, shown, said)
        return replace(plain, user=f"{LOOK}\n{plain.user}")

    def present(self, question: Question, draw: random.Random) -> tuple[MCQ, Presentation]:
        """The question as core has it, its options in a drawn order and form."""
        options = [question.answer, *question.distractors]
        draw.shuffle(options)
        mcq = MCQ.make(
            caption_id="lab",
            question=question.text,
            options=tuple(options),
            gold=options.index(question.answer),
            kind=question.label,
        )
        shown = Presentation(
            mcq_id=mcq.id,
            order=tuple(range(len(options))),
            option_style=draw.choice(self._option_styles),
            answer_style=draw.choice(self._answer_styles),
        )
        return mcq, shown

    def lesson(
        self, index: int, mcq: MCQ, shown: Presentation, answer: str = "", *, think: bool = True
    ) -> Lesson:
        """A question as it is put to any model, and what is to be said."""
        user = self._question.render(
            question=mcq.question, options=shown.render_options(mcq), answer_style=shown.answer_style
        )
        return Lesson(index, self._think if think else self._direct, user, answer)
