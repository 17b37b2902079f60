"""The student that ships: it looks, it is often wrong, and the real classes read it as it was taught."""

from __future__ import annotations

import itertools
import json

import pytest
import torch

from lpt_synth.lab.captions import Described
from lpt_synth.lab.draw import draw_scene, overlaps
from lpt_synth.lab.scene import Scene, make_scene
from lpt_synth.lab.student import shipped_student
from lpt_synth.lab.student.batches import Batches, positions_of
from lpt_synth.lab.student.measure import Item, answers, items, load_student, score, verdicts
from lpt_synth.lab.student.school import RECORD
from lpt_synth.lab.student.tokenizer import option_lines, whole_sentences
from lpt_synth.lab.teacher.reading import answer_of

QUESTIONS = 300
# Standard deviation of a share of 300 is at most 0.029.
CHANCE, SLACK = 0.25, 0.09


@pytest.fixture(scope="module")
def student():
    with shipped_student() as folder:
        yield load_student(folder)


@pytest.fixture(scope="module")
def asked() -> list[Item]:
    return items("test", QUESTIONS)


@pytest.mark.slow
def test_it_is_right_well_above_chance_and_well_below_always(student, asked):
    marks = score(asked, answers(*student, asked))
    assert 0.5 <= marks.right <= 0.7
    assert marks.readable > 0.95


@pytest.mark.slow
def test_on_blank_pictures_it_falls_to_chance(student, asked):
    blank = draw_scene(Scene(things=()))
    assert score(asked, answers(*student, asked, [blank] * len(asked))).right <= CHANCE + SLACK


@pytest.mark.slow
def test_on_another_picture_it_says_what_that_one_shows(student, asked):
    swapped: list[tuple[Item, Item, int]] = []
    for item, other in itertools.product(asked[:100], asked[100:200]):
        found = answer_of(Described(other.scene, overlaps(other.scene)), item.mcq.question, item.mcq.options)
        if (
            found is not None
            and found.option != item.mcq.gold
            and (not swapped or swapped[-1][0] is not item)
        ):
            swapped.append((item, other, found.option))
    assert len(swapped) > 70
    shown = [draw_scene(other.scene) for _, other, _ in swapped]
    said = verdicts([item for item, _, _ in swapped], answers(*student, [i for i, _, _ in swapped], shown))
    follows = sum(verdict.option == option for verdict, (_, _, option) in zip(said, swapped, strict=True))
    stays = sum(verdict.correct for verdict in said)
    assert follows > 0.45 * len(swapped)
    assert stays < 0.3 * len(swapped)


def test_each_fixed_sentence_of_the_prompts_is_one_token_to_it(student):
    tokenizer = student[1].tokenizer
    # Prompts that were changed without a new student would be read word by word, and not understood.
    assert all(len(tokenizer(sentence).input_ids) == 1 for sentence in whole_sentences())


def test_each_line_of_an_option_is_one_token_to_it(student):
    tokenizer = student[1].tokenizer
    for item in items("validation", 40):
        lines = [f"\n{line}" for line in item.shown.render_options(item.mcq).splitlines()]
        assert set(lines) <= set(option_lines())
        ids = tokenizer(item.lesson.user).input_ids
        assert [tokenizer.decode([one]) for one in ids if tokenizer.decode([one]) in lines] == lines


def test_its_tokenizer_gives_any_text_back(student):
    tokenizer = student[1].tokenizer
    for text in ("At the top left I see a dotted red star.", "Größe 12 🗼\n\n<think> x </think>", "  (A) 3"):
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_it_was_taught_with_the_positions_that_the_real_model_gives(student, asked):
    model, processor = student
    prompt = Batches(processor.tokenizer).prompt(asked[0].lesson)
    inputs = processor(text=[prompt], images=[draw_scene(asked[0].scene)], return_tensors="pt")
    positions, _ = model.model.get_rope_index(
        inputs["input_ids"], inputs["mm_token_type_ids"], inputs["image_grid_thw"]
    )
    ids = inputs["input_ids"][0].tolist()
    image = ids.index(processor.image_token_id)
    assert ids.count(processor.image_token_id) == 9
    assert torch.equal(positions[:, 0], positions_of(image, len(ids)))


def test_it_was_taught_on_training_scenes_alone_and_says_how():
    with shipped_student() as folder:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        size = sum(file.stat().st_size for file in folder.iterdir())
    assert size < 8_000_000
    layouts = {make_scene("train", n, seed=record["schooling"]["seed"]).layout for n in range(500)}
    assert not layouts & {make_scene("test", n).layout for n in range(500)}
    assert record["curve"][-1]["step"] == record["schooling"]["steps"]
