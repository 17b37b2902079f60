from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass

import pytest

from lpt_synth.select.order import uniform_key, weighted_order


@dataclass(frozen=True)
class Item:
    id: str
    length: int


FOUR = [Item("a", 40), Item("b", 30), Item("c", 20), Item("d", 10)]


def _chi_square(counts: Counter[str], expected: dict[str, float], total: int) -> float:
    return sum((counts[key] - total * p) ** 2 / (total * p) for key, p in expected.items())


def test_first_draws_follow_base_to_the_rank() -> None:
    draws = 20_000
    counts = Counter(weighted_order(FOUR, 0.5, seed, "t")[0].id for seed in range(draws))
    expected = {"a": 8 / 15, "b": 4 / 15, "c": 2 / 15, "d": 1 / 15}
    # 99.99th percentile of chi-square with 3 degrees of freedom; the draws are fixed by their seeds.
    assert _chi_square(counts, expected, draws) < 21.1


def test_whole_orders_follow_weighted_sampling_without_replacement() -> None:
    weights = {"a": 4, "b": 2, "c": 1}
    expected: dict[str, float] = {}
    for first in weights:
        for second in weights:
            if first != second:
                rest = sum(weights.values()) - weights[first]
                third = next(key for key in weights if key not in (first, second))
                expected[first + second + third] = weights[first] / 7 * weights[second] / rest
    draws = 20_000
    counts = Counter(
        "".join(item.id for item in weighted_order(FOUR[:3], 0.5, seed, "t")) for seed in range(draws)
    )
    assert math.isclose(sum(expected.values()), 1)
    assert _chi_square(counts, expected, draws) < 25.8  # 5 degrees of freedom


def test_base_one_draws_uniformly() -> None:
    draws = 20_000
    counts = Counter(weighted_order(FOUR, 1, seed, "t")[0].id for seed in range(draws))
    assert _chi_square(counts, dict.fromkeys("abcd", 0.25), draws) < 21.1


def test_order_does_not_depend_on_the_order_of_rows() -> None:
    wanted = weighted_order(FOUR, 0.5, 3, "t")
    for seed in range(20):
        shuffled = random.Random(seed).sample(FOUR, k=4)
        assert weighted_order(shuffled, 0.5, 3, "t") == wanted


def test_equal_lengths_are_ranked_by_id() -> None:
    same = [Item(letter, 5) for letter in "dcba"]
    tiny = 1e-300
    assert [item.id for item in weighted_order(same, tiny, 1, "t")] == list("abcd")


def test_scopes_and_seeds_draw_independently() -> None:
    orders = {
        tuple(item.id for item in weighted_order(FOUR, 1, seed, scope))
        for seed in range(10)
        for scope in ("x", "y")
    }
    assert len(orders) > 8


@pytest.mark.parametrize("base", [0.5, 1e-300, 1.0])
def test_a_hundred_thousand_candidates_neither_underflow_nor_overflow(base: float) -> None:
    many = [Item(f"{index:06d}", index) for index in range(100_000)]
    order = weighted_order(many, base, 42, "t")
    assert len(set(order)) == len(many)
    if base < 1:
        # Far down the ranks, where base ** rank is 0 as a float, long ones still come first.
        middle = [item.length for item in order[50_000:50_200]]
        assert all(49_700 < length < 50_050 for length in middle)


def test_uniform_keys_differ_by_seed_scope_and_id() -> None:
    keys = {uniform_key(seed, scope, ident) for seed in (1, 2) for scope in "ab" for ident in "xy"}
    assert len(keys) == 8
