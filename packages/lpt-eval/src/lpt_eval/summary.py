"""What one run amounts to: outcomes, accuracy with its bounds, every aggregate with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isnan

import numpy as np

from lpt_core import derived_int
from lpt_eval.metrics import Formula, Grid, Metric, paper_metric
from lpt_eval.records import FAILURES, Outcome
from lpt_eval.runs import Answers, Run
from lpt_eval.statistics import Bootstrap, Interval, resampled_totals, wilson

DRAWS = 10_000
"""Resamples of a bootstrap."""


@dataclass(frozen=True, slots=True)
class Score:
    """A number between 0 and 1, and its interval of 95 % confidence.

    Attributes:
        value: The number; what was not answered counts as wrong.
        interval: Wilson's where all questions stand alone and bear the same weight, else bootstrapped.
        count: Of how many questions, or clusters.
    """

    value: float
    interval: Interval
    count: int


@dataclass(frozen=True, slots=True)
class BenchmarkSummary:
    """One benchmark of a run.

    Attributes:
        benchmark: Its name.
        metric: The number that stands for it.
        metrics: All of its numbers.
        categories: Accuracy within each category.
        items: Number of questions.
        expected: Rows that there should be.
        missing: Rows that there are not.
        outcomes: Rows of each outcome.
        accuracy: Micro; all that was not answered is wrong, what is missing included. The lower bound.
        answered: Micro, among what was answered; None where nothing was. The other bound.
    """

    benchmark: str
    metric: Metric
    metrics: dict[Metric, Score]
    categories: dict[str, Score]
    items: int
    expected: int
    missing: int
    outcomes: dict[Outcome, int]
    accuracy: float
    answered: float | None

    @property
    def score(self) -> Score:
        """The number that stands for the benchmark."""
        return self.metrics[self.metric]

    @property
    def failure_share(self) -> float:
        """The share of the expected rows in which nothing was answered, missing ones included."""
        failed = sum(self.outcomes[outcome] for outcome in FAILURES) + self.missing
        return failed / self.expected if self.expected else 0.0


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run.

    Attributes:
        name: What it is called.
        model: The model's name.
        benchmarks: By name.
        average: The mean of the benchmarks' numbers, as the paper's "Avg"; NaN where there is none.
    """

    name: str
    model: str
    benchmarks: dict[str, BenchmarkSummary]
    average: float


def summarise(run: Run, *, draws: int = DRAWS, seed: int = 0) -> RunSummary:
    """Count a run.

    Args:
        run: What was read of it.
        draws: Resamples for the intervals that need them.
        seed: Of these.
    """
    benchmarks = {
        name: summarise_benchmark(answers, draws=draws, seed=seed) for name, answers in run.answers.items()
    }
    values = [one.score.value for one in benchmarks.values() if isfinite(one.score.value)]
    average = sum(values) / len(values) if values else float("nan")
    return RunSummary(run.name, run.info.model.name, benchmarks, average)


def summarise_benchmark(answers: Answers, *, draws: int = DRAWS, seed: int = 0) -> BenchmarkSummary:
    """Count one benchmark of a run."""
    grid = Grid.of(answers.items)
    hits = grid.columns(answers.hits(answers.items)) / answers.n
    counts = grid.counts()
    totals = resampled_totals(
        np.hstack([hits, counts]), draws=draws, seed=derived_int(seed, "bootstrap", answers.benchmark)
    )
    drawn_hits, drawn_counts = totals[:, : grid.width], totals[:, grid.width :]
    alone = grid.clusters == len(grid.items)

    def score(formula: Formula) -> Score:
        value = float(formula.of(hits.sum(0), counts.sum(0)))
        count = int(counts.sum(0)[list(_cells(formula))].sum())
        independent = not formula.parts and (alone or formula.cells == (grid.width - 1,))
        if independent and not isnan(value):
            return Score(value, wilson(value * count, count), count)
        draws_of = formula.of(drawn_hits, drawn_counts)
        return Score(value, Bootstrap(value, draws_of).percentile(), count)

    formulas = grid.formulas()
    outcomes = answers.outcomes
    answered = outcomes["correct"] + outcomes["wrong"]
    return BenchmarkSummary(
        benchmark=answers.benchmark,
        metric=paper_metric(answers.benchmark, formulas),
        metrics={name: score(formula) for name, formula in formulas.items()},
        categories={name: score(formula) for name, formula in grid.categories().items()},
        items=len(answers.items),
        expected=answers.expected,
        missing=answers.expected - len(answers.rows),
        outcomes=outcomes,
        accuracy=outcomes["correct"] / answers.expected if answers.expected else float("nan"),
        answered=outcomes["correct"] / answered if answered else None,
    )


def _cells(formula: Formula) -> tuple[int, ...]:
    return formula.cells + tuple(cell for part in formula.parts for cell in _cells(part))
