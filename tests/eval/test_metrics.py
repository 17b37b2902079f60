from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from lpt_eval.metrics import Grid, paper_metric
from lpt_eval.records import Item

MakeItem = Callable[..., Item]


def values(grid: Grid, right: Sequence[Sequence[int]]) -> dict[str, float]:
    hits = grid.columns(np.array(right, dtype=float)).sum(0)
    samples = len(right[0])
    return {
        name: float(formula.of(hits / samples, grid.counts().sum(0)))
        for name, formula in grid.formulas().items()
    }


def test_macro_weighs_categories_and_micro_questions(make_item: MakeItem) -> None:
    items = tuple(make_item(str(place), category="many" if place < 3 else "few") for place in range(4))
    assert values(Grid.of(items), [[1], [1], [1], [0]]) == {"micro": 0.75, "macro": 0.5}


def test_without_categories_there_is_no_macro(make_item: MakeItem) -> None:
    items = tuple(make_item(str(place)) for place in range(2))
    assert values(Grid.of(items), [[1], [0]]) == {"micro": 0.5}


@pytest.mark.parametrize("by_source", ["category", "subcategory"])
def test_the_official_number_of_cv_bench_is_its_formula(make_item: MakeItem, by_source: str) -> None:
    """Half of it the mean of ADE20K and COCO, half Omni3D, whichever division holds the source."""
    sources = ["ADE20K"] * 2 + ["COCO"] * 4 + ["Omni3D"] * 5
    items = tuple(
        make_item(str(place), benchmark="cv_bench", **{by_source: source})
        for place, source in enumerate(sources)
    )
    right = [[1], [0], *([[1]] * 3), [0], [1], *([[0]] * 4)]
    found = values(Grid.of(items), right)
    assert found["official"] == pytest.approx(0.5 * ((0.5 + 0.75) / 2 + 0.2))
    assert found["micro"] == pytest.approx(5 / 11)


def test_a_part_of_cv_bench_has_no_official_number(make_item: MakeItem) -> None:
    items = tuple(make_item(str(place), benchmark="cv_bench", category="ADE20K") for place in range(2))
    assert "official" not in Grid.of(items).formulas()


def test_a_pair_of_mmvp_is_right_where_both_are(make_item: MakeItem) -> None:
    items = tuple(make_item(str(place), benchmark="mmvp", cluster=f"pair {place // 2}") for place in range(6))
    found = values(Grid.of(items), [[1], [1], [1], [0], [0], [0]])
    assert found == {"micro": 0.5, "pairs": pytest.approx(1 / 3)}


def test_with_several_samples_pairs_are_counted_within_each(make_item: MakeItem) -> None:
    items = tuple(make_item(str(place), benchmark="mmvp", cluster="pair") for place in range(2))
    assert values(Grid.of(items), [[1, 0], [0, 1]]) == {"micro": 0.5, "pairs": 0.0}
    assert values(Grid.of(items), [[1, 0], [1, 0]]) == {"micro": 0.5, "pairs": 0.5}


def test_a_category_that_a_resample_left_empty_is_left_out(make_item: MakeItem) -> None:
    items = tuple(make_item(str(place), category="ab"[place]) for place in range(2))
    macro = Grid.of(items).formulas()["macro"]
    assert macro.of(np.array([1.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0])) == 1.0
    assert np.isnan(macro.of(np.zeros(3), np.zeros(3)))


def test_the_number_that_stands_for_a_benchmark_is_the_papers_where_it_can_be_had(
    make_item: MakeItem,
) -> None:
    two = tuple(make_item(str(place), benchmark="vstar", category="ab"[place]) for place in range(2))
    assert paper_metric("vstar", Grid.of(two).formulas()) == "macro"
    assert paper_metric("vstar", Grid.of(two[:1]).formulas()) == "micro"
    assert paper_metric("our_own", Grid.of(two).formulas()) == "micro"
