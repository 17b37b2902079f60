from __future__ import annotations

import random
from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from lpt_eval.statistics import (
    Bootstrap,
    design_effect,
    holm,
    mcnemar,
    minimum_detectable,
    resampled_totals,
    sign_flip,
    wilson,
)

COUNTS = st.integers(0, 300)


# ---- McNemar -----------------------------------------------------------------------------------------


def test_mcnemar_on_the_published_example_of_airway_hyper_responsiveness() -> None:
    """Bentur et al. 2009, worked in Fagerland, Lydersen and Laake, BMC Med Res Methodol 13:91 (2013)."""
    assert mcnemar(1, 7) == pytest.approx(0.0703, abs=5e-5)


def test_mcnemar_on_agrestis_approval_ratings() -> None:
    """Categorical Data Analysis, table 10.1: 150 and 86 changed their minds; p is far below 0.001."""
    assert mcnemar(150, 86) == pytest.approx(scipy.stats.binomtest(86, 236).pvalue, rel=1e-12)
    assert mcnemar(150, 86) < 1e-4


@given(COUNTS, COUNTS)
def test_mcnemar_is_that_of_scipy_and_statsmodels(gained: int, lost: int) -> None:
    table = [[5, gained], [lost, 5]]
    ours = mcnemar(gained, lost)
    assert ours == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue, rel=1e-9)
    if gained + lost:
        assert ours == pytest.approx(scipy.stats.binomtest(gained, gained + lost).pvalue, rel=1e-9)


@given(COUNTS, COUNTS)
def test_mcnemar_is_symmetrical_and_a_probability(gained: int, lost: int) -> None:
    assert mcnemar(gained, lost) == mcnemar(lost, gained)
    assert 0 < mcnemar(gained, lost) <= 1


@given(st.integers(0, 100), st.integers(1, 100))
def test_mcnemar_falls_as_the_two_sides_grow_apart(lost: int, more: int) -> None:
    assert mcnemar(lost + more, lost) <= mcnemar(lost + more - 1, lost)


def test_mcnemar_neither_rounds_to_nothing_nor_overflows() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 900) == 2.0**-899
    assert mcnemar(6000, 4000) < 1e-80


# ---- randomisation -----------------------------------------------------------------------------------

DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
"""Heights of cross-fertilised maize less those of self-fertilised, in eighths of an inch."""


def test_randomisation_on_fishers_example_of_darwins_maize() -> None:
    """The Design of Experiments (1935), section 21: 1,726 of the 32,768 arrangements, 5.267 per cent."""
    assert sign_flip(DARWIN) == pytest.approx(1726 / 32768, rel=1e-12)


@given(st.lists(st.integers(-1, 1), max_size=60))
def test_randomisation_of_single_questions_is_mcnemar(values: list[int]) -> None:
    assert sign_flip(values) == mcnemar(values.count(1), values.count(-1))


