"""Dense captions in varied sentences, and the reading of them: what one says, the other gets back whole."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lpt_synth.lab.scene import COLOURS, PATTERNS, PLACES, SHAPES, SIZES, Scene, Thing

OPENINGS = (
    "The picture shows coloured shapes on a dark ground, in three rows and three columns.",
    "Coloured shapes stand on a dark grey ground, arranged in three rows and three columns.",
    "On a dark ground there are coloured shapes, set out in three rows and three columns.",
)
"""The first sentence of each caption, by which this world's captions are known."""

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_MARKS = {
    "plain": ("a {size} plain {name}", "a {size} {name} without any marks"),
    "striped": ("a {size} striped {name}", "a {size} {name} with stripes"),
    "dotted": ("a {size} dotted {name}", "a {size} {name} with dots"),
    "ringed": ("a {size} ringed {name}", "a {size} {name} with a dark ring"),
}
_SENTENCES = (
    "At the {place} there is {thing}.",
    "At the {place} stands {thing}.",
    "The {place} holds {thing}.",
    "One sees {thing} at the {place}.",
    "There is {thing} at the {place}.",
)
_EMPTY = ("Nothing stands at the {places}.", "The ground is bare at the {places}.")
_COVERS = ("The {front} partly covers the {behind}.", "The {front} hides a part of the {behind}.")
_TOTALS = ("There are {count} shapes in all.", "That makes {count} shapes in all.")


@dataclass(frozen=True, slots=True)
class Described:
    """What a caption says.

    Attributes:
        scene: The things with all that the caption tells of them: not their exact shifts and radii.
        overlaps: Pairs (in front, behind).
        start: Where in the text the caption begins.
        end: Where it ends.
    """

    scene: Scene
    overlaps: tuple[tuple[Thing, Thing], ...] = field(default=())
    start: int = 0
    end: int = 0


def write_caption(scene: Scene, overlaps: Sequence[tuple[Thing, Thing]], draw: random.Random) -> str:
    """A dense caption: every thing with all its attributes and its place, empty places, overlaps, the total.

    Args:
        scene: What is seen.
        overlaps: Pairs (in front, behind), see ``draw.overlaps``.
        draw: Draws the wording and the order.
    """
    things = list(scene.things)
    if draw.random() < 0.5:
        draw.shuffle(things)
    sentences = [_about(thing, draw) for thing in things]
    sentences += [
        draw.choice(_COVERS).format(front=front.name, behind=behind.name) for front, behind in overlaps
    ]
    bare = [place for cell, place in enumerate(PLACES) if scene.at(cell) is None]
    if bare:
        sentences.append(draw.choice(_EMPTY).format(places=_listed(bare)))
    total = draw.choice(_TOTALS).format(count=_WORDS[len(things)])
    return " ".join([draw.choice(OPENINGS), *sentences, total])


def scan(scene: Scene, *, full: bool) -> str:
    """The picture row by row, in few words: how one looks again.

    Args:
        scene: What is seen.
        full: With size and pattern, otherwise colour and shape alone.
    """
    rows = [[scene.at(3 * row + column) for column in range(3)] for row in range(3)]
    said = [", ".join(_said(thing, full) for thing in row) for row in rows]
    return f"Top row: {said[0]}. Middle row: {said[1]}. Bottom row: {said[2]}."


def _said(thing: Thing | None, full: bool) -> str:
    return "nothing" if thing is None else thing.full_name if full else thing.name


def _about(thing: Thing, draw: random.Random) -> str:
    form = draw.choice(_MARKS[thing.pattern]).format(size=thing.size, name=thing.name)
    return draw.choice(_SENTENCES).format(place=thing.place, thing=form)


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


# ---- reading ---------------------------------------------------------------------------------------


def _any(words: Sequence[str]) -> str:
    return "|".join(map(re.escape, words))


_THING = re.compile(
    rf"\ba ({_any(SIZES)}) (?:({_any(PATTERNS)}) )?({_any(COLOURS)}) ({_any(SHAPES)})\b"
    r"(?: (with stripes|with dots|with a dark ring|without any marks))?"
)
_PLACE = re.compile(rf"\b(?:at )?the ({_any(PLACES)})\b", re.IGNORECASE)
_BARE = re.compile(r"(?:Nothing stands|The ground is bare) at the (.+)\.")
_COVERED = re.compile(
    rf"The ((?:{_any(COLOURS)}) (?:{_any(SHAPES)})) (?:partly covers|hides a part of) "
    rf"the ((?:{_any(COLOURS)}) (?:{_any(SHAPES)}))\."
)
_TOTAL = re.compile(rf"(?:There are|That makes) ({_any(_WORDS)}) shapes in all\.")
_OPENING = re.compile(_any(OPENINGS))
_PHRASES = {
    "with stripes": "striped",
    "with dots": "dotted",
    "with a dark ring": "ringed",
    "without any marks": "plain",
}


def read_caption(text: str) -> Described | None:
    """What a caption of this world says, wherever it stands in a text; None where there is none.

    Every sentence between its opening and its total must be understood, and the total must be right: the
    caption of another world, or an edited one that no longer fits together, is not read.

    Args:
        text: Anything; hostile text is only not understood.
    """
    for opening in _OPENING.finditer(text):
        total = _TOTAL.search(text, opening.end())
        if total is None:
            return None
        described = _understood(text[opening.end() : total.start()], _WORDS.index(total[1]))
        if described is not None:
            scene, overlaps = described
            return Described(scene, overlaps, opening.start(), total.end())
    return None


def _understood(body: str, total: int) -> tuple[Scene, tuple[tuple[Thing, Thing], ...]] | None:
    things: dict[int, Thing] = {}
    covers: list[tuple[str, str]] = []
    for sentence in _sentences(body):
        covered = _COVERED.fullmatch(sentence)
        if covered:
            covers.append((covered[1], covered[2]))
        elif not _BARE.fullmatch(sentence):
            thing = _read_thing(sentence)
            if thing is None or thing.cell in things:
                return None
            things[thing.cell] = thing
    named = {thing.name: thing for thing in things.values()}
    if len(named) != total or len(things) != total or not total:
        return None
    if any(name not in named for pair in covers for name in pair):
        return None
    scene = Scene(tuple(things[cell] for cell in sorted(things)))
    return scene, tuple((named[front], named[behind]) for front, behind in covers)


def _sentences(body: str) -> Iterator[str]:
    for sentence in re.findall(r"[^.]*\.|[^.]+$", body):
        if sentence.strip():
            yield sentence.strip()


def _read_thing(sentence: str) -> Thing | None:
    thing, place = _THING.search(sentence), _PLACE.search(sentence)
    if thing is None or place is None:
        return None
    size, before, colour, shape, after = thing.groups()
    pattern = before or _PHRASES.get(after or "")
    if pattern is None or (before and after):
        return None
    return Thing(PLACES.index(place[1].lower()), shape, colour, size, pattern)
