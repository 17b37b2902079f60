"""Tests and intervals for paired results of two models on the same questions.

Everything is deterministic: the tests are exact, and the bootstrap draws from a generator of its own that
is seeded by its caller. Nothing depends on the order of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import exp, isfinite, lgamma, log, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LEVEL = 0.95
"""Of confidence, wherever an interval is given."""

_CHUNK = 4_000_000
"""Numbers held at once while drawing."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The ends of an interval of confidence."""

    low: float
    high: float


# ---- exact tests -------------------------------------------------------------------------------------


def mcnemar(gained: int, lost: int) -> float:
    """The exact two-sided p-value of McNemar's test (the conditional, binomial one).

    Args:
        gained: Questions that only the second model answers right.
        lost: Questions that only the first one does.
    """
    both = gained + lost
    term = tail = 1
    for k in range(min(gained, lost)):
        term = term * (both - k) // (k + 1)  # the next binomial coefficient
        tail += term
    return min(1.0, 2 * tail / 2**both)  # whole numbers to the end: no rounding, no underflow of terms


def sign_flip(differences: Iterable[int]) -> float:
    """The exact two-sided p-value of Fisher's paired randomisation test.

    If the two models were the same, each difference could as well have had the other sign. Where all
    differences are -1, 0 or 1, this is McNemar's test; where they are sums over clusters of questions, it
    stays valid though questions of a cluster go together.

    Args:
        differences: What the second model has more than the first, by question or by cluster.
    """
    values = list(differences)
    sizes = Counter(abs(value) for value in values if value)
    if set(sizes) <= {1}:
        return mcnemar(values.count(1), values.count(-1))
    # The sum over all flips is 2 * (sum of those that stay positive) - total.
    total = sum(size * count for size, count in sizes.items())
    least = (total - abs(sum(values))) // 2
    chances = reduce(np.convolve, (_coins(count, size) for size, count in sorted(sizes.items())))
    return min(1.0, 2 * float(chances[: least + 1].sum()))


def _coins(count: int, size: int) -> Array:
    """The distribution of ``size`` times the heads among ``count`` fair coins."""
    chances = np.zeros(count * size + 1)
    logs = (lgamma(count + 1) - lgamma(k + 1) - lgamma(count - k + 1) for k in range(count + 1))
    chances[::size] = [exp(value - count * log(2)) for value in logs]
    return chances


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number (Holm 1979), in the order given.

    Together they hold the chance of any false finding, whatever their dependence.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, worst = [0.0] * len(order), 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = worst
    return adjusted


# ---- proportions -------------------------------------------------------------------------------------


def wilson(hits: float, count: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a proportion; never outside of [0, 1], sound at both ends.

    Args:
        hits: How many; a mean over samples makes it a fraction.
        count: Of how many independent questions; of none, nothing is known.
        level: Of confidence.
    """
    if count == 0:
        return Interval(0.0, 1.0)
    z = _z(0.5 + level / 2)
    share, scale = hits / count, 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / scale
    # Rounding must not shut the share itself out.
    return Interval(max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def minimum_detectable(
    count: float, discordance: float, *, power: float = 0.8, level: float = LEVEL
) -> float | None:
    """The smallest difference in accuracy that McNemar's test would find with a certain power.

    Solves Connor's formula (Biometrics 43, 1987) for the difference. Where that is more than the discordance,
    there would have to be more of it, and it is taken to be all of the discordance.

    Args:
        count: Independent questions; with clusters, divided by the design effect.
        discordance: Share of the questions that exactly one of the two models answers right.
        power: The chance of finding it.
        level: One less the level of significance.

    Returns:
        A share of 1; None where so few questions show no difference at all.
    """
    if count <= 0:
        return None
    a, b = _z(0.5 + level / 2), _z(power)
    root = a * a * count * discordance - (count + b * b) * (a * a - b * b) * discordance
    if root >= 0:
        found = (a * sqrt(count * discordance) + sqrt(root)) / (count + b * b)
        if 0 < found <= discordance:
            return found
    low, high = 0.0, 1.0
    if sqrt(count) < a:
        return None
    for _ in range(60):  # sqrt(count * d) = a + b * sqrt(1 - d), the left growing, the right shrinking
        middle = (low + high) / 2
        if sqrt(count * middle) < a + b * sqrt(1 - middle):
            low = middle
        else:
            high = middle
    return high


def design_effect(differences: Array, clusters: npt.NDArray[np.int64]) -> float:
    """By how much clusters of questions widen the variance of a mean difference.

    Args:
        differences: A number for each question.
        clusters: Number of each question's cluster, from 0.

    Returns:
        1 where nothing differs, and where each question stands alone.
    """
    apart = differences - differences.mean()
    alone = float((apart**2).sum())
    sums = np.bincount(clusters, weights=apart)
    return float((sums**2).sum()) / alone if alone > 0 else 1.0


def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)


# ---- bootstrap ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A statistic and what it was in resamples.

    Attributes:
        estimate: On the questions as they are.
        draws: On each resample; NaN where one left nothing to compute it from.
    """

    estimate: float
    draws: Array

    @property
    def error(self) -> float:
        """The standard error."""
        return float(np.nanstd(self.draws)) if self._usable else float("nan")

    def percentile(self, level: float = LEVEL) -> Interval:
        """The interval between quantiles of the resamples (Efron)."""
        if not self._usable:
            return Interval(float("nan"), float("nan"))
        low, high = np.nanquantile(self.draws, [(1 - level) / 2, (1 + level) / 2])
        return Interval(float(low), float(high))

    def basic(self, level: float = LEVEL) -> Interval:
        """The percentile interval turned about the estimate (Davison and Hinkley 1997, section 5.2)."""
        turned = self.percentile(level)
        return Interval(2 * self.estimate - turned.high, 2 * self.estimate - turned.low)

    @property
    def _usable(self) -> bool:
        return isfinite(self.estimate) and bool(np.isfinite(self.draws).any())


def resampled_totals(clusters: Array, *, draws: int, seed: int) -> Array:
    """Sums of every column over clusters that are drawn with replacement.

    Clusters that are alike are drawn together, by a multinomial over the distinct ones: the same distribution
    as drawing singly, and as cheap for ten thousand questions as for ten. What is paired has to stand in the
    same row.

    Args:
        clusters: A row for each cluster, a column for each thing to be summed.
        draws: How many resamples.
        seed: Of the draws.

    Returns:
        A row for each resample; NaN where there are not two clusters, as one tells nothing of how they vary.
    """
    if len(clusters) < 2:
        return np.full((draws, clusters.shape[1]), np.nan)
    kinds, counts = np.unique(clusters, axis=0, return_counts=True)
    generator = np.random.Generator(np.random.PCG64(seed))
    step = max(1, _CHUNK // len(kinds))
    totals = np.zeros((draws, clusters.shape[1]))
    for begin in range(0, draws, step):
        size = min(step, draws - begin)
        drawn = generator.multinomial(len(clusters), counts / len(clusters), size=size)
        totals[begin : begin + size] = drawn @ kinds
    return totals
