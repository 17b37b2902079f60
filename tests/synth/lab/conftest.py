from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from lpt_core import MCQ, Caption, ImageRef
from lpt_synth.lab.captions import write_caption
from lpt_synth.lab.draw import overlaps
from lpt_synth.lab.question import Question
from lpt_synth.lab.questions import questions
from lpt_synth.lab.scene import Scene, make_scene

IMAGE = ImageRef(path="a.png", sha256="0" * 64, width=84, height=84)
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "middle", "right")
Grid = Sequence[tuple[str, str, str, str] | None]
"""Size, pattern, colour and shape of what stands in each of nine cells."""


def cell_of(place: str) -> int:
    if place == "centre":
        return 4
    row, column = place.split()
    return 3 * ROWS.index(row) + COLUMNS.index(column)


def place_of(cell: int) -> str:
    return "centre" if cell == 4 else f"{ROWS[cell // 3]} {COLUMNS[cell % 3]}"


class Oracle:
    """Answers the world's questions by their words, written without a look at how the world does it."""

    def __init__(self, grid: Grid, covers: dict[str, str] | None = None) -> None:
        self.grid = grid
        self.covers = covers or {}
        self.names = {f"{one[2]} {one[3]}": cell for cell, one in enumerate(grid) if one}
        self.things = [one for one in grid if one]

    def answer(self, text: str, options: Sequence[str]) -> str | None:
        """The right answer; None where the words are no question."""
        for pattern, method in _PATTERNS:
            match = re.fullmatch(pattern, text)
            if match:
                return getattr(self, method)(*match.groups(), options)
        return None

    def colour_at(self, place, options):
        return self.grid[cell_of(place)][2]

    def shape_at(self, place, options):
        return self.grid[cell_of(place)][3]

    def colour_of(self, shape, options):
        (colour,) = [one[2] for one in self.things if one[3] == shape]
        return colour

    def pattern_of(self, name, options):
        return self.grid[self.names[name]][1]

    def where(self, name, options):
        return place_of(self.names[name])

    def beside(self, side, name, options):
        step = {"to the left of": -1, "to the right of": 1, "above": -3, "below": 3}[side]
        here = self.names[name]
        there = here + step
        assert 0 <= there < 9
        assert abs(step) == 3 or here // 3 == there // 3
        return f"{self.grid[there][2]} {self.grid[there][3]}"

    def direction(self, base, name, options):
        step = self.names[name] - self.names[base]
        assert step
        if step % 3 == 0:
            return "below" if step > 0 else "above"
        assert self.names[name] // 3 == self.names[base] // 3
        return "to the right" if step > 0 else "to the left"

    def behind(self, name, options):
        return self.covers[name]

    def most(self, what, options):
        (value, count), *rest = Counter(
            one[3] if what == "shape" else one[2] for one in self.things
        ).most_common()
        assert not rest or rest[0][1] < count
        return value

    def extreme(self, word, options):
        size = "large" if word == "largest" else "small"
        (name,) = [option for option in options if self.grid[self.names[option]][0] == size]
        return name

    def how_many(self, what, options):
        if what == "shapes":
            return str(len(self.things))
        colour = re.fullmatch(r"shapes are (\w+)|(\w+) shapes", what)
        if colour:
            return str(sum(one[2] == (colour[1] or colour[2]) for one in self.things))
        singular = what.removesuffix("es") if what == "crosses" else what.removesuffix("s")
        return str(sum(one[3] == singular for one in self.things))


_PATTERNS = (
    (r"(?:What colour is the shape|Which colour is seen) at the (.+)\?", "colour_at"),
    (r"(?:Which shape is|What is seen) at the (.+)\?", "shape_at"),
    (r"(?:What colour is|Which colour does) the (\w+)(?: have)?\?", "colour_of"),
    (r"(?:Which pattern does|How is) the (\w+ \w+) (?:have|filled)\?", "pattern_of"),
    (r"(?:Where|At which place) is the (\w+ \w+)\?", "where"),
    (r"(?:What|Which shape) is directly (.+) the (\w+ \w+)\?", "beside"),
    (r"Seen from the (\w+ \w+), where is the (\w+ \w+)\?", "direction"),
    (r"What is partly hidden behind the (\w+ \w+)\?", "behind"),
    (r"Which (shape|colour) is there most often\?", "most"),
    (r"Which (?:one )?of these is (?:the )?(largest|smallest)\?", "extreme"),
    (r"How many (shapes are (?!there)\w+)\?", "how_many"),
    (r"How many (shapes) (?:are there in all|does the picture show)\?", "how_many"),
    (r"How many (\w+(?: shapes)?) (?:are there|do you see)\?", "how_many"),
)


@pytest.fixture(scope="session")
def oracle() -> Callable[[Scene], Oracle]:
    """An oracle on what stands in a scene and on what its drawing hides."""

    def make(scene: Scene) -> Oracle:
        grid: list[tuple[str, str, str, str] | None] = [None] * 9
        for thing in scene.things:
            grid[thing.cell] = (thing.size, thing.pattern, thing.colour, thing.shape)
        return Oracle(grid, {front.name: behind.name for front, behind in overlaps(scene)})

    return make


@pytest.fixture(scope="session")
def oracle_of_grid() -> Callable[[Grid], Oracle]:
    """An oracle on a grid, however that was come by."""
    return Oracle


def _crowded(scene: Scene) -> Scene:
    things = [
        replace(thing, radius=13.0, dx=6.0 * (1 - thing.cell % 3), dy=6.0 * (1 - thing.cell // 3))
        for thing in scene.things
    ]
    return replace(scene, things=tuple(things))


@pytest.fixture(scope="session")
def crowded() -> Callable[[Scene], Scene]:
    """A scene with its things drawn large and pushed towards the middle, so that neighbours overlap."""
    return _crowded


@pytest.fixture(scope="session")
def captioned() -> Callable[[Scene, int], Caption]:
    """A caption of a scene in a drawn wording."""

    def make(scene: Scene, wording: int = 0) -> Caption:
        text = write_caption(scene, overlaps(scene), random.Random(wording))
        return Caption.make(text=text, image=IMAGE, source="lab", source_id=f"{scene.number}-{wording}")

    return make


Posed = tuple[Scene, Caption, MCQ]


@pytest.fixture(scope="session")
def posed(captioned) -> list[Posed]:
    """Questions with their scenes and captions: as many of each kind as there are scenes that have it."""
    made: list[Posed] = []
    for number in range(30):
        level = ("easy", "medium", "hard")[number % 3]
        scene = make_scene("validation", number, level=level)
        scene = _crowded(scene) if number % 4 == 0 else scene
        draw = random.Random(number)
        by_kind: dict[str, Question] = {}
        asked = questions(scene, overlaps(scene), draw)
        for question in draw.sample(asked, len(asked)):
            by_kind.setdefault(question.kind, question)
        caption = captioned(scene, number)
        for question in by_kind.values():
            options = draw.sample((question.answer, *question.distractors), 4)
            mcq = MCQ.make(
                caption_id=caption.id,
                question=question.text,
                options=tuple(options),
                gold=options.index(question.answer),
                kind=question.kind,
            )
            made.append((scene, caption, mcq))
    return made
