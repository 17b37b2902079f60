"""How hard a question is, judged by other answers than the one that is looked at.

Where a question is called hard because a model failed on it, that model fails on hard questions: nothing
would be learned. So an answer never judges its own question. The paper judges by eleven samples of the base
model (appendix C) and parts at two quantiles; here the first run judges, where it answered each question
several times, or else all runs together, and the parts are fixed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from lpt_eval.records import Row
from lpt_eval.runs import Answers

LEVELS = ("easy", "medium", "hard")
_EASY, _HARD = 2 / 3, 1 / 3
_MOST = 6
OTHERS = "other categories"
EVERYTHING = "all questions"


@dataclass(frozen=True, slots=True)
class Difficulty:
    """The levels of a benchmark's questions.

    Attributes:
        names: The levels, the easiest first.
        rule: How they were told apart, a sentence.
        level: Of an answer, by the run's number from 0, item, shuffle and sample.
    """

    names: tuple[str, ...]
    rule: str
    level: dict[tuple[int, str, int, int], str]

    def of(self, run: int, row: Row) -> str | None:
        """The level of the question that a row answers; None where no other answer judges it."""
        return self.level.get((run, row.item_id, row.shuffle, row.sample))


def difficulty_of(answers: Sequence[Answers | None]) -> Difficulty:
    """Part the questions of a benchmark.

    Args:
        answers: What each run answered; None where it was not asked. The first is the base.
    """
    rows = {number: (*of.rows.values(), *of.turned) for number, of in enumerate(answers) if of is not None}
    first = answers[0]
    if first is not None and len(rows[0]) > len(first.items):
        judges = {0: rows[0]}
        who = "the first run's other answers to it" if len(rows) > 1 else "the run's other answers to it"
    elif sum(map(len, rows.values())) > max(map(len, rows.values()), default=0):
        judges, who = (
            rows,
            "the other runs' answers to it" if len(rows) > 2 else "the other run's answer to it",
        )
    else:
        return _by_category([of for of in answers if of is not None], rows)
    right, given = Counter[str](), Counter[str]()
    for row in (row for of_run in judges.values() for row in of_run):
        given[row.item_id] += 1
        right[row.item_id] += row.outcome == "correct"
    level: dict[tuple[int, str, int, int], str] = {}
    for number, row in ((number, row) for number, of_run in rows.items() for row in of_run):
        itself = number in judges
        others = given[row.item_id] - itself
        hits = right[row.item_id] - (itself and row.outcome == "correct")
        if others:
            level[number, row.item_id, row.shuffle, row.sample] = _level(hits / others)
    rule = (
        f"A question is easy where more than two thirds of {who} are right, hard where fewer than one third "
        "are, medium between. An answer never judges its own question."
    )
    return Difficulty(LEVELS, rule, level)


def _level(share: float) -> str:
    if share > _EASY:
        return "easy"
    return "hard" if share < _HARD else "medium"


def _by_category(answers: Sequence[Answers], rows: dict[int, tuple[Row, ...]]) -> Difficulty:
    """One answer to each question tells nothing of how hard it is: its category stands for that."""
    every = [row for of_run in rows.values() for row in of_run]
    hits: defaultdict[str, list[bool]] = defaultdict(list)
    for row in every:
        hits[row.category or ""].append(row.outcome == "correct")
    if len(hits) < 2:
        named = dict.fromkeys(hits, EVERYTHING)
        names: tuple[str, ...] = (EVERYTHING,)
        rule = "There is one answer to each question and no category: how hard a question is, is not known."
    else:
        largest = sorted(hits, key=lambda name: (-len(hits[name]), name))[:_MOST]
        named = {name: (name or "no category") if name in largest else OTHERS for name in hits}
        shares = {name: sum(hits[name]) / len(hits[name]) for name in largest}
        ordered = sorted(largest, key=lambda name: (-shares[name], name))
        names = (*(named[name] for name in ordered), *[OTHERS] * (len(hits) > len(largest)))
        rule = (
            "There is one answer to each question, which cannot judge itself: the benchmark's categories "
            "stand for difficulty, the one with the most right answers first. "
            "A second run, or several samples, would tell easy questions from hard ones."
        )
    level = {
        (number, row.item_id, row.shuffle, row.sample): named[row.category or ""]
        for number, of_run in rows.items()
        for row in of_run
    }
    return Difficulty(names, rule, level)
