"""Teaching the student: the tower first, then, with the tower frozen, the language model."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lpt_core import derived_int
from lpt_synth.lab.draw import draw_scene
from lpt_synth.lab.questions import Question
from lpt_synth.lab.scene import COLOURS, LEVELS, PATTERNS, SHAPES, SIZES, Level, Scene, make_scene
from lpt_synth.lab.student.batches import IGNORED, VISUAL_TOKENS, Batch, Batches
from lpt_synth.lab.student.lessons import Lesson, Teaching, scene_questions

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor


@dataclass(frozen=True, slots=True)
class Schooling:
    """How a student is taught.

    Attributes:
        seed: Of the scenes, the lessons and the first weights.
        scenes: Training scenes that are drawn: a quarter easy, a half medium, a quarter hard.
        per_scene: Questions that are kept of each.
        tower_steps: Steps in which a linear head on each visual token names what is in its cell.
        steps: Steps of the language model.
        batch: Lessons in a step.
        tower_rate: Highest learning rate of the tower.
        rate: Highest learning rate of the language model; both warm up and fall along a cosine.
        described: Share of lessons in which the picture is described.
        direct: Share of lessons that are answered without a thought.
    """

    seed: int = 0
    scenes: int = 16_000
    per_scene: int = 8
    tower_steps: int = 600
    steps: int = 3000
    batch: int = 64
    tower_rate: float = 2e-3
    rate: float = 2e-3
    described: float = 0.4
    direct: float = 0.1


@dataclass(slots=True)
class Curve:
    """What was seen on the way, a row for each report."""

    rows: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    began: float = field(default_factory=time.monotonic)

    def add(self, **values: float) -> None:
        """A row, with the seconds since the beginning."""
        row = {"seconds": round(time.monotonic() - self.began, 1), **values}
        self.rows.append(row)
        print(json.dumps(row), flush=True)  # noqa: T201


_KINDS: Sequence[Level] = ("easy", "medium", "medium", "hard")


def training_scenes(count: int, seed: int) -> list[Scene]:
    """The scenes that a student is taught with."""
    return [make_scene("train", number, seed=seed, level=_KINDS[number % 4]) for number in range(count)]


# ---- the tower -------------------------------------------------------------------------------------

_HEADS: Sequence[tuple[str, Sequence[str]]] = (
    ("shape", SHAPES),
    ("colour", COLOURS),
    ("size", SIZES),
    ("pattern", PATTERNS),
)


def _cells(scene: Scene) -> list[list[int]]:
    """For each head the class of every cell, 0 for an empty one."""
    return [
        [
            1 + names.index(getattr(thing, attribute)) if (thing := scene.at(cell)) else 0
            for cell in range(VISUAL_TOKENS)
        ]
        for attribute, names in _HEADS
    ]


class Eye:
    """Turns pictures into the tower's tokens."""

    def __init__(
        self, model: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor, seed: int
    ) -> None:
        self.tower = cast("torch.nn.Module", model.model.visual)
        self._processor = cast(Any, processor).image_processor
        self._seed = seed
        self._drawn: dict[Scene, Image] = {}  # 21 kB each, and drawing takes longer than looking

    def _picture(self, scene: Scene) -> Image:
        if scene not in self._drawn:
            self._drawn[scene] = draw_scene(scene, seed=self._seed)
        return self._drawn[scene]

    def tokens(self, scenes: Sequence[Scene]) -> torch.Tensor:
        """Visual tokens, float, (scenes, 9, hidden)."""
        images = [self._picture(scene) for scene in scenes]
        seen = self._processor(images=images, return_tensors="pt")
        out = self.tower(seen["pixel_values"], grid_thw=seen["image_grid_thw"])
        return out.pooler_output.view(len(scenes), VISUAL_TOKENS, -1)


