"""Seeing something else than there is: a scene changed as little as makes a wrong answer true.

A teacher that errs is to err as people do, by a slip of the eye from which all else follows, so that what
it says fits together and only the picture tells that it is wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from lpt_core import normal_text
from lpt_synth.lab.captions import Described
from lpt_synth.lab.question import Question
from lpt_synth.lab.scene import COLOURS, PATTERNS, PLACES, SHAPES, Scene, Thing
from lpt_synth.lab.teacher.details import concerned
from lpt_synth.lab.teacher.reading import Answer, Asked, answer_of


def misseen(asked: Asked, draw: random.Random) -> tuple[Described, Answer] | None:
    """A scene like the one that is there, of which another option than the right one is true.

    Returns:
        None where no small change makes it so.
    """
    wrong = [place for place in range(len(asked.options)) if place != asked.answer.option]
    draw.shuffle(wrong)
    right = asked.options[asked.answer.option]
    wrong.sort(key=lambda place: _distance(asked.options[place], right))
    for place in wrong:
        changed = _changed(asked.described, asked.answer.question, asked.options[place], draw)
        answer = answer_of(changed, asked.text, asked.options) if changed else None
        if changed is not None and answer is not None and answer.option == place:
            return changed, answer
    return None


def _distance(wrong: str, right: str) -> int:
    """How far one count is from another: who miscounts does so by one sooner than by three."""
    decimal = wrong.isdecimal() and right.isdecimal() and len(wrong) < 3
    return abs(int(wrong) - int(right)) if decimal else 0


def _changed(seen: Described, question: Question, wrong: str, draw: random.Random) -> Described | None:
    wrong = normal_text(wrong)
    things = concerned(seen.scene, question)
    if not things:
        return None
    if question.kind == "covers":
        others = [thing for thing in seen.scene.things if thing.name == wrong]
        return replace(seen, overlaps=((things[0], others[0]),)) if others else None
    changes = _CHANGES[question.kind](seen.scene, things, wrong, draw)
    if not changes:
        return None
    now = [changes.get(thing, thing) for thing in seen.scene.things]
    kept = sorted((thing for thing in now if thing is not None), key=lambda thing: thing.cell)
    return replace(seen, scene=replace(seen.scene, things=tuple(kept)), overlaps=())


# What becomes of which thing; None where it is overlooked.
_Changes = dict[Thing, Thing | None]


def _colour(scene: Scene, things: tuple[Thing, ...], wrong: str, draw: random.Random) -> _Changes:
    return {things[0]: replace(things[0], colour=wrong)} if wrong in COLOURS else {}


def _shape(scene: Scene, things: tuple[Thing, ...], wrong: str, draw: random.Random) -> _Changes:
    return {things[0]: replace(things[0], shape=wrong)} if wrong in SHAPES else {}


def _pattern(scene: Scene, things: tuple[Thing, ...], wrong: str, draw: random.Random) -> _Changes:
    return {things[0]: replace(things[0], pattern=wrong)} if wrong in PATTERNS else {}


def _place(scene: Scene, things: tuple[Thing, ...], wrong: str, draw: random.Random) -> _Changes:
    if wrong not in PLACES:
        return {}
    there = scene.at(PLACES.index(wrong))
    moved: _Changes = {things[0]: replace(things[0], cell=PLACES.index(wrong))}
    return moved if there is None else {**moved, there: replace(there, cell=things[0].cell)}


def _beside(scene: Scene, things: tuple[Thing, ...], wrong: str, draw: random.Random) -> _Changes:
    if len(things) < 2:
        return {}
    neighbour = things[1]
    named = next((thing for thing in scene.things if thing.name == wrong), None)
    if named is not None:
        return {neighbour: replace(neighbour, cell=named.cell), named: replace(named, cell=neighbour.cell)}
    colour, _, shape = wrong.partition(" ")
    if colour not in COLOURS or shape not in SHAPES:
        return {}
    return {neighbour: replace(neighbour, colour=colour, shape=shape)}


def _direction(scene: Scene, things: tuple[Thing, ...], wrong: str, draw: random.Random) -> _Changes:
    if len(things) < 2:
        return {}
    first, second = things[:2]
    return {first: replace(first, cell=second.cell), second: replace(second, cell=first.cell)}


def _count(attribute: str) -> Callable[[Scene, tuple[Thing, ...], str, random.Random], _Changes]:
    """Takes some things for others of the kind that is counted, or some of that kind for others."""

    def change(scene: Scene, things: tuple[Thing, ...], wrong: str, draw: random.Random) -> _Changes:
        more = int(wrong) - len(things) if wrong.isdecimal() and len(wrong) == 1 else 0
        others = [thing for thing in scene.things if thing not in things]
        if not others or more > len(others):
            return {}
        source = others if more > 0 else list(things)
        like = things[0] if more > 0 else others[0]
        turned = draw.sample(source, min(abs(more), len(source)))
        return {thing: _like(thing, like, attribute) for thing in turned}

    return change


def _like(thing: Thing, other: Thing, attribute: str) -> Thing:
    if attribute == "shape":
        return replace(thing, shape=other.shape)
    return replace(thing, colour=other.colour)


def _count_all(scene: Scene, things: tuple[Thing, ...], wrong: str, draw: random.Random) -> _Changes:
    fewer = len(things) - int(wrong) if wrong.isdecimal() and len(wrong) == 1 else 0
    return dict.fromkeys(draw.sample(things, fewer)) if 0 < fewer < len(things) else {}


def _size(scene: Scene, things: tuple[Thing, ...], wrong: str, draw: random.Random) -> _Changes:
    named = next((thing for thing in scene.things if thing.name == wrong), None)
    if named is None:
        return {}
    return {things[0]: replace(things[0], size=named.size), named: replace(named, size=things[0].size)}


def _most(scene: Scene, things: tuple[Thing, ...], wrong: str, draw: random.Random) -> _Changes:
    """Takes most of the things that come most often for the wrong kind."""
    attribute = "shape" if wrong in SHAPES else "colour"
    if wrong not in SHAPES and wrong not in COLOURS:
        return {}
    like = replace(things[0], shape=wrong) if attribute == "shape" else replace(things[0], colour=wrong)
    turned = draw.sample(things, len(things) // 2 + 1)
    return {thing: _like(thing, like, attribute) for thing in turned}


_CHANGES: Mapping[str, Callable[[Scene, tuple[Thing, ...], str, random.Random], _Changes]] = {
    "colour_at": _colour,
    "shape_at": _shape,
    "colour_of": _colour,
    "pattern_of": _pattern,
    "place_of": _place,
    "beside": _beside,
    "direction": _direction,
    "count_shape": _count("shape"),
    "count_colour": _count("colour"),
    "count_all": _count_all,
    "by_size": _size,
    "most_common": _most,
}
