"""The asker: questions about a scene, in the form that its prompt wants, and now and then not quite in it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from lpt_core import LETTERS, parse_options, read_choice
from lpt_synth.lab.captions import Described
from lpt_synth.lab.question import Question
from lpt_synth.lab.questions import questions
from lpt_synth.lab.teacher.details import concerned

FEWEST, MOST = 4, 7
"""Questions of one caption."""

_MAX_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class Draft:
    """A question as it is written down; an answer of None is left out."""

    question: str
    options: tuple[str, ...]
    answer: str | None
    label: str


def ask(described: Described, draw: random.Random, *, malformed: float, as_json: bool) -> str:
    """Some questions about a scene, of different kinds and about different things.

    Args:
        described: What the caption says.
        draw: Draws questions, wordings, distractors and places.
        malformed: Rate of questions that break the form.
        as_json: As a JSON object rather than numbered and tagged.
    """
    drafts = [_draft(question, draw) for question in _chosen(described, draw)]
    drafts = [_broken(draft, draw) if draw.random() < malformed else draft for draft in drafts]
    return _json(drafts) if as_json else _tagged(drafts)


def reformat(text: str) -> str:
    """The questions of an answer, in form; those that lack a part are none and are left out.

    Args:
        text: The prompt, the answer in it. Hostile text is only not understood.
    """
    chunks = re.split(r"<question\s*>", text[:_MAX_TEXT], flags=re.IGNORECASE)[1:]
    drafts = [draft for chunk in chunks if (draft := _read(chunk)) is not None]
    return _tagged(drafts) if drafts else "There are no questions here."


# ---- choosing --------------------------------------------------------------------------------------


def _chosen(described: Described, draw: random.Random) -> list[Question]:
    """One question of each of some kinds, or two where there are few; about new things where that can be.

    Kinds are drawn alike, or those with a question for each pair of things would swamp the others.
    """
    scene = described.scene
    by_kind: dict[str, list[Question]] = {}
    for question in questions(scene, described.overlaps, draw):
        by_kind.setdefault(question.kind, []).append(question)
    if all(thing.pattern == "plain" for thing in scene.things):
        by_kind.pop("pattern_of", None)  # with nothing to tell apart there is nothing to look at
    count = draw.randint(FEWEST, MOST)
    kinds = draw.sample(list(by_kind), len(by_kind))
    chosen: list[Question] = []
    asked_about: set[str] = set()
    for kind in (kinds * MOST)[: MOST * len(kinds)]:
        left = [question for question in by_kind[kind] if question not in chosen]
        if len(chosen) == count or not left:
            continue
        new = [one for one in left if not _subject(described, one) & asked_about]
        question = draw.choice(new or left)
        asked_about |= _subject(described, question)
        chosen.append(question)
    return chosen


def _subject(described: Described, question: Question) -> set[str]:
    """The name of the one thing that a question is about; nothing for those about several."""
    things = concerned(described.scene, question)
    return {things[0].name} if things and question.label in ("Recognition", "Spatial") else set()


def _draft(question: Question, draw: random.Random) -> Draft:
    options = draw.sample((question.answer, *question.distractors), len(question.distractors) + 1)
    return Draft(question.text, tuple(options), question.answer, question.label)


# ---- breaking the form -----------------------------------------------------------------------------


def _unanswered(draft: Draft, draw: random.Random) -> Draft:
    return replace(draft, answer=None)


def _off_menu(draft: Draft, draw: random.Random) -> Draft:
    return replace(draft, answer=draw.choice(("none of these", "it cannot be told", "(E)")))


def _one_more(draft: Draft, draw: random.Random) -> Draft:
    return replace(draft, options=(*draft.options, "none of these"))


def _twice(draft: Draft, draw: random.Random) -> Draft:
    place = draw.randrange(len(draft.options) - 1)
    return replace(draft, options=(*draft.options[:place], draft.options[-1], *draft.options[place + 1 :]))


def _without_choices(draft: Draft, draw: random.Random) -> Draft:
    return replace(draft, options=())


_BREAKS: tuple[Callable[[Draft, random.Random], Draft], ...] = (
    _unanswered,
    _off_menu,
    _one_more,
    _twice,
    _without_choices,
)


def _broken(draft: Draft, draw: random.Random) -> Draft:
    """A question that breaks the form in one of the ways in which askers do."""
    return draw.choice(_BREAKS)(draft, draw)


# ---- writing and reading ---------------------------------------------------------------------------


def _tagged(drafts: list[Draft]) -> str:
    return "\n".join(f"{number}. {_line(draft)}" for number, draft in enumerate(drafts, 1))


def _line(draft: Draft) -> str:
    choices = "".join(f"({letter}) {text} " for letter, text in zip(LETTERS, draft.options, strict=False))
    answer = "" if draft.answer is None else f"<answer> {draft.answer} </answer> "
    return (
        f"<question> {draft.question} </question> <choices> {choices}</choices> "
        f"{answer}<type> {draft.label} </type>"
    )


def _json(drafts: list[Draft]) -> str:
    entries = [
        {"question": draft.question, "choices": list(draft.options)}
        | ({} if draft.answer is None else {"answer": draft.answer})
        | {"type": draft.label}
        for draft in drafts
    ]
    return json.dumps({"questions": entries}, ensure_ascii=False)


def _read(chunk: str) -> Draft | None:
    """A tagged question after its first tag; None where it lacks a part."""
    question = " ".join(re.split(r"</?\w+\s*>", chunk, maxsplit=1)[0].split())
    options = parse_options(_between(chunk, "choices")).options
    answer = _between(chunk, "answer")
    if not question or not options or not answer:
        return None
    choice = read_choice(answer, options)
    named = answer if choice.option is None else options[choice.option]
    return Draft(question, options, named, _between(chunk, "type") or "Other")


def _between(chunk: str, tag: str) -> str:
    """What stands between a tag and its end tag, on one line; "" where there is none."""
    start = re.search(rf"<{tag}\s*>", chunk, re.IGNORECASE)
    end = re.compile(rf"</{tag}\s*>", re.IGNORECASE).search(chunk, start.end()) if start else None
    return " ".join(chunk[start.end() : end.start()].split()) if start and end else ""
