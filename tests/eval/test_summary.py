from __future__ import annotations

from collections.abc import Callable
from math import isnan
from pathlib import Path

import pytest

from lpt_core import DataError
from lpt_eval.folder import RunFolder
from lpt_eval.records import Item
from lpt_eval.runs import load_run
from lpt_eval.statistics import wilson
from lpt_eval.summary import BenchmarkSummary, summarise

MakeItem = Callable[..., Item]
MakeRun = Callable[..., Path]


@pytest.fixture
def counted(tmp_path: Path, make_item: MakeItem, make_run: MakeRun) -> Callable[..., BenchmarkSummary]:
    """The summary of a benchmark that was answered so."""

    def count(signs: list[str], **changes: object) -> BenchmarkSummary:
        items = [make_item(str(place), **changes) for place in range(len(signs))]
        run = load_run(make_run(tmp_path / "run", {"toy": (items, signs)}))
        return summarise(run, draws=500).benchmarks["toy"]

    return count


def test_outcomes_are_told_apart_and_accuracy_has_its_bounds(
    counted: Callable[..., BenchmarkSummary],
) -> None:
    found = counted(["+", "+", "+", "-", "x", "t", "f", " "])
    assert found.outcomes == {"correct": 3, "wrong": 1, "unextractable": 1, "truncated": 1, "failed": 1}
    assert (found.missing, found.expected) == (1, 8)
    assert found.accuracy == pytest.approx(3 / 8)
    assert found.answered == pytest.approx(3 / 4)
    assert found.failure_share == pytest.approx(4 / 8)
    assert found.score.value == found.accuracy


@pytest.mark.parametrize("signs", [["+"] * 5, ["-"] * 5, ["x"] * 5, ["f", "t", "x", "+", "-"], [" ", "+"]])
def test_the_bounds_are_in_order_and_hold_the_score(
    counted: Callable[..., BenchmarkSummary], signs: list[str]
) -> None:
    found = counted(signs)
    upper = 1.0 if found.answered is None else found.answered
    assert 0 <= found.accuracy <= upper <= 1
    assert found.score.interval.low <= found.score.value <= found.score.interval.high
    assert (found.answered is None) == (found.outcomes["correct"] + found.outcomes["wrong"] == 0)


def test_the_paper_would_have_seen_why_a_model_scores_half_a_per_cent(
    counted: Callable[..., BenchmarkSummary],
) -> None:
    """A model that answers well in another format: 4 of 750 (paper, table 1, VLAA-Thinking on MMStar-V)."""
    found = counted(["+"] * 4 + ["-"] * 2 + ["x"] * 744)
    assert round(100 * found.accuracy, 2) == 0.53
    assert found.answered == pytest.approx(4 / 6)
    assert found.failure_share > 0.99


def test_single_questions_have_wilsons_interval(counted: Callable[..., BenchmarkSummary]) -> None:
    found = counted(["+"] * 15 + ["-"] * 133)
    assert found.score.interval == wilson(15, 148)


def test_clusters_have_a_wider_one_by_resampling(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    """Forty questions that go together in tens are four observations, not forty."""
    items = [make_item(str(place), cluster=f"image {place // 10}") for place in range(40)]
    run = load_run(make_run(tmp_path / "run", {"toy": (items, ["+"] * 20 + ["-"] * 20)}))
    together = summarise(run).benchmarks["toy"].score.interval
    apart = wilson(20, 40)
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_one_cluster_has_no_interval(counted: Callable[..., BenchmarkSummary]) -> None:
    found = counted(["+", "-"], cluster="one image")
    assert found.score.value == 0.5
    assert isnan(found.score.interval.low)


def test_the_average_is_that_of_the_papers_numbers(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    toy = [make_item(str(place)) for place in range(4)]
    vstar = [make_item(str(place), benchmark="vstar", category="aaab"[place]) for place in range(4)]
    run = make_run(
        tmp_path / "run", {"toy": (toy, ["+", "-", "-", "-"]), "vstar": (vstar, ["+"] * 3 + ["-"])}
    )
    found = summarise(load_run(run), draws=50)
    assert found.benchmarks["vstar"].metric == "macro"
    assert found.average == pytest.approx((0.25 + 0.5) / 2)


def test_samples_are_averaged(counted: Callable[..., BenchmarkSummary]) -> None:
    found = counted(["++", "+-", "--", "-x"])
    assert found.accuracy == pytest.approx(3 / 8)
    assert found.score.value == pytest.approx(3 / 8)


def test_an_empty_benchmark_is_no_number_and_no_error(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    found = summarise(load_run(make_run(tmp_path / "run", {"toy": ([], [])})), draws=10)
    assert isnan(found.average)
    assert found.benchmarks["toy"].failure_share == 0


# ---- files that contradict each other ----------------------------------------------------------------


def test_rows_under_another_protocol_are_refused(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    items = [make_item("1")]
    run = make_run(tmp_path / "run", {"toy": (items, ["+"])})
    other = make_run(tmp_path / "other", {"toy": (items, ["+"])}, system="Answer at once.")
    RunFolder(run).write_info(RunFolder(other).info())
    with pytest.raises(DataError, match="made under another protocol"):
        load_run(run)


def test_rows_of_another_reader_are_refused(tmp_path: Path, make_item: MakeItem, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", {"toy": ([make_item("1")], ["+"])}, reader=0)
    with pytest.raises(DataError, match="another version of the reader"):
        load_run(run)


def test_a_row_twice_and_a_row_without_an_item_are_refused(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    run = make_run(tmp_path / "run", {"toy": ([make_item("1"), make_item("2")], ["+", "+"])})
    folder = RunFolder(run)
    rows = folder.rows("toy")
    folder.write_rows("toy", [*rows, rows[0]])
    with pytest.raises(DataError, match="has two rows"):
        load_run(run)
    folder.write_rows("toy", rows)
    folder.write_items("toy", [make_item("1")])
    with pytest.raises(DataError, match="belongs to no item"):
        load_run(run)
    folder.write_items("toy", [make_item("1"), make_item("1")])
    with pytest.raises(DataError, match="have the id of another item"):
        load_run(run)
