from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lpt_eval.metrics import PAPER_METRIC
from lpt_eval.paper import PaperRow, paper_numbers
from lpt_eval.records import Item
from lpt_eval.runs import load_run
from lpt_eval.summary import summarise

MakeItem = Callable[..., Item]
MakeRun = Callable[..., Path]

NUMBERS = paper_numbers()
SIZES = {"direct_attributes": 115, "relative_position": 76}


@pytest.mark.parametrize("row", NUMBERS.benchmarks, ids=lambda row: row.name)
def test_the_papers_average_is_the_mean_of_its_five_benchmarks(row: PaperRow) -> None:
    assert set(row.scores) == set(PAPER_METRIC) - {"mmlu_pro"}
    assert sum(row.scores.values()) / 5 == pytest.approx(row.average, abs=0.0101)


@pytest.mark.parametrize("row", NUMBERS.mmlu_pro, ids=lambda row: row.name)
def test_its_mmlu_pro_is_macro_over_fourteen_subjects(row: PaperRow) -> None:
    """To the second digit; micro over the 12,032 questions would be up to five points away."""
    assert len(row.scores) == 14
    assert round(sum(row.scores.values()) / 14, 2) == pytest.approx(row.average, abs=0.0051)


@pytest.mark.parametrize("name", sorted(NUMBERS.vstar_counts))
def test_its_v_star_is_macro_over_two_categories(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun, name: str
) -> None:
    counts = NUMBERS.vstar_counts[name]
    assert {category: of for category, (_, of) in counts.items()} == SIZES
    items, signs = [], []
    for category, (right, of) in counts.items():
        items += [make_item(f"{category} {n}", benchmark="vstar", category=category) for n in range(of)]
        signs += ["+"] * right + ["-"] * (of - right)
    found = summarise(load_run(make_run(tmp_path / "run", {"vstar": (items, signs)}))).benchmarks["vstar"]
    printed = {row.name: row.scores["vstar"] for row in NUMBERS.benchmarks}[name]
    assert found.metric == "macro"
    assert round(100 * found.score.value, 2) == printed
    assert round(100 * found.metrics["micro"].value, 2) != printed


@pytest.mark.parametrize("row", NUMBERS.benchmarks, ids=lambda row: row.name)
def test_no_printed_v_star_value_is_micro_and_each_fits_macro(row: PaperRow) -> None:
    printed = row.scores["vstar"]
    assert all(round(100 * right / 191, 2) != printed for right in range(192))
    assert any(round(50 * (a / 115 + b / 76), 2) == printed for a in range(116) for b in range(77))


def test_a_whole_run_gives_the_papers_mmlu_pro_average(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    """Subjects of unlike sizes, each with about the paper's accuracy: macro is the paper's, micro is not."""
    row = NUMBERS.mmlu_pro[0]
    items, signs = [], []
    for place, (subject, score) in enumerate(row.scores.items()):
        size = 100 + 20 * place
        right = round(score / 100 * size)
        items += [make_item(f"{subject} {n}", benchmark="mmlu_pro", category=subject) for n in range(size)]
        signs += ["+"] * right + ["-"] * (size - right)
    run = load_run(make_run(tmp_path / "run", {"mmlu_pro": (items, signs)}))
    found = summarise(run, draws=100).benchmarks["mmlu_pro"]
    assert found.metric == "macro"
    assert 100 * found.score.value == pytest.approx(row.average, abs=0.15)
    assert 100 * found.metrics["micro"].value != pytest.approx(row.average, abs=0.15)


def test_mmvp_and_mmstar_v_are_micro() -> None:
    """Seven of eight values are k/300, and seven of eight k/750; the CoT row and one other are averages."""
    for benchmark, size in (("mmvp", 300), ("mmstar_v", 750)):
        fitting = [
            row
            for row in NUMBERS.benchmarks
            if any(round(100 * right / size, 2) == row.scores[benchmark] for right in range(size + 1))
        ]
        assert len(fitting) >= 7


def test_most_of_its_cv_bench_values_are_not_micro() -> None:
    """Six of eight are no number of right answers out of 2,638: some average over parts is printed."""
    printed = [row.scores["cv_bench"] for row in NUMBERS.benchmarks]
    micro = {round(100 * right / 2638, 2) for right in range(2639)}
    assert len(printed) == 8
    assert sum(value not in micro for value in printed) == 6


def test_its_gain_on_v_star_is_twenty_two_questions() -> None:
    """From 48.51 to 60.31: +11.80 points of the macro average, 11.5 of the 191 questions."""
    rows = {row.name: row for row in NUMBERS.benchmarks}
    base, tuned = ("Qwen2.5-VL-7B-Instruct", "LPT SFT + DPO")
    gain = rows[tuned].scores["vstar"] - rows[base].scores["vstar"]
    before, after = (
        {key: right for key, (right, _) in NUMBERS.vstar_counts[name].items()} for name in (base, tuned)
    )
    assert gain == pytest.approx(11.80)
    assert sum(after.values()) - sum(before.values()) == 22
    macro = sum((after[category] - before[category]) / size for category, size in SIZES.items()) / 2
    assert round(100 * macro, 2) == round(gain, 2)
