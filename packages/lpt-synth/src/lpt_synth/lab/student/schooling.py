"""How a student is taught, and what was seen on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lpt_synth.lab.scene import Level, Scene, make_scene

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Schooling:
    """How a student is taught.

    Attributes:
        seed: Of the scenes, the lessons and the first weights.
        scenes: Training scenes that are drawn: a quarter easy, a half medium, a quarter hard.
        per_scene: Questions that are kept of each.
        tower_steps: Steps in which a linear head on each visual token names its place and what is there.
        steps: Steps of the language model.
        tower_batch: Scenes in a step of the tower.
        batch: Lessons in a step of the language model.
        tower_rate: Highest learning rate of the tower.
        rate: Highest learning rate of the language model; both warm up and fall along a cosine.
        described: Share of lessons in which the picture is described.
        found: Share in which it is said what is where, in any order.
        looked: Share in which a question is answered after a long look, which is asked for.
        direct: Share of lessons that are answered without a thought.
    """

    seed: int = 0
    scenes: int = 8000
    per_scene: int = 8
    tower_steps: int = 300
    steps: int = 5000
    tower_batch: int = 64
    batch: int = 32
    tower_rate: float = 2e-3
    rate: float = 2e-3
    described: float = 0.1
    found: float = 0.15
    looked: float = 0.35
    direct: float = 0.05


@dataclass(slots=True)
class Curve:
    """What was seen on the way.

    Attributes:
        rows: One for each report, with the seconds that teaching had taken.
        tell: Shown each row as it comes.
        spent: Seconds of earlier sittings.
    """

    rows: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    tell: Callable[[dict[str, float]], None] = lambda row: None
    spent: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """What teaching has taken until now, over all sittings."""
        return self.spent + time.monotonic() - self.began

    def seconds_per_step(self, step: int) -> float:
        """What a step of the language model has taken since its first report."""
        steps = [row for row in self.rows if "loss" in row]
        if not steps or step <= steps[0]["step"]:
            return 0.0
        return (self.seconds - steps[0]["seconds"]) / (step - steps[0]["step"])

    def go_on(self, rows: Sequence[dict[str, float]], spent: float) -> None:
        """Go on from an earlier sitting."""
        self.rows, self.spent, self.began = list(rows), spent, time.monotonic()

    def add(self, **values: float) -> None:
        """Report."""
        row = {"seconds": round(self.seconds, 1), **values}
        self.rows.append(row)
        self.tell(row)


_LEVELS: Sequence[Level] = ("easy", "medium", "medium", "hard")


def training_scenes(count: int, seed: int) -> list[Scene]:
    """The scenes that a student is taught with."""
    return [make_scene("train", number, seed=seed, level=_LEVELS[number % 4]) for number in range(count)]


def set_rate(optimizer: torch.optim.Optimizer, highest: float, step: int, steps: int) -> None:
    """A warm-up of 50 steps, then a cosine down to a twentieth."""
    rate = min(1.0, (step + 1) / 50) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
    for group in optimizer.param_groups:
        group["lr"] = highest * rate
