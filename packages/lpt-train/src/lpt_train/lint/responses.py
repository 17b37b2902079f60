"""Checks of one response: its tags, its segments, which of them bear loss, and what it answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from lpt_core import LETTERS, Problem
from lpt_train.lint.prompts import check_markup
from lpt_train.lint.side import THOUGHT_KINDS, Side

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_TAG = re.compile(r"</?(?:think|answer)\s*>", re.IGNORECASE)
_ORDER = re.compile(r"format thought (?:cue continuation )*format answer format ")
# "the answer is (B)", "the correct option should be B", but not "the answer is A dog".
_CONCLUSION = re.compile(
    r"\b(?:answer|option|choice) (?:is|should be|would be|must be|has to be)[:,]? ?(?:option |choice )?"
    r"[(*\"']*([A-J])(?![\w'’])(?! [a-z])"
)
_STOP = re.compile(r"[.!?\n]")
_SENTENCE = 20  # characters from which on what stands between two stops is one
_OFTEN = 4  # times that a sentence may not stand in one thought


def check_response(side: Side) -> Iterator[Problem]:
    """What is wrong with a response, whatever it is for.

    Kinds: ``response_empty``, ``segment_empty``, ``thought_empty``, ``answer_empty``, ``segment_order``,
    ``kind_differs``, ``tag_missing``, ``tag_doubled``, ``tag_order``, ``tag_inside``,
    ``text_outside_tags``, ``repetition``, ``answer_not_shown``, ``thought_contradicts``, and those of
    ``check_markup``.
    """
    if not side.text.strip():
        yield Problem("response_empty", "the response has no text", side.where, "take the row out")
        return
    yield from _parts(side)
    yield from check_markup(side.text, side.where)
    tags = list(_tags(side))
    yield from tags
    yield from _repetition(side)
    if not tags:
        yield from _outside(side)
        yield from _answer(side)


def _parts(side: Side) -> Iterator[Problem]:
    kinds = "".join(f"{segment.kind} " for segment in side.segments)
    if not _ORDER.fullmatch(kinds):
        yield Problem(
            "segment_order",
            f"the segments are {kinds.strip() or 'none'}; they are format, thought, then cues and "
            "continuations in turn, format, answer, format",
            side.where,
        )
    elif side.continued is not None and ("cue" in kinds) != side.continued:
        wanted = "is one that was continued" if side.continued else "was not continued"
        yield Problem("kind_differs", f"by its kind this thought {wanted}, by its segments not", side.where)
    for number, segment in enumerate(side.segments):
        where = f"{side.where}.{number}"
        if segment.kind in ("thought", "answer") and not segment.text.strip():
            yield Problem(f"{segment.kind}_empty", f"the {segment.kind} has no text", where)
        elif not segment.text:
            yield Problem("segment_empty", f"a {segment.kind} without text", where)


def _owned(side: Side) -> Iterator[tuple[str, str]]:
    """Each tag in the text, and the kind of the segment in which it begins."""
    starts: list[tuple[int, str]] = []
    done = 0
    for segment in side.segments:
        starts.append((done, segment.kind))
        done += len(segment.text)
    for match in _TAG.finditer(side.text):
        yield match.group(), next(kind for start, kind in reversed(starts) if start <= match.start())


def _tags(side: Side) -> Iterator[Problem]:
    owned = list(_owned(side))
    for tag, kind in owned:
        if kind != "format":
            yield Problem("tag_inside", f"{tag} stands inside the {kind}", side.where, "take the row out")
    outside = [tag for tag, kind in owned if kind == "format"]
    counts = Counter(outside)
    for tag in _TAGS:
        if counts[tag] == 0:
            yield Problem("tag_missing", f"there is no {tag}", side.where)
        elif counts[tag] > 1:
            yield Problem("tag_doubled", f"{tag} stands {counts[tag]} times", side.where)
    if sorted(outside) == sorted(_TAGS) and tuple(outside) != _TAGS:
        yield Problem("tag_order", f"the tags stand as {' '.join(outside)}", side.where)


def _outside(side: Side) -> Iterator[Problem]:
    """Text before, between and after thought and answer; the tags are known to be right."""
    before, _, rest = side.text.partition(_TAGS[0])
    between, _, after = rest.partition(_TAGS[1])[2].partition(_TAGS[2])
    after = after.partition(_TAGS[3])[2]
    stray = next((text.strip() for text in (before, between, after) if text.strip()), None)
    if stray:
        yield Problem("text_outside_tags", f"{stray[:40]!r} is in neither thought nor answer", side.where)


def _answer(side: Side) -> Iterator[Problem]:
    answer = side.answer
    # An answer without text has been reported as such.
    if answer is not None and answer.status != "found" and answer.raw:
        said = answer.raw[:40]
        yield Problem(
            "answer_not_shown",
            f"the answer {said!r} names {'several' if answer.status == 'ambiguous' else 'none'} of the "
            "options that the prompt shows",
            side.where,
        )
    if answer is not None and answer.option is not None and side.name != "rejected":
        yield from _contradiction(side, LETTERS[answer.option])


def _contradiction(side: Side, answered: str) -> Iterator[Problem]:
    """The letter that the end of the thought concludes on, where it is not the answer's."""
    thoughts = [segment.text for segment in side.segments if segment.kind in THOUGHT_KINDS]
    letters = _CONCLUSION.findall(thoughts[-1]) if thoughts else []
    if letters and letters[-1] != answered:
        yield Problem(
            "thought_contradicts",
            f"the thought concludes on option {letters[-1]}, and the answer is {answered}",
            side.where,
            "were its options shown to the model in another order?",
        )


def _repetition(side: Side) -> Iterator[Problem]:
    thought = "".join(segment.text for segment in side.segments if segment.kind in THOUGHT_KINDS)
    sentences = (one.strip() for one in _STOP.split(thought))
    common = Counter(one for one in sentences if len(one) >= _SENTENCE).most_common(1)
    if common and common[0][1] >= _OFTEN:
        sentence, count = common[0]
        yield Problem("repetition", f"{sentence[:40]!r} stands {count} times in the thought", side.where)


# ---- loss --------------------------------------------------------------------------------------------


def check_loss(side: Side) -> Iterator[Problem]:
    """What is wrong with the loss flags.

    Kinds: ``no_label``, ``loss_on_wrong_thought``, ``loss_on_rejected``, ``prefix_no_prefix``,
    ``loss_withheld``.
    """
    filled = [segment for segment in side.segments if segment.text]
    if side.name == "rejected":
        if any(segment.loss for segment in filled):
            yield Problem("loss_on_rejected", "a part of the rejected response bears loss", side.where)
        return
    if not any(segment.loss for segment in filled):
        if filled:
            yield Problem("no_label", "nothing of the response bears loss", side.where)
        return
    if side.masked and any(segment.loss for segment in filled if segment.kind == "thought"):
        yield Problem(
            "loss_on_wrong_thought",
            "a first thought that is wrong by the row's kind bears loss",
            side.where,
            "set its loss to false; to train it on purpose, use prefix_loss: full",
        )
    flags = [segment.loss for segment in filled]
    if flags != sorted(flags):
        place = flags.index(True)
        kind = filled[flags.index(False, place)].kind
        message = f"what bears no loss is no prefix: the {kind} bears none and follows what does"
        yield Problem("prefix_no_prefix", message, side.where)
    elif not side.masked and not all(flags):
        yield Problem("loss_withheld", "the beginning of a response that is right bears no loss", side.where)
