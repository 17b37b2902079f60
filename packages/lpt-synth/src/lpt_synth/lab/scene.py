"""Scenes: coloured shapes at named places. Everything about one follows from its split, number and seed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Literal, cast, get_args

from lpt_core import derived_int

Split = Literal["train", "validation", "test"]
Level = Literal["easy", "medium", "hard"]

SHAPES = ("circle", "square", "triangle", "diamond", "cross", "star")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "pink")
SIZES = ("small", "large")
RADII = {"small": (6.0, 7.5), "large": (11.0, 13.0)}
PATTERNS = ("plain", "striped", "dotted", "ringed")
PLACES = (
    "top left",
    "top middle",
    "top right",
    "middle left",
    "centre",
    "middle right",
    "bottom left",
    "bottom middle",
    "bottom right",
)
"""In reading order; cell ``i`` is in row ``i // 3`` and column ``i % 3``."""

SIDE = 84
"""Width and height of a picture in pixels; a cell of 28 is one visual token of a Qwen2.5-VL."""
CELL = SIDE // 3

LEVELS: tuple[Level, ...] = get_args(Level)
SPLITS: tuple[Split, ...] = get_args(Split)
# Of a hundred layouts so many are the split's; all others belong to training.
_SHARES: dict[Split, int] = {"validation": 10, "test": 10}


@dataclass(frozen=True, slots=True)
class Difficulty:
    """What makes scenes harder to see.

    Attributes:
        shapes: The fewest and the most shapes of a scene.
        patterns: Shapes may be striped, dotted or ringed.
        shift: How far a shape may stand from the middle of its cell, in pixels of 84, but hardly across the
            picture's edge; from 5 on, large neighbours overlap.
        noise: Standard deviation of the pixels' noise, of 255.
        tint: How far a colour may stray in each channel, of 255.
    """

    shapes: tuple[int, int]
    patterns: bool
    shift: float
    noise: float
    tint: int


DIFFICULTIES: dict[Level, Difficulty] = {
    "easy": Difficulty(shapes=(3, 5), patterns=False, shift=1, noise=0, tint=8),
    "medium": Difficulty(shapes=(4, 7), patterns=True, shift=2.5, noise=6, tint=18),
    "hard": Difficulty(shapes=(5, 9), patterns=True, shift=8, noise=14, tint=30),
}


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape in a cell.

    Attributes:
        cell: 0 to 8, in reading order.
        dx: Shift to the right of the cell's middle, in pixels of 84.
        dy: Shift downwards.
        radius: Of the circle around it, in pixels of 84.
    """

    cell: int
    shape: str
    colour: str
    size: str
    pattern: str
    dx: float = 0.0
    dy: float = 0.0
    radius: float = 0.0

    @property
    def name(self) -> str:
        """Colour and shape, which no two things of a scene share: "red star"."""
        return f"{self.colour} {self.shape}"

    @property
    def full_name(self) -> str:
        """With size and pattern: "small striped red star"."""
        return f"{self.size} {self.pattern} {self.name}"

    @property
    def place(self) -> str:
        """The name of its cell: "top left"."""
        return PLACES[self.cell]


@dataclass(frozen=True, slots=True)
class Scene:
    """Things in reading order, at most one to a cell; of two that overlap, the later one lies in front."""

    things: tuple[Thing, ...]
    number: int = 0
    level: Level = "medium"

    def at(self, cell: int) -> Thing | None:
        """What stands in a cell, if anything."""
        return next((thing for thing in self.things if thing.cell == cell), None)

    def count(self, **wanted: str) -> int:
        """How many things have all of these attributes."""
        return sum(
            all(getattr(thing, key) == value for key, value in wanted.items()) for thing in self.things
        )

    def most_common(self, attribute: Literal["shape", "colour"]) -> str | None:
        """The value that more things have than any other; None where two share the first place."""
        ranked = Counter(cast(str, getattr(thing, attribute)) for thing in self.things).most_common(2)
        return ranked[0][0] if len(ranked) == 1 or ranked[0][1] > ranked[1][1] else None

    @property
    def layout(self) -> str:
        """Which shape stands in which cell, whatever it looks like: no two splits share one."""
        return ",".join(f"{thing.cell}{thing.shape}" for thing in self.things)


def split_of(layout: str) -> Split:
    """The split that a layout belongs to, whatever the seed."""
    drawn = derived_int(0, "lab-layout", layout) % 100
    for split, share in _SHARES.items():
        if drawn < share:
            return split
        drawn -= share
    return "train"


def make_scene(split: Split, number: int, *, seed: int = 0, level: Level = "medium") -> Scene:
    """Scene ``number`` of a split: drawn until its layout is one of the split's.

    Args:
        split: Whose layouts to draw from.
        number: 0 or more.
        seed: Another seed makes another world; layouts stay apart by split all the same.
        level: How hard it is to see.
    """
    draw = random.Random(derived_int(seed, "lab-scene", split, number, level))
    while True:
        scene = Scene(_things(draw, DIFFICULTIES[level]), number, level)
        if split_of(scene.layout) == split:
            return scene


def _things(draw: random.Random, difficulty: Difficulty) -> tuple[Thing, ...]:
    count = draw.randint(*difficulty.shapes)
    cells = sorted(draw.sample(range(len(PLACES)), count))
    # Few shapes and colours per scene, so that some come twice and there is something to count.
    shapes = draw.sample(SHAPES, draw.randint(2, 4))
    colours = draw.sample(COLOURS, draw.randint(max(2, -(-count // len(shapes))), 5))
    names = draw.sample([(shape, colour) for shape in shapes for colour in colours], count)
    patterns = PATTERNS if difficulty.patterns else PATTERNS[:1]
    shift = difficulty.shift

    def thing(cell: int, shape: str, colour: str) -> Thing:
        size = draw.choice(SIZES)
        radius = round(draw.uniform(*RADII[size]), 2)
        row, column = divmod(cell, 3)
        return Thing(
            cell=cell,
            shape=shape,
            colour=colour,
            size=size,
            pattern=draw.choice(patterns),
            dx=_inside(column, draw.uniform(-shift, shift), radius),
            dy=_inside(row, draw.uniform(-shift, shift), radius),
            radius=radius,
        )

    return tuple(thing(cell, *name) for cell, name in zip(cells, names, strict=True))


def _inside(line: int, shift: float, radius: float) -> float:
    """A shift in one direction that keeps most of the shape in the picture; ``line`` is its row or column."""
    room = max(0.0, CELL / 2 - 0.9 * radius)
    lowest, highest = (-room if line == 0 else -CELL), (room if line == 2 else CELL)
    return round(min(highest, max(lowest, shift)), 2)