def teach_tower(eye: Eye, scenes: Sequence[Scene], how: Schooling, curve: Curve, hidden: int) -> None:
    """Teach the tower to know what is in each cell, with a linear head that is thrown away."""
    import torch

    sizes = [len(names) + 1 for _, names in _HEADS]
    head = torch.nn.Linear(hidden, sum(sizes))
    parameters = [*eye.tower.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=how.tower_rate, weight_decay=0.01)
    draw = random.Random(derived_int(how.seed, "tower"))
    for step in range(how.tower_steps):
        chosen = [scenes[draw.randrange(len(scenes))] for _ in range(how.batch)]
        truth = torch.tensor([_cells(scene) for scene in chosen])
        logits = head(eye.tokens(chosen)).split(sizes, dim=-1)
        losses = [
            torch.nn.functional.cross_entropy(part.flatten(0, 1), truth[:, place].flatten())
            for place, part in enumerate(logits)
        ]
        _set_rate(optimizer, how.tower_rate, step, how.tower_steps)
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 50 == 49 or step + 1 == how.tower_steps:
            right = {
                name: (part.argmax(-1) == truth[:, place]).float().mean().item()
                for place, ((name, _), part) in enumerate(zip(_HEADS, logits, strict=True))
            }
            curve.add(tower_step=step + 1, **{name: round(value, 4) for name, value in right.items()})


# ---- the language model ----------------------------------------------------------------------------


def lessons_for(
    scenes: Sequence[Scene], asked: Sequence[Sequence[Question]], how: Schooling
) -> Iterator[list[Lesson]]:
    """Batches of lessons without end: descriptions and questions mixed from the first step."""
    teaching = Teaching()
    draw = random.Random(derived_int(how.seed, "lessons"))
    while True:
        lessons: list[Lesson] = []
        for _ in range(how.batch):
            index = draw.randrange(len(scenes))
            if draw.random() < how.described:
                lessons.append(teaching.describe(index, scenes[index], draw))
                continue
            think = draw.random() >= how.direct / (1 - how.described)
            lessons.append(teaching.ask(index, draw.choice(asked[index]), draw, think=think))
        yield lessons


def loss_of(model: Qwen2_5_VLForConditionalGeneration, batch: Batch, seen: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of what is to be learned.

    Args:
        model: The student.
        batch: Lessons.
        seen: The tower's tokens of their pictures, (lessons, 9, hidden).
    """
    import torch

    embedded = model.get_input_embeddings()(batch.ids)
    places = batch.images[:, None] + torch.arange(VISUAL_TOKENS)
    embedded = embedded.scatter(1, places[..., None].expand(-1, -1, embedded.shape[-1]), seen)
    language = cast(Any, model.model.language_model)
    out = language(inputs_embeds=embedded, position_ids=batch.positions, use_cache=False).last_hidden_state
    labels = batch.labels[:, 1:]
    learned = labels != IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(out[:, :-1][learned]), labels[learned])


def teach_language(
    model: Qwen2_5_VLForConditionalGeneration,
    batches: Batches,
    seen: torch.Tensor,
    lessons: Iterator[list[Lesson]],
    how: Schooling,
    curve: Curve,
    look: Callable[[int], None],
) -> None:
    """Teach the language model with the tower's tokens as they are.

    Args:
        model: The student, its tower taught.
        batches: Makes tensors of lessons.
        seen: The tower's tokens of all scenes, (scenes, 9, hidden).
        lessons: Batches of lessons.
        how: Steps, rates.
        curve: Where progress is noted.
        look: Called with the number of steps done, every 500.
    """
    import torch

    tower = {id(parameter) for parameter in model.model.visual.parameters()}
    parameters = [parameter for parameter in model.parameters() if id(parameter) not in tower]
    optimizer = torch.optim.AdamW(parameters, lr=how.rate, weight_decay=0.01, betas=(0.9, 0.98))
    total = 0.0
    for step in range(how.steps):
        batch = batches.make(next(lessons))
        loss = loss_of(model, batch, seen[batch.scenes])
        _set_rate(optimizer, how.rate, step, how.steps)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        total += loss.item()
        if step % 50 == 49:
            curve.add(step=step + 1, loss=round(total / 50, 4))
            total = 0.0
        if step % 500 == 499 or step + 1 == how.steps:
            look(step + 1)


def _set_rate(optimizer: torch.optim.Optimizer, highest: float, step: int, steps: int) -> None:
    """A warm-up of 50 steps, then a cosine down to a twentieth."""
    rate = min(1.0, (step + 1) / 50) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
    for group in optimizer.param_groups:
        group["lr"] = highest * rate
