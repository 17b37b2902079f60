"""Accuracy against the length of the thought, by difficulty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lpt_eval.records import Row
from lpt_eval.report.difficulty import Difficulty, difficulty_of
from lpt_eval.runs import Answers
from lpt_eval.statistics import Interval, wilson

Unit = Literal["tokens", "characters"]

_COLUMNS = 5


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some answers are right.

    Attributes:
        answers: How many there are.
        questions: To how many questions.
        right: How many are right.
    """

    answers: int
    questions: int
    right: int

    @property
    def value(self) -> float:
        """The share that is right; NaN of none."""
        return self.right / self.answers if self.answers else float("nan")

    @property
    def interval(self) -> Interval:
        """Wilson's, 95 %: several answers to one question count as one observation."""
        return wilson(self.value * self.questions, self.questions) if self.answers else Interval(0.0, 1.0)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Share:
        """The share of these rows."""
        listed = list(rows)
        questions = len({row.item_id for row in listed})
        return cls(len(listed), questions, sum(row.outcome == "correct" for row in listed))


@dataclass(frozen=True, slots=True)
class Spread:
    """How long some thoughts are: quartiles and how many there are."""

    low: float
    middle: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """One benchmark.

    Attributes:
        difficulty: How its questions were parted.
        unit: In which thoughts are measured.
        edges: Lengths between the columns, the shortest and the longest thought included.
        cells: What is right, by run, level and column.
        spreads: Lengths by run, level, and whether the answer is right.
        thoughtless: Answers without a thought, by run.
    """

    difficulty: Difficulty
    unit: Unit
    edges: tuple[int, ...]
    cells: dict[tuple[int, str, int], Share]
    spreads: dict[tuple[int, str, bool], Spread]
    thoughtless: dict[int, int]


def lengths_of(answers: Sequence[Answers | None]) -> Lengths | None:
    """Measure the thoughts of a benchmark; None where no run thought.

    Args:
        answers: What each run answered, options in their own order; None where it was not asked.
    """
    rows = {number: list(of.rows.values()) for number, of in enumerate(answers) if of is not None}
    thoughts = {
        number: [row for row in of_run if row.thought_chars is not None] for number, of_run in rows.items()
    }
    every = [row for of_run in thoughts.values() for row in of_run]
    if not every:
        return None
    unit: Unit = "characters" if any(row.thought_tokens is None for row in every) else "tokens"
    difficulty = difficulty_of(answers)
    edges = _edges([length(row, unit) for row in every])
    cells: defaultdict[tuple[int, str, int], list[Row]] = defaultdict(list)
    spreads: defaultdict[tuple[int, str, bool], list[int]] = defaultdict(list)
    for number, of_run in thoughts.items():
        for row in of_run:
            level, long = difficulty.of(number, row), length(row, unit)
            if level is None:
                continue
            cells[number, level, _column(long, edges)].append(row)
            spreads[number, level, row.outcome == "correct"].append(long)
    return Lengths(
        difficulty=difficulty,
        unit=unit,
        edges=edges,
        cells={place: Share.of(found) for place, found in cells.items()},
        spreads={place: _spread(found) for place, found in spreads.items()},
        thoughtless={number: len(rows[number]) - len(thoughts[number]) for number in rows},
    )


def length(row: Row, unit: Unit) -> int:
    """How long the thought of a row is; 0 where there is none."""
    return (row.thought_tokens if unit == "tokens" else row.thought_chars) or 0


def _edges(values: Sequence[int]) -> tuple[int, ...]:
    """Fifths of the values; fewer columns where many values are the same."""
    cuts = np.quantile(values, np.linspace(0, 1, _COLUMNS + 1), method="lower")
    found = sorted({int(cut) for cut in cuts})
    return tuple(found) if len(found) > 1 else (found[0], found[0] + 1)


def _column(value: int, edges: Sequence[int]) -> int:
    """The column of a value; each has its upper edge, the first its lower one as well."""
    return next((place for place, edge in enumerate(edges[1:]) if value <= edge), len(edges) - 2)


def _spread(values: Sequence[int]) -> Spread:
    low, middle, high = (float(value) for value in np.quantile(values, (0.25, 0.5, 0.75)))
    return Spread(low, middle, high, len(values))
