from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lpt_eval.compare import Comparison, compare
from lpt_eval.records import Item
from lpt_eval.rendering import Table, as_latex, as_markdown, as_text, escaped
from lpt_eval.tables import as_json, comparison_tables

MakeItem = Callable[..., Item]
MakeRun = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path, make_item: MakeItem, make_run: MakeRun) -> Comparison:
    kinds = ["direct_attributes"] * 115 + ["relative_position"] * 76
    vstar = [make_item(str(n), benchmark="vstar", category=kind) for n, kind in enumerate(kinds)]
    mmlu = [
        make_item(str(n), benchmark="mmlu_pro", category=("law", "math", "odd_one")[n % 3]) for n in range(9)
    ]
    mmvp = [make_item(str(n), benchmark="mmvp", cluster=f"pair {n // 2}") for n in range(8)]

    def run(name: str, first: int, second: int) -> Path:
        signs = ["+"] * first + ["-"] * (115 - first) + ["+"] * second + ["x"] * (76 - second)
        results = {
            "mmlu_pro": (mmlu, list("+++---tf ")),
            "mmvp": (mmvp, list("+" * (first - 40) + "-" * 20)[:8]),
            "vstar": (vstar, signs),
        }
        return make_run(tmp_path / name, results, model=name)

    return compare([run("base", 45, 44), run("ours_50%", 57, 54)], draws=500)


def test_the_scores_stand_beside_the_papers_in_its_layout(made: Comparison) -> None:
    scores = comparison_tables(made)[0]
    assert scores.header == ("per cent", "Avg", "V*", "MMVP")
    assert scores.rows[0][2].startswith("48.51 [")
    assert scores.rows[1][2].startswith("60.31 [")
    paper = {row[0]: row for row in scores.rows[2:]}
    assert paper["LPT SFT + DPO (paper, table 1)"][2:] == ("60.31", "75.00")
    assert scores.rules == (2,)
    assert "V*: macro" in scores.notes[0]


def test_the_papers_average_is_over_what_is_shown(made: Comparison) -> None:
    paper = comparison_tables(made)[0].rows[-1]
    assert paper[1] == f"{(46.54 + 66.33) / 2:.2f}"


def test_mmlu_pro_has_a_table_by_subject_with_subjects_of_ones_own(made: Comparison) -> None:
    mmlu = comparison_tables(made)[1]
    assert (mmlu.header[1], mmlu.header[10], mmlu.header[-1]) == ("Avg", "Law", "Odd_one")
    assert mmlu.rows[2][0] == "Qwen2.5-VL-7B-Instruct (paper, table 5)"
    assert mmlu.rows[2][10] == "24.89"
    assert mmlu.rows[0][2] == "–"  # no question in biology


def test_outcomes_are_all_there(made: Comparison) -> None:
    outcomes = comparison_tables(made)[2]
    rows = {row[0]: row[1:] for row in outcomes.rows}
    assert rows["base: MMLU-Pro"] == ("9", "3", "3", "0", "1", "1", "1", "33.33", "50.00")


def test_differences_come_with_interval_and_tests(made: Comparison) -> None:
    found = comparison_tables(made)[3]
    assert found.title == "ours_50% against base"
    rows = {row[0]: dict(zip(found.header[1:], row[1:], strict=True)) for row in found.rows}
    assert rows["V* (macro)"]["difference"] == "+11.8"
    assert rows["V* (macro)"]["gained"] == "22"
    assert rows["V* (macro)"]["p"] == "<0.0001"
    assert rows["V* (micro)"]["p"] == ""
    assert {"MMVP (micro)", "MMVP (pairs)", "average of benchmarks", "all questions"} <= set(rows)


@pytest.mark.parametrize("render", [as_text, as_markdown, as_latex])
def test_all_of_it_is_in_every_form(made: Comparison, render: Callable[..., str]) -> None:
    told = render(comparison_tables(made))
    for said in ("48.51", "60.31", "+11.8", "LPT SFT + DPO", "Virgo", "MMLU-Pro"):
        assert said in told


def test_latex_is_escaped_and_balanced(made: Comparison) -> None:
    told = as_latex(comparison_tables(made))
    assert r"ours\_50\%" in told
    assert told.count(r"\begin{") == told.count(r"\end{") == 2 * len(comparison_tables(made))
    for line in told.splitlines():
        if line.endswith(r"\\"):
            assert "_" not in line.replace(r"\_", "")
            assert "%" not in line.replace(r"\%", "")
    assert escaped("a_b{c}\\~^–") == (r"a\_b\{c\}\textbackslash{}\textasciitilde{}\textasciicircum{}--")


def test_markdown_keeps_what_would_be_markup() -> None:
    table = Table("t", ("", "V*"), (("a|b_c", "1"),))
    assert as_markdown([table]).splitlines()[2:] == [r"|  | V\* |", "|:--|--:|", r"| a\|b\_c | 1 |"]


def test_text_is_aligned() -> None:
    table = Table("t", ("", "n"), (("long name", "1"), ("x", "100")), notes=("note",), rules=(1,))
    assert as_text([table]).splitlines() == [
        "t",
        "             n",
        "--------------",
        "long name    1",
        "--------------",
        "x          100",
        "note",
    ]


def test_json_has_everything_and_no_nan(made: Comparison) -> None:
    data = json.loads(json.dumps(as_json(made), allow_nan=False))
    (pair,) = data["pairs"]
    vstar = {one["benchmark"]: one for one in pair["benchmarks"]}["vstar"]
    assert vstar["metrics"]["macro"]["difference"] == pytest.approx(0.118, abs=5e-4)
    assert len(vstar["gained"]) == 22
    assert data["runs"][0]["benchmarks"]["mmlu_pro"]["missing"] == 1
