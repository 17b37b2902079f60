"""How two runs differ on the questions that both have answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lpt_core import ConfigError, derived_int
from lpt_eval.metrics import Formula, Grid, Metric, paper_metric
from lpt_eval.records import Item
from lpt_eval.runs import Run
from lpt_eval.statistics import (
    Array,
    Bootstrap,
    Interval,
    design_effect,
    mcnemar,
    minimum_detectable,
    resampled_totals,
    sign_flip,
)


@dataclass(frozen=True, slots=True)
class Difference:
    """How a number differs between two runs, in shares of 1.

    Attributes:
        first: In the first run.
        second: In the second.
        difference: The second less the first.
        interval: Of the difference: percentiles of the paired bootstrap over clusters, 95 %.
        basic: The same by the basic bootstrap.
    """

    first: float
    second: float
    difference: float
    interval: Interval
    basic: Interval


@dataclass(frozen=True, slots=True)
class BenchmarkDifference:
    """Two runs on one benchmark.

    Attributes:
        benchmark: Its name.
        items: Questions that both have answered, failures included.
        clusters: Of these.
        metric: The number that stands for the benchmark.
        metrics: How each number differs.
        gained: Names of the questions that the second run has right more often than the first.
        lost: Those that it has right less often.
        mcnemar: The exact p-value of McNemar's test by question; None with several samples.
        p: The exact p-value of the randomisation test by cluster, which is the same where all stand alone.
        adjusted: ``p`` after Holm, over all benchmarks and pairs of the comparison.
        detectable: The smallest difference in micro accuracy that would be found four times in five.
        left_out: Names of the questions of which a sample is missing in either run.
    """

    benchmark: str
    items: int
    clusters: int
    metric: Metric
    metrics: dict[Metric, Difference]
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    mcnemar: float | None
    p: float
    adjusted: float
    detectable: float | None
    left_out: tuple[str, ...]

    @property
    def score(self) -> Difference:
        """How the number that stands for the benchmark differs."""
        return self.metrics[self.metric]


@dataclass(frozen=True, slots=True)
class PairDifference:
    """Two runs on all that both have.

    Attributes:
        first: Name of the first run.
        second: Name of the second.
        benchmarks: One by one.
        average: The mean of the benchmarks' numbers, as the paper's "Avg".
        pooled: All questions together, each with the same weight.
        mcnemar: On all questions together; None with several samples.
        p: The randomisation test by cluster on all questions together.
    """

    first: str
    second: str
    benchmarks: tuple[BenchmarkDifference, ...]
    average: Difference
    pooled: Difference
    mcnemar: float | None
    p: float


# ---- computing them ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Paired:
    """One benchmark of two runs, on the questions that both have answered.

    ``totals`` and, for each resample, ``drawn`` have the hits of the first run by cell, those of the second,
    and the counts.
    """

    grid: Grid
    totals: Array
    drawn: Array
    more: Array  # by question: how much more often the second is right, times ``scale``
    scale: int
    left_out: tuple[Item, ...]

    def by_cluster(self) -> list[int]:
        """How much more often the second is right, by cluster, in whole numbers."""
        return [int(value) for value in np.bincount(self.grid.cluster, weights=self.more)]

    @property
    def single(self) -> bool:
        """Each run answered each question once."""
        return self.scale == 1

    def difference(self, formula: Formula) -> Difference:
        """How a number differs."""
        first, second = (float(value) for value in self._sides(formula, self.totals))
        drawn_first, drawn_second = self._sides(formula, self.drawn)
        return _difference(first, second, drawn_second - drawn_first)

    def drawn_of(self, metric: Metric) -> Array:
        """How a number differs in each resample."""
        first, second = self._sides(self.grid.formulas()[metric], self.drawn)
        return second - first

    def summed(self, totals: Array) -> Array:
        """Hits of the first run, of the second, and the count, over all questions."""
        width = self.grid.width
        return np.stack([totals[..., side * width : (side + 1) * width - 1].sum(-1) for side in range(3)])

    def _sides(self, formula: Formula, totals: Array) -> tuple[Array, Array]:
        width = self.grid.width
        first, second, counts = (totals[..., side * width : (side + 1) * width] for side in range(3))
        return formula.of(first, counts), formula.of(second, counts)


def _difference(first: float, second: float, drawn: Array) -> Difference:
    found = Bootstrap(second - first, drawn)
    return Difference(first, second, second - first, found.percentile(), found.basic())


def _paired(first: Run, second: Run, benchmark: str, draws: int, seed: int) -> _Paired:
    one, other = first.answers[benchmark], second.answers[benchmark]
    theirs = {item.id for item in other.items}
    common = tuple(item for item in one.items if item.id in theirs)
    both = tuple(item for item in common if one.whole(item.id) and other.whole(item.id))
    grid = Grid.of(both)
    ours_hit, theirs_hit = one.hits(both), other.hits(both)
    columns = np.hstack([grid.columns(ours_hit) / one.n, grid.columns(theirs_hit) / other.n, grid.counts()])
    return _Paired(
        grid=grid,
        totals=columns.sum(0),
        drawn=resampled_totals(columns, draws=draws, seed=derived_int(seed, "bootstrap", benchmark)),
        more=theirs_hit.sum(1) * one.n - ours_hit.sum(1) * other.n,
        scale=one.n * other.n,
        left_out=tuple(item for item in common if not (one.whole(item.id) and other.whole(item.id))),
    )


def pair_of(first: Run, second: Run, *, draws: int, seed: int) -> PairDifference:
    """Compare two runs on what they have in common; ``adjusted`` is left as ``p``.

    Raises:
        ConfigError: They have nothing in common.
    """
    shared = [name for name in first.answers if name in second.answers]
    sides = {name: _paired(first, second, name, draws, seed) for name in shared}
    sides = {name: side for name, side in sides.items() if side.grid.items}
    if not sides:
        raise ConfigError(f"{first.name} and {second.name} have no question in common that both answered.")
    found = [_benchmark(name, side) for name, side in sides.items()]
    scores = [one.score for one in found]
    drawn = [side.drawn_of(one.metric) for side, one in zip(sides.values(), found, strict=True)]
    more = np.concatenate([side.more for side in sides.values()])
    single = all(side.single for side in sides.values())
    return PairDifference(
        first=first.name,
        second=second.name,
        benchmarks=tuple(found),
        average=_difference(
            float(np.mean([score.first for score in scores])),
            float(np.mean([score.second for score in scores])),
            np.asarray(np.mean(drawn, axis=0)),
        ),
        pooled=_pooled(list(sides.values())),
        mcnemar=mcnemar(int((more > 0).sum()), int((more < 0).sum())) if single else None,
        p=sign_flip(value for side in sides.values() for value in side.by_cluster()),
    )


def _pooled(sides: list[_Paired]) -> Difference:
    """All questions together: hits and counts added up over the benchmarks."""
    first, second, count = np.sum([side.summed(side.totals) for side in sides], axis=0)
    drawn_first, drawn_second, drawn_count = np.sum([side.summed(side.drawn) for side in sides], axis=0)
    return _difference(
        float(first / count), float(second / count), (drawn_second - drawn_first) / drawn_count
    )


def _benchmark(name: str, side: _Paired) -> BenchmarkDifference:
    items, formulas = side.grid.items, side.grid.formulas()
    gained = tuple(items[place].source_id for place in np.flatnonzero(side.more > 0))
    lost = tuple(items[place].source_id for place in np.flatnonzero(side.more < 0))
    shares = side.more / side.scale
    independent = len(items) / max(1.0, design_effect(shares, side.grid.cluster))
    p = sign_flip(side.by_cluster())
    return BenchmarkDifference(
        benchmark=name,
        items=len(items),
        clusters=side.grid.clusters,
        metric=paper_metric(name, formulas),
        metrics={metric: side.difference(formula) for metric, formula in formulas.items()},
        gained=gained,
        lost=lost,
        mcnemar=mcnemar(len(gained), len(lost)) if side.single else None,
        p=p,
        adjusted=p,
        detectable=minimum_detectable(independent, float((shares**2).mean())),
        left_out=tuple(item.source_id for item in side.left_out),
    )
