"""A continuation of a thought: looks again in one of several manners, and concludes.

What is said is said of a scene, the true one or one misseen (``mistakes``), and follows from it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lpt_core import LETTERS
from lpt_synth.lab.captions import scan
from lpt_synth.lab.question import Question
from lpt_synth.lab.scene import PLACES, Scene, Thing
from lpt_synth.lab.teacher import phrases
from lpt_synth.lab.teacher.details import capital, concerned, detail, said
from lpt_synth.lab.teacher.mistakes import misseen
from lpt_synth.lab.teacher.phrases import Manner
from lpt_synth.lab.teacher.reading import Asked

SHORTEST = 25
"""Words of the shortest continuation, its answer not counted."""

# Going from place to place asks only one small thing at each step, which is what most helps a small student.
_ACROSS = {"walk": 60, "scan": 20, "row": 5, "look": 5, "choices": 10}
_COUNTS = {"walk": 65, "scan": 20, "count": 10, "look": 5}
_AT_ONE_PLACE = {"scan": 45, "row": 15, "look": 25, "choices": 15}
_MANNERS: Mapping[str, Mapping[str, int]] = {
    "colour_of": _ACROSS,
    "pattern_of": _ACROSS,
    "place_of": _ACROSS,
    "beside": _ACROSS,
    "direction": _ACROSS,
    "covers": {"row": 30, "look": 45, "choices": 25},
    "count_shape": _COUNTS,
    "count_colour": _COUNTS,
    "count_all": _COUNTS,
    "by_size": _ACROSS,
    "most_common": {"scan": 85, "look": 15},
}
_ORDINALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class _View:
    """What is before the mind's eye: a scene, the question, its answer there, the first guess."""

    scene: Scene
    question: Question
    guess: str | None


def continuation(asked: Asked, prefill: str, draw: random.Random, *, lapse: bool) -> str:
    """What follows a thought that was begun, up to the answer's end tag.

    Args:
        asked: The question, and the scene that it is about.
        prefill: What the thought goes on from; its last sentence tells the first guess.
        draw: Draws manner and words.
        lapse: Ends in a wrong option.
    """
    guess = guess_of(prefill, asked.options)
    slip = misseen(asked, draw) if lapse else None
    described, answer = slip or (asked.described, asked.answer)
    view = _View(described.scene, answer.question, None if guess is None else asked.options[guess])
    if lapse and slip is None:
        wrong = [place for place in range(len(asked.options)) if place != answer.option]
        option = draw.choice(wrong)
        text = _doubtful(view, asked.options[option], prefill, draw)
    else:
        option = answer.option
        text = _thought(view, prefill, draw)
    return f"{text}\n{asked.lines[option]} </think> <answer> {_written(asked, option)} </answer>"


def guess_of(prefill: str, options: tuple[str, ...]) -> int | None:
    """The option that a thought names last, as whole words; None where it names none."""
    best: tuple[int, int, int] | None = None
    for place, option in enumerate(options):
        pattern = rf"(?<!\w){re.escape(option)}(?!\w)"
        for match in re.finditer(pattern, prefill, re.IGNORECASE):
            if option and (best is None or (match.end(), len(option)) > best[:2]):
                best = (match.end(), len(option), place)
    return None if best is None else best[2]


def _written(asked: Asked, option: int) -> str:
    """An option in the style that the prompt wants."""
    if asked.style == "text":
        return asked.options[option]
    return f"({LETTERS[option]})" if asked.style == "letter_parens" else f"{LETTERS[option]}."


# ---- the whole -------------------------------------------------------------------------------------


def _thought(view: _View, prefill: str, draw: random.Random) -> str:
    manners = _MANNERS.get(view.question.kind, _AT_ONE_PLACE)
    manner: Manner = draw.choices(list(manners), list(manners.values()))[0]  # pyright: ignore[reportAssignmentType] # the tables' keys are manners
    parts = [_entry(manner, prefill, draw), _EVIDENCE[manner](view, draw), _end(view, draw)]
    for check in draw.sample(phrases.CHECKS, len(phrases.CHECKS)):
        if len(" ".join(parts).split()) < SHORTEST:
            parts.insert(-1, check)
    return _joined(prefill, parts)


def _doubtful(view: _View, wrong: str, prefill: str, draw: random.Random) -> str:
    """Sees what is there, and does not believe it."""
    doubt = draw.choice(phrases.DOUBTS).format(wrong=wrong)
    seen = detail(view.scene, view.question, draw)
    return _joined(prefill, [_entry("look", prefill, draw), seen, doubt])


