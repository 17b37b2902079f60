"""Checks of a preference pair: that its two responses stand to each other as its kind says."""

from __future__ import annotations

from collections.abc import Iterator

from lpt_core import PairKind, Problem
from lpt_train.lint.side import Side

_SHARING: frozenset[PairKind] = frozenset({"short_over_spoiled", "turned_over_wrong", "compact_over_long"})


def check_pair(kind: PairKind, chosen: Side, rejected: Side, where: str) -> Iterator[Problem]:
    """What is wrong between the two responses of a pair.

    Kinds: ``chosen_is_rejected``, ``thought_not_shared``, ``prefix_no_prefix``, ``rejected_is_right``,
    ``answers_differ``, ``compact_not_shorter``.
    """
    if chosen.text == rejected.text:
        yield Problem("chosen_is_rejected", "chosen and rejected are the same text", where)
        return
    if kind in _SHARING:
        yield from _shared(chosen, rejected, where)
    yield from _answers(kind, chosen, rejected, where)
    if kind == "compact_over_long" and len(chosen.text) >= len(rejected.text):
        sizes = f"{len(chosen.text)} characters against {len(rejected.text)}"
        yield Problem("compact_not_shorter", f"the compact response is not shorter: {sizes}", where)


def _shared(chosen: Side, rejected: Side, where: str) -> Iterator[Problem]:
    if chosen.first_thought is None or chosen.first_thought != rejected.first_thought:
        yield Problem(
            "thought_not_shared", "by the pair's kind both begin with the same thought, and do not", where
        )
        return
    beginnings: list[str] = []
    for side in (chosen, rejected):
        place = next(n for n, segment in enumerate(side.segments) if segment.kind == "thought")
        beginnings.append("".join(segment.text for segment in side.segments[: place + 1]))
    if beginnings[0] != beginnings[1]:
        yield Problem(
            "prefix_no_prefix",
            f"the shared thought is no common prefix: {beginnings[0][:20]!r} against {beginnings[1][:20]!r}",
            where,
        )


def _answers(kind: PairKind, chosen: Side, rejected: Side, where: str) -> Iterator[Problem]:
    answers = chosen.answer, rejected.answer
    if answers[0] is None or answers[1] is None or "found" not in (answers[0].status, answers[1].status):
        return
    same = answers[0].option == answers[1].option
    if kind == "compact_over_long" and not same:
        yield Problem("answers_differ", "both answers are right by the pair's kind, and differ", where)
    elif kind != "compact_over_long" and same:
        yield Problem("rejected_is_right", "the rejected response gives the answer of the chosen one", where)
