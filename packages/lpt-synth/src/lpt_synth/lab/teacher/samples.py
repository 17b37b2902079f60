"""Whole long thoughts about training scenes, for teaching a tokenizer what the teacher says."""

from __future__ import annotations

import random
from collections.abc import Iterator

from lpt_core import MCQ, Presentation, derived_int
from lpt_synth.config import ExpandConfig
from lpt_synth.lab.captions import Described
from lpt_synth.lab.draw import overlaps
from lpt_synth.lab.question import Question
from lpt_synth.lab.questions import brief_thought, questions
from lpt_synth.lab.scene import LEVELS, make_scene
from lpt_synth.lab.teacher.details import said
from lpt_synth.lab.teacher.reading import Asked, answer_of
from lpt_synth.lab.teacher.thoughts import continuation

_WRONG = 0.5
_LAPSE = 0.1


def sample_texts(n: int, seed: int) -> Iterator[str]:
    """So many long thoughts, each whole: a brief thought, right or wrong, a cue, its continuation and answer.

    Of train scenes of all levels in turn, and of all kinds of questions alike.
    """
    for number in range(n):
        yield _sample(number, seed)


def _sample(number: int, seed: int) -> str:
    draw = random.Random(derived_int(seed, "lab-teacher-sample", number))
    scene = make_scene("train", number, seed=seed, level=LEVELS[number % len(LEVELS)])
    described = Described(scene, overlaps(scene))
    asked_of = questions(scene, described.overlaps, draw)
    kind = draw.choice(sorted({question.kind for question in asked_of}))
    question = draw.choice([one for one in asked_of if one.kind == kind])
    mcq = MCQ.make(
        caption_id="",
        question=question.text,
        options=(question.answer, *question.distractors),
        gold=0,
    )
    shown = Presentation.derive(mcq, seed)
    answer = answer_of(described, mcq.question, shown.shown(mcq))
    if answer is None:
        raise AssertionError(f"the world does not know its own question {mcq.question!r}")
    asked = Asked(
        described,
        mcq.question,
        shown.shown(mcq),
        tuple(shown.render_options(mcq).splitlines()),
        shown.answer_style,
        answer,
    )
    config = ExpandConfig()
    cue = f"{draw.choice(config.breaks)}{draw.choice(config.cues)}"
    prefill = f"<think> {_first(question, draw)}{cue}"
    return prefill + continuation(asked, prefill, draw, lapse=draw.random() < _LAPSE)


def _first(question: Question, draw: random.Random) -> str:
    """A brief thought, half of the time a wrong one."""
    if draw.random() >= _WRONG:
        return brief_thought(question, draw)
    wrong = said(question, draw.choice(question.distractors))
    return f"{question.look} {wrong[:1].upper()}{wrong[1:]}."