@given(st.lists(st.integers(-4, 4).filter(bool), min_size=2, max_size=9))
def test_randomisation_is_that_of_scipy(values: list[int]) -> None:
    theirs = scipy.stats.permutation_test(
        (np.array(values, dtype=float),), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip(values) == pytest.approx(theirs.pvalue, rel=1e-9)


@given(st.lists(st.integers(-5, 5), max_size=40), st.randoms())
def test_randomisation_knows_neither_sign_nor_order(values: list[int], mixer: random.Random) -> None:
    mixed = [-value for value in values]
    mixer.shuffle(mixed)
    assert sign_flip(mixed) == sign_flip(values)


def test_randomisation_of_thousands_of_clusters_is_quick_and_sound() -> None:
    values = [2] * 900 + [-2] * 800 + [1] * 3000 + [-1] * 2900 + [3] * 50 + [-3] * 60
    z = (abs(sum(values)) - 1) / sqrt(sum(value**2 for value in values))  # sums are two apart
    assert sign_flip(values) == pytest.approx(2 * scipy.stats.norm.sf(z), rel=0.01)


# ---- Holm --------------------------------------------------------------------------------------------

P_VALUES = st.lists(st.floats(0, 1), max_size=12)


def test_holm_on_a_worked_example() -> None:
    """The four values of the encyclopaedias: the smallest two are kept at 0.05, the others are not."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@settings(max_examples=15)  # statsmodels takes its time
@given(P_VALUES.filter(bool))
def test_holm_is_that_of_statsmodels(values: list[float]) -> None:
    assert holm(values) == pytest.approx(list(multipletests(values, method="holm")[1]))


@given(P_VALUES)
def test_holm_keeps_the_order_and_never_lowers(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(before <= after <= 1 for before, after in zip(values, adjusted, strict=True))
    ranked = [after for _, after in sorted(zip(values, adjusted, strict=True))]
    assert all(first <= second for first, second in pairwise(ranked))


# ---- proportions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_on_newcombes_examples(hits: int, count: int, low: float, high: float) -> None:
    """Statistics in Medicine 17:857 (1998), table I, method 3."""
    found = wilson(hits, count)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 3000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_wilson_is_that_of_statsmodels_and_holds_the_share(drawn: tuple[int, int]) -> None:
    hits, count = drawn
    found = wilson(hits, count)
    low, high = proportion_confint(hits, count, method="wilson")
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    assert 0 <= found.low <= hits / count <= found.high <= 1


def test_of_no_questions_nothing_is_known() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    assert minimum_detectable(0, 0.2) is None


def power_of_mcnemar(count: int, discordance: float, difference: float) -> float:
    """By enumeration, with the normal test that the formula is for."""
    total = 0.0
    for both in range(count + 1):
        chance = scipy.stats.binom.pmf(both, count, discordance)
        if chance < 1e-9 or both == 0:
            continue
        gained = np.arange(both + 1)
        rejected = np.abs(2 * gained - both) / sqrt(both) >= 1.959964
        share = (discordance + difference) / 2 / discordance
        total += chance * scipy.stats.binom.pmf(gained, both, share)[rejected].sum()
    return total


@pytest.mark.parametrize(("count", "discordance"), [(191, 0.2), (191, 0.35), (300, 0.15), (2638, 0.2)])
def test_the_minimum_detectable_difference_is_found_four_times_in_five(
    count: int, discordance: float
) -> None:
    difference = minimum_detectable(count, discordance)
    assert difference is not None
    assert power_of_mcnemar(count, discordance, difference) == pytest.approx(0.8, abs=0.03)


def test_what_v_star_can_show() -> None:
    """With a fifth of its 191 questions answered otherwise, nine points; with none, still two."""
    assert minimum_detectable(191, 0.2) == pytest.approx(0.089, abs=0.002)
    least = minimum_detectable(191, 0.0)
    assert least is not None
    assert sqrt(191 * least) == pytest.approx(1.959964 + 0.841621 * sqrt(1 - least), rel=1e-5)


@given(st.integers(20, 5000), st.floats(0, 0.5))
def test_more_questions_show_smaller_differences(count: int, discordance: float) -> None:
    few, many = minimum_detectable(count, discordance), minimum_detectable(4 * count, discordance)
    assert few is not None
    assert many is not None
    assert 0 < many <= few <= 1


def test_the_design_effect_is_that_of_a_cluster_robust_variance() -> None:
    generator = np.random.default_rng(3)
    clusters = np.repeat(np.arange(150), 2)
    values = generator.integers(-1, 2, 150)[clusters] * generator.integers(0, 2, 300).astype(float)
    fit = OLS(values, np.ones(300)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    naive = OLS(values, np.ones(300)).fit(cov_type="HC0")
    expected = float((fit.bse[0] / naive.bse[0]) ** 2)
    assert design_effect(values, clusters) == pytest.approx(expected, rel=1e-9)


def test_the_design_effect_is_one_where_questions_stand_alone_or_nothing_differs() -> None:
    alone = np.arange(4)
    assert design_effect(np.array([1.0, 0, -1, 1]), alone) == pytest.approx(1)
    assert design_effect(np.zeros(4), np.zeros(4, dtype=np.int64)) == 1


# ---- bootstrap ---------------------------------------------------------------------------------------


def mean_difference(pairs: np.ndarray, *, draws: int, seed: int) -> Bootstrap:
    columns = np.column_stack([pairs[:, 1] - pairs[:, 0], np.ones(len(pairs))])
    totals = resampled_totals(columns, draws=draws, seed=seed)
    return Bootstrap(float(np.mean(columns[:, 0])), totals[:, 0] / totals[:, 1])


def example(count: int = 191) -> np.ndarray:
    generator = np.random.default_rng(7)
    first = generator.random(count) < 0.47
    second = np.where(generator.random(count) < 0.25, ~first, first)
    return np.column_stack([first, second]).astype(float)


def test_the_bootstrap_is_that_of_scipy() -> None:
    pairs = example()
    ours = mean_difference(pairs, draws=40_000, seed=1)
    for method, found in (("percentile", ours.percentile()), ("basic", ours.basic())):
        theirs = scipy.stats.bootstrap(
            (pairs[:, 1] - pairs[:, 0],), np.mean, n_resamples=40_000, method=method, rng=2
        )
        assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.006)
        assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.006)
        assert ours.error == pytest.approx(theirs.standard_error, rel=0.02)


def test_the_error_of_clusters_is_that_of_a_cluster_robust_regression() -> None:
    generator = np.random.default_rng(11)
    sizes = generator.integers(1, 5, 400)
    groups = np.repeat(np.arange(400), sizes)
    values = generator.integers(-1, 2, 400)[groups].astype(float)
    sums = np.bincount(groups, weights=values)
    totals = resampled_totals(np.column_stack([sums, sizes]), draws=40_000, seed=5)
    ours = Bootstrap(float(values.mean()), totals[:, 0] / totals[:, 1])
    fit = OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    assert ours.error == pytest.approx(float(fit.bse[0]), rel=0.02)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=80), st.randoms())
def test_the_bootstrap_knows_its_seed_and_no_order(
    pairs: list[tuple[int, int]], mixer: random.Random
) -> None:
    mixed = list(pairs)
    mixer.shuffle(mixed)
    first, again = (mean_difference(np.array(rows, float), draws=200, seed=3) for rows in (pairs, mixed))
    assert np.array_equal(first.draws, again.draws)
    if len(set(pairs)) > 1 and first.error > 0:
        other = mean_difference(np.array(pairs, float), draws=200, seed=4)
        assert not np.array_equal(first.draws, other.draws)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=5, max_size=80))
def test_the_intervals_hold_the_estimate(pairs: list[tuple[int, int]]) -> None:
    found = mean_difference(np.array(pairs, float), draws=2_000, seed=3)
    for interval in (found.percentile(), found.basic()):
        assert interval.low <= found.estimate + 1e-12
        assert interval.high >= found.estimate - 1e-12


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Of 400 experiments of 191 questions with a true difference of 6 points, about 95 in 100."""
    generator = np.random.default_rng(2)
    covered = 0
    for seed in range(400):
        values = generator.choice([1.0, -1.0, 0.0], size=191, p=[0.15, 0.09, 0.76])
        found = mean_difference(np.column_stack([np.zeros(191), values]), draws=600, seed=seed).percentile()
        covered += found.low <= 0.06 <= found.high
    assert covered / 400 == pytest.approx(0.95, abs=0.03)


def test_drawing_in_pieces_adds_up() -> None:
    clusters = np.column_stack([np.arange(5000.0), np.ones(5000)])  # all of them distinct: many pieces
    totals = resampled_totals(clusters, draws=2000, seed=1)
    assert totals.shape == (2000, 2)
    assert set(totals[:, 1]) == {5000.0}
    assert totals[:, 0].mean() / 5000 == pytest.approx(2499.5, rel=0.002)


def test_of_less_than_two_clusters_no_interval_is_made() -> None:
    found = Bootstrap(float("nan"), np.full(3, np.nan))
    assert np.isnan(found.percentile().low)
    assert np.isnan(found.error)
    for clusters in (0, 1):
        assert np.isnan(resampled_totals(np.ones((clusters, 2)), draws=3, seed=0)).all()
