"""What can be asked about a scene: each question with its answer, its distractors, what is seen."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from lpt_core import derived_int
from lpt_synth.lab.draw import overlaps
from lpt_synth.lab.question import DISTRACTORS, Question, colours, other_names, others
from lpt_synth.lab.scene import COLOURS, PATTERNS, PLACES, SHAPES, Scene, Thing


def questions(scene: Scene, covers: Sequence[tuple[Thing, Thing]], draw: random.Random) -> list[Question]:
    """All questions about a scene, one of each kind and object, in a drawn wording.

    Args:
        scene: What is seen.
        covers: Pairs (in front, behind), see ``draw.overlaps``.
        draw: Draws wordings and distractors.
    """
    found = [question for make in _MAKERS for question in make(scene, draw)]
    return [*found, *_covers(scene, covers, draw)]


def varied(found: Sequence[Question], count: int, draw: random.Random) -> list[Question]:
    """Some of the questions about a scene, over as many kinds as there are."""
    kinds: dict[str, list[Question]] = defaultdict(list)
    for question in found:
        kinds[question.kind].append(question)
    order = sorted(kinds)
    draw.shuffle(order)
    return [draw.choice(kinds[kind]) for kind in order[:count]]


def scene_questions(scene: Scene, count: int, *, seed: int) -> list[Question]:
    """Questions about a scene, of different kinds; the same for the same scene and seed."""
    draw = random.Random(derived_int(seed, "lab-questions", scene.layout, scene.number))
    return varied(questions(scene, overlaps(scene), draw), count, draw)


def brief_thought(question: Question, draw: random.Random) -> str:
    """A thought at a glance: where one looks, and what is found there."""
    opening = draw.choice(("", "", "Let me see. "))
    return f"{opening}{question.look} {question.finding}"


def every_option() -> tuple[str, ...]:
    """Every text that an option of a question of this world may have."""
    names = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
    most = len(PLACES) + DISTRACTORS
    return (*COLOURS, *SHAPES, *PATTERNS, *PLACES, *_SIDES, *map(str, range(most + 1)), *names)


def plural(shape: str) -> str:
    """The plural of a shape: "stars", "crosses"."""
    return f"{shape}es" if shape.endswith("s") else f"{shape}s"


# ---- recognition -----------------------------------------------------------------------------------


def _colour_at(scene: Scene, draw: random.Random) -> Iterator[Question]:
    for thing in scene.things:
        text = draw.choice(("What colour is the shape at the {}?", "Which colour is seen at the {}?"))
        yield Question(
            "colour_at",
            "Recognition",
            text.format(thing.place),
            thing.colour,
            others(thing.colour, colours(scene), COLOURS, draw),
            f"I look at the {thing.place}.",
            f"The {thing.shape} there is {thing.colour}.",
        )


def _shape_at(scene: Scene, draw: random.Random) -> Iterator[Question]:
    for thing in scene.things:
        text = draw.choice(("Which shape is at the {}?", "What is seen at the {}?"))
        yield Question(
            "shape_at",
            "Recognition",
            text.format(thing.place),
            thing.shape,
            others(thing.shape, [other.shape for other in scene.things], SHAPES, draw),
            f"I look at the {thing.place}.",
            f"There is a {thing.colour} {thing.shape}.",
        )


def _colour_of(scene: Scene, draw: random.Random) -> Iterator[Question]:
    for thing in scene.things:
        if scene.count(shape=thing.shape) > 1:
            continue
        text = draw.choice(("What colour is the {}?", "Which colour does the {} have?"))
        yield Question(
            "colour_of",
            "Recognition",
            text.format(thing.shape),
            thing.colour,
            others(thing.colour, colours(scene), COLOURS, draw),
            f"The {thing.shape} is at the {thing.place}.",
            f"It is {thing.colour}.",
        )


def _pattern_of(scene: Scene, draw: random.Random) -> Iterator[Question]:
    for thing in scene.things:
        text = draw.choice(("Which pattern does the {} have?", "How is the {} filled?"))
        yield Question(
            "pattern_of",
            "Recognition",
            text.format(thing.name),
            thing.pattern,
            others(thing.pattern, (), PATTERNS, draw),
            f"The {thing.name} is at the {thing.place}.",
            f"It is {thing.pattern}.",
        )


# ---- place and relation ----------------------------------------------------------------------------


def _place_of(scene: Scene, draw: random.Random) -> Iterator[Question]:
    for thing in scene.things:
        text = draw.choice(("Where is the {}?", "At which place is the {}?"))
        yield Question(
            "place_of",
            "Spatial",
            text.format(thing.name),
            thing.place,
            others(thing.place, [other.place for other in scene.things], PLACES, draw),
            f"I look for the {thing.name}.",
            f"It is at the {thing.place}.",
        )


_STEPS = (("to the left of", 0, -1), ("to the right of", 0, 1), ("above", -1, 0), ("below", 1, 0))


def _beside(scene: Scene, draw: random.Random) -> Iterator[Question]:
    for thing in scene.things:
        row, column = divmod(thing.cell, 3)
        for side, down, right in _STEPS:
            inside = 0 <= row + down < 3 and 0 <= column + right < 3
            other = scene.at(thing.cell + 3 * down + right) if inside else None
            if other is None:
                continue
            text = draw.choice(("What is directly {} the {}?", "Which shape is directly {} the {}?"))
            yield Question(
                "beside",
                "Spatial",
                text.format(side, thing.name),
                other.name,
                other_names(other, scene, draw, never=thing),
                f"The {thing.name} is at the {thing.place}.",
                f"At the {other.place}, {side} it, is the {other.name}.",
            )


_SIDES = ("to the left", "to the right", "above", "below")


def _direction(scene: Scene, draw: random.Random) -> Iterator[Question]:
    for thing in scene.things:
        for base in scene.things:
            (row, column), (base_row, base_column) = divmod(thing.cell, 3), divmod(base.cell, 3)
            if thing == base or (row != base_row and column != base_column):
                continue
            side = _SIDES[int(column > base_column) if row == base_row else 2 + int(row > base_row)]
            yield Question(
                "direction",
                "Spatial",
                f"Seen from the {base.name}, where is the {thing.name}?",
                side,
                others(side, (), _SIDES, draw),
                f"The {base.name} is at the {base.place}, the {thing.name} at the {thing.place}.",
                f"So it is {side}.",
            )


def _covers(scene: Scene, covers: Sequence[tuple[Thing, Thing]], draw: random.Random) -> Iterator[Question]:
    for front, behind in covers:
        if sum(front == other for other, _ in covers) > 1:
            continue
        yield Question(
            "covers",
            "Spatial",
            f"What is partly hidden behind the {front.name}?",
            behind.name,
            other_names(behind, scene, draw, never=front),
            f"The {front.name} is at the {front.place}.",
            f"It covers a part of the {behind.name}.",
        )


# ---- counting and comparison -----------------------------------------------------------------------


def _count_shape(scene: Scene, draw: random.Random) -> Iterator[Question]:
    for shape in sorted({thing.shape for thing in scene.things}):
        count = scene.count(shape=shape)
        text = draw.choice(("How many {} are there?", "How many {} do you see?"))
        look = f"I count the {plural(shape)}."
        yield _counted("count_shape", text.format(plural(shape)), count, look, draw)


def _count_colour(scene: Scene, draw: random.Random) -> Iterator[Question]:
    for colour in sorted({thing.colour for thing in scene.things}):
        count = scene.count(colour=colour)
        text = draw.choice(("How many shapes are {}?", "How many {} shapes are there?"))
        yield _counted("count_colour", text.format(colour), count, f"I count the {colour} shapes.", draw)


def _count_all(scene: Scene, draw: random.Random) -> Iterator[Question]:
    text = draw.choice(("How many shapes are there in all?", "How many shapes does the picture show?"))
    yield _counted("count_all", text, len(scene.things), "I count the shapes.", draw)


def _counted(kind: str, text: str, count: int, look: str, draw: random.Random) -> Question:
    lowest = draw.randint(max(0, count - DISTRACTORS), count)
    wrong = tuple(str(value) for value in range(lowest, lowest + DISTRACTORS + 1) if value != count)
    return Question(kind, "Counting", text, str(count), wrong, look, f"There {_is(count)} {count}.")


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _by_size(scene: Scene, draw: random.Random) -> Iterator[Question]:
    for size, word in (("large", "largest"), ("small", "smallest")):
        one = [thing for thing in scene.things if thing.size == size]
        rest = [thing for thing in scene.things if thing.size != size]
        if not one or len(rest) < DISTRACTORS:
            continue
        thing = draw.choice(one)
        text = draw.choice(("Which of these is the {}?", "Which one of these is {}?"))
        yield Question(
            "by_size",
            "Other",
            text.format(word),
            thing.name,
            tuple(other.name for other in draw.sample(rest, DISTRACTORS)),
            "I compare their sizes.",
            f"At the {thing.place} is a {size} one, the {thing.name}.",
        )


def _most_common(scene: Scene, draw: random.Random) -> Iterator[Question]:
    shape, colour = scene.most_common("shape"), scene.most_common("colour")
    if shape is not None:
        yield Question(
            "most_common",
            "Other",
            "Which shape is there most often?",
            shape,
            others(shape, [thing.shape for thing in scene.things], SHAPES, draw),
            "I compare the shapes.",
            f"With {scene.count(shape=shape)} of them, it is the {shape}.",
        )
    if colour is not None:
        yield Question(
            "most_common",
            "Other",
            "Which colour is there most often?",
            colour,
            others(colour, colours(scene), COLOURS, draw),
            "I compare the colours.",
            f"With {scene.count(colour=colour)} of them, it is {colour}.",
        )


_MAKERS: tuple[Callable[[Scene, random.Random], Iterator[Question]], ...] = (
    _colour_at,
    _shape_at,
    _colour_of,
    _pattern_of,
    _place_of,
    _beside,
    _direction,
    _count_shape,
    _count_colour,
    _count_all,
    _by_size,
    _most_common,
)
