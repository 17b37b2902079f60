"""A question about a scene, and where its wrong options come from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lpt_synth.lab.scene import COLOURS, Scene, Thing

Label = Literal["Recognition", "Spatial", "Counting", "Other"]
DISTRACTORS = 3


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a scene.

    Attributes:
        kind: Which maker wrote it ("colour_at"), for statistics.
        label: The capability that it tests, as the asker's prompt names them.
        text: The question itself.
        answer: The right option.
        distractors: Three wrong options of the same kind, plausible in the scene.
        look: Where one looks for the answer, a sentence.
        finding: What is found there, a sentence that ends in the answer.
    """

    kind: str
    label: Label
    text: str
    answer: str
    distractors: tuple[str, ...]
    look: str
    finding: str


def colours(scene: Scene) -> list[str]:
    """The colour of each thing."""
    return [thing.colour for thing in scene.things]


def others(right: str, near: Sequence[str], pool: Sequence[str], draw: random.Random) -> tuple[str, ...]:
    """Three others of a pool, those that are in the scene first."""
    here = sorted(set(near) - {right})
    away = sorted(set(pool) - {right, *here})
    draw.shuffle(here)
    draw.shuffle(away)
    return tuple([*here, *away][:DISTRACTORS])


def other_names(right: Thing, scene: Scene, draw: random.Random, never: Thing) -> tuple[str, ...]:
    """Names of three other things; where the scene has fewer, of things that it might have had."""
    here = [thing.name for thing in scene.things if thing not in (right, never)]
    draw.shuffle(here)
    taken = {thing.name for thing in scene.things}
    away = [f"{colour} {right.shape}" for colour in COLOURS]
    free = [name for name in away if name not in taken]
    draw.shuffle(free)
    return tuple([*here, *free][:DISTRACTORS])