def _entry(manner: Manner, prefill: str, draw: random.Random) -> str:
    otherwise = prefill.rstrip().endswith("Alternatively,")
    return draw.choice((phrases.OTHERWISE if otherwise else phrases.ENTRIES)[manner])


def _joined(prefill: str, parts: list[str]) -> str:
    """The parts, begun as the end of the prefill asks: in small letters within a sentence."""
    text = " ".join(parts)
    begins_sentence = not prefill or prefill.rstrip(" ").endswith((".", "!", "?", "…", ":", "\n", ">"))
    if begins_sentence:
        text = text[:1].upper() + text[1:]
    return text if prefill.endswith((" ", "\n")) else f" {text}"


def _end(view: _View, draw: random.Random) -> str:
    it = said(view.question, view.question.answer)
    if view.guess is None:
        bank = phrases.NEUTRAL
    else:
        same = view.guess.casefold() == view.question.answer.casefold()
        bank = phrases.RIGHT if same else phrases.WRONG
    return draw.choice(bank).format(it=it, first=said(view.question, view.guess or ""))


# ---- the manners -----------------------------------------------------------------------------------


def _walk(view: _View, draw: random.Random) -> str:
    """From place to place until what is sought is found; what is to be counted gets its number."""
    counted = view.question.label == "Counting"
    things = concerned(view.scene, view.question)
    sought = things[:1] if view.question.kind == "beside" else things
    full = view.question.kind in ("by_size", "pattern_of")
    steps: list[str] = []
    found = 0
    for cell, place in enumerate(PLACES):
        thing = view.scene.at(cell)
        step = f"at the {place}: {'nothing' if thing is None else thing.full_name if full else thing.name}"
        if thing in sought:
            found += 1
            step += f", that is {found}" if counted else ", there it is"
        steps.append(step)
        if found == len(sought) and not counted:
            break
    walked = f"{capital('; '.join(steps))}."
    return walked if counted else f"{walked} {detail(view.scene, view.question, draw)}"


def _scan(view: _View, draw: random.Random) -> str:
    full = view.question.kind in ("by_size", "pattern_of") or draw.random() < 0.2
    return f"{scan(view.scene, full=full)} {detail(view.scene, view.question, draw)}"


def _row(view: _View, draw: random.Random) -> str:
    """The rows in which the things concerned stand, as a scan says them."""
    rows = sorted({thing.cell // 3 for thing in concerned(view.scene, view.question)})
    whole = re.split(r"(?<=\.) ", scan(view.scene, full=view.question.kind in ("by_size", "pattern_of")))
    return f"{' '.join(whole[row] for row in rows)} {detail(view.scene, view.question, draw)}"


def _look(view: _View, draw: random.Random) -> str:
    # A look that is a statement says already where the things are, as the detail does.
    look = f"{view.question.look} " if view.question.look.startswith("I ") else ""
    return f"{look}{detail(view.scene, view.question, draw)}"


def _count(view: _View, draw: random.Random) -> str:
    """Each by its name and place, with its number."""
    things = concerned(view.scene, view.question)
    steps = [
        f"{number}, the {thing.name} at the {thing.place}"
        for number, thing in zip(_ORDINALS, things, strict=False)
    ]
    text = "; ".join(steps)
    return f"{text[:1].upper()}{text[1:]}. No more than that."


def _choices(view: _View, draw: random.Random) -> str:
    wrong = draw.sample(view.question.distractors, min(2, len(view.question.distractors)))
    said_of = [_against(view, option) for option in wrong]
    return f"{' '.join(said_of)} {detail(view.scene, view.question, draw)}"


def _against(view: _View, option: str) -> str:
    """Why an option is not the answer."""
    thing = next((thing for thing in view.scene.things if thing.name == option.casefold()), None)
    if view.question.kind == "by_size" and thing is not None:
        return f"The {thing.name} is {thing.size}."
    if thing is not None:
        return f"The {thing.name} stands at the {thing.place}, so that is not it."
    if view.question.kind == "place_of" and option.casefold() in PLACES:
        return f"At the {option} I see {_named(view.scene.at(PLACES.index(option.casefold())))}."
    if " " in option and view.question.kind in ("beside", "covers"):
        return f"I see no {option} at all."
    return f"It is not a {option}." if view.question.kind == "shape_at" else f"It is not {option}."


def _named(thing: Thing | None) -> str:
    return "nothing" if thing is None else f"the {thing.name}"


_EVIDENCE: Mapping[Manner, Callable[[_View, random.Random], str]] = {
    "walk": _walk,
    "scan": _scan,
    "row": _row,
    "look": _look,
    "count": _count,
    "choices": _choices,
}
