"""What the student is taught with is true of the scene, and answered as the prompt wants it."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from lpt_core import verify
from lpt_synth.lab.captions import scan
from lpt_synth.lab.question import Question
from lpt_synth.lab.questions import scene_questions
from lpt_synth.lab.scene import PLACES, Scene
from lpt_synth.lab.student.language import Lessons
from lpt_synth.lab.student.lessons import LOOK, Lesson, Teaching
from lpt_synth.lab.student.schooling import Schooling, training_scenes


def asked_of(scenes: list[Scene]) -> Iterator[tuple[Scene, Question]]:
    for scene in scenes:
        for question in scene_questions(scene, 12, seed=0):
            yield scene, question


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return training_scenes(24, 0)


def test_what_is_found_is_where_the_scene_has_it(scenes):
    teaching, draw = Teaching(), random.Random(0)
    for scene in scenes:
        for fact in re.findall(r"([^.]+)\.", teaching.find(0, scene, draw).answer):
            subject, _, said = fact.strip().partition(": ")
            if subject in PLACES:
                thing = scene.at(PLACES.index(subject))
                assert said == (thing.name if thing else "nothing")
            else:
                (thing,) = [one for one in scene.things if one.name == subject]
                assert said == f"{thing.place}, {thing.size}, {thing.pattern}"


@pytest.mark.parametrize("make", ["ask", "look"])
def test_thoughts_end_in_the_line_of_the_option_that_is_right(scenes, make):
    teaching = Teaching()
    for number, (scene, question) in enumerate(asked_of(scenes)):
        draw = random.Random(number)
        mcq, shown = teaching.present(question, random.Random(number))
        lesson: Lesson = (
            teaching.ask(0, question, draw, think=True)
            if make == "ask"
            else teaching.look(0, scene, question, draw)
        )
        line = shown.render_options(mcq).splitlines()[shown.order.index(mcq.gold)]
        thought, _, _ = lesson.answer.partition(" </think>")
        assert thought.endswith(f"\n{line}")
        assert verify(lesson.answer, mcq, shown)[1].correct
        assert lesson.user.startswith(f"{LOOK}\n") == (make == "look")


def test_a_description_is_the_scan_that_the_teacher_says(scenes):
    teaching = Teaching()
    said = [teaching.describe(0, scene, random.Random(1)) for scene in scenes]
    assert all(
        one.answer in (scan(s, full=True), scan(s, full=False)) for one, s in zip(said, scenes, strict=True)
    )


def test_the_lessons_of_a_step_depend_on_the_step_alone(scenes):
    asked = [scene_questions(scene, 8, seed=0) for scene in scenes]
    some, same = (Lessons(scenes, asked, Schooling()) for _ in range(2))
    some.of(3)
    assert some.of(7) == same.of(7)
    assert some.of(7) != some.of(8)


def test_all_kinds_of_lessons_come_in_their_shares(scenes):
    asked = [scene_questions(scene, 8, seed=0) for scene in scenes]
    how = Schooling(batch=2000)
    lessons = Lessons(scenes, asked, how).of(0)
    looked = sum(lesson.user.startswith(LOOK) for lesson in lessons) / len(lessons)
    at_once = sum(lesson.answer.startswith("<answer>") for lesson in lessons) / len(lessons)
    assert looked == pytest.approx(how.looked, abs=0.04)
    assert at_once == pytest.approx(how.direct, abs=0.02)
