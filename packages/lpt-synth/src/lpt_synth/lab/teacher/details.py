"""What one sees when one looks for the answer to a question: the things concerned, in words."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping

from lpt_synth.lab.question import Question
from lpt_synth.lab.questions import plural
from lpt_synth.lab.scene import COLOURS, PLACES, SHAPES, SIZES, Scene, Thing
from lpt_synth.lab.teacher import phrases

_ROWS = ("the top row", "the middle row", "the bottom row")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SIDES = ("to the left of", "to the right of", "above", "below")


def one_of(words: tuple[str, ...], text: str) -> str:
    """The first of these words or phrases that stands in a text; "" where none does."""
    return next((word for word in words if re.search(rf"\b{word}\b", text)), "")


def listed(words: list[str]) -> str:
    """Words joined by commas and a last "and"."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def concerned(scene: Scene, question: Question) -> tuple[Thing, ...]:
    """The things that a question is about, the one it names first; those that are to be counted."""
    kind, text = question.kind, question.text
    if kind == "count_all":
        return scene.things
    if kind in ("colour_at", "shape_at"):
        return tuple(thing for thing in scene.things if thing.place == one_of(PLACES, text))
    if kind in ("colour_of", "count_shape"):
        return tuple(
            thing for thing in scene.things if one_of((thing.shape, plural(thing.shape)), text) != ""
        )
    if kind == "count_colour":
        return tuple(thing for thing in scene.things if one_of((thing.colour,), text))
    if kind == "most_common":
        return tuple(thing for thing in scene.things if question.answer in (thing.shape, thing.colour))
    names = f"{text} {question.answer}"
    named = [thing for thing in scene.things if thing.name in names]
    return tuple(sorted(named, key=lambda thing: names.index(thing.name)))


def said(question: Question, answer: str) -> str:
    """The answer as a clause: "it is red", "there are 3"."""
    if question.label == "Counting":
        return f"there {'is' if answer == '1' else 'are'} {answer}"
    if question.kind == "place_of":
        return f"it is at the {answer}"
    if question.kind == "shape_at":
        return f"it is a {answer}"
    is_thing = question.kind in ("beside", "covers", "by_size") or answer in SHAPES
    return f"it is the {answer}" if is_thing else f"it is {answer}"


def detail(scene: Scene, question: Question, draw: random.Random) -> str:
    """A sentence or two with what is found where the answer lies."""
    things = concerned(scene, question)
    fields = {**_of_things(things, scene), **_EXTRA.get(question.kind, _nothing)(scene, question, draw)}
    return capital(draw.choice(phrases.DETAILS[question.kind]).format_map(fields))


def capital(text: str) -> str:
    """A text that begins with a capital."""
    return text[:1].upper() + text[1:]


def _of_things(things: tuple[Thing, ...], scene: Scene) -> dict[str, str]:
    """What the phrases say of the first of the things and of the next."""
    first = things[0] if things else scene.things[0]
    other = things[1] if len(things) > 1 else first
    return {
        "name": first.name,
        "full": first.full_name,
        "place": first.place,
        "shape": first.shape,
        "colour": first.colour,
        "size": first.size,
        "other": other.name,
        "other_place": other.place,
        "line": "row" if first.cell // 3 == other.cell // 3 else "column",
    }


def _nothing(scene: Scene, question: Question, draw: random.Random) -> dict[str, str]:
    return {}


def _marks(scene: Scene, question: Question, draw: random.Random) -> dict[str, str]:
    return {"marks": draw.choice(phrases.MARKS[question.answer])}


def _side(scene: Scene, question: Question, draw: random.Random) -> dict[str, str]:
    return {"side": one_of(_SIDES, question.text)}


def _counted(scene: Scene, question: Question, draw: random.Random) -> dict[str, str]:
    things = concerned(scene, question)
    count = len(things)
    shape = things[0].shape if question.kind == "count_shape" else "shape"
    noun = shape if count == 1 else plural(shape)
    colour = f"{things[0].colour} " if question.kind == "count_colour" else ""
    return {
        "wanted": f"{_NUMBERS[count]} {colour}{noun}",
        "places": listed([f"the {thing.place}" for thing in things]),
        "are": "is" if count == 1 else "are",
    }


def _rows(scene: Scene, question: Question, draw: random.Random) -> dict[str, str]:
    counts = [sum(thing.cell // 3 == row for thing in scene.things) for row in range(3)]
    by_row = [
        f"{_NUMBERS[count] if count else 'none'} in {name}" for count, name in zip(counts, _ROWS, strict=True)
    ]
    return {"by_row": listed(by_row), "per_row": listed([str(count) for count in counts])}


def _others(scene: Scene, question: Question, draw: random.Random) -> dict[str, str]:
    named = [thing for thing in scene.things if thing.name in question.distractors]
    wrong = SIZES[0] if concerned(scene, question)[0].size == SIZES[1] else SIZES[1]
    return {"others": f"the {listed([thing.name for thing in named])} {_is_are(named)} {wrong}"}


def _is_are(things: list[Thing]) -> str:
    return "is" if len(things) == 1 else "are"


def _tally(scene: Scene, question: Question, draw: random.Random) -> dict[str, str]:
    by_shape = "shape" in question.text
    counts = Counter(thing.shape if by_shape else thing.colour for thing in scene.things)
    order = SHAPES if by_shape else COLOURS
    ranked = sorted(counts, key=lambda value: (-counts[value], order.index(value)))
    return {"tally": listed([_many(counts[value], value, by_shape) for value in ranked])}


def _many(count: int, value: str, by_shape: bool) -> str:
    if by_shape:
        return f"{_NUMBERS[count]} {value if count == 1 else plural(value)}"
    return f"{_NUMBERS[count]} {value}"


_EXTRA: Mapping[str, Callable[[Scene, Question, random.Random], dict[str, str]]] = {
    "pattern_of": _marks,
    "beside": _side,
    "count_shape": _counted,
    "count_colour": _counted,
    "count_all": _rows,
    "by_size": _others,
    "most_common": _tally,
}
