"""How often the student is right: real pictures, the real prompts, the real reading of answers."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lpt_core import MCQ, Presentation, Verdict, derived_int, verify
from lpt_synth.lab.draw import draw_scene
from lpt_synth.lab.question import Question
from lpt_synth.lab.questions import scene_questions
from lpt_synth.lab.scene import Level, Scene, Split, make_scene
from lpt_synth.lab.student.batches import Batches
from lpt_synth.lab.student.lessons import LOOK, Lesson, Teaching

if TYPE_CHECKING:
    from PIL.Image import Image
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Item:
    """A question of a split as it is put to the student.

    Attributes:
        scene: What the picture shows.
        question: The question, with its kind.
        mcq: The same as core has it.
        shown: How its options stand.
        lesson: The prompt.
    """

    scene: Scene
    question: Question
    mcq: MCQ
    shown: Presentation
    lesson: Lesson


@dataclass(frozen=True, slots=True)
class Score:
    """Verdicts on answers, in the order of the items.

    Attributes:
        right: Share that is right, in [0, 1].
        readable: Share in which an option was found.
        kinds: Share that is right, by kind of question.
    """

    right: float
    readable: float
    kinds: dict[str, float]


def items(
    split: Split,
    count: int,
    *,
    seed: int = 0,
    level: Level = "medium",
    think: bool = True,
    look: bool = False,
) -> list[Item]:
    """One question about each of the first scenes of a split, of varied kinds.

    Args:
        split: Whose layouts the scenes have.
        count: How many.
        seed: Of the world.
        level: How hard they are to see.
        think: Ask for a thought before the answer.
        look: Ask for a long one.
    """
    teaching, found = Teaching(), list[Item]()
    for number in range(count):
        scene = make_scene(split, number, seed=seed, level=level)
        question = scene_questions(scene, 1, seed=seed)[0]
        draw = random.Random(derived_int(seed, "lab-items", split, number))
        mcq, shown = teaching.present(question, draw)
        lesson = teaching.lesson(number, mcq, shown, think=think)
        lesson = replace(lesson, user=f"{LOOK}\n{lesson.user}") if look else lesson
        found.append(Item(scene, question, mcq, shown, lesson))
    return found


def load_student(folder: Path) -> tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]:
    """A student and its processor, in float32."""
    import transformers

    library: Any = transformers  # its loading is typed in part alone
    model = library.Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype="float32")
    processor = library.Qwen2_5_VLProcessor.from_pretrained(folder)
    return model.eval(), processor


def answers(
    model: Qwen2_5_VLForConditionalGeneration,
    processor: Qwen2_5_VLProcessor,
    asked: Sequence[Item],
    images: Sequence[Image] | None = None,
    *,
    max_tokens: int = 80,
) -> list[str]:
    """What the student answers, greedily.

    Args:
        model: The student.
        processor: Its processor.
        asked: The questions.
        images: Other pictures than their own, one for each.
        max_tokens: The most that it may say.
    """
    import torch

    shown = list(images) if images is not None else [draw_scene(item.scene) for item in asked]
    batches, said = Batches(cast(Any, processor).tokenizer), list[str]()
    for begin in range(0, len(asked), _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        prompts = [batches.prompt(item.lesson) for item in asked[part]]
        inputs = cast(Any, processor)(text=prompts, images=shown[part], padding=True, return_tensors="pt")
        with torch.inference_mode():
            out = cast(Any, model).generate(**inputs, do_sample=False, max_new_tokens=max_tokens)
        said += cast(Any, processor).batch_decode(
            out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
    return said


def verdicts(asked: Sequence[Item], said: Sequence[str]) -> list[Verdict]:
    """Core's verdict on each answer."""
    return [verify(text, item.mcq, item.shown)[1] for item, text in zip(asked, said, strict=True)]


def score(asked: Sequence[Item], said: Sequence[str]) -> Score:
    """How many are right, in all and by kind."""
    found = verdicts(asked, said)
    kinds: dict[str, list[bool]] = defaultdict(list)
    for item, verdict in zip(asked, found, strict=True):
        kinds[item.question.kind].append(verdict.correct)
    return Score(
        right=sum(verdict.correct for verdict in found) / len(found),
        readable=sum(verdict.status == "found" for verdict in found) / len(found),
        kinds={kind: sum(values) / len(values) for kind, values in sorted(kinds.items())},
    )
