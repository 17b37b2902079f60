"""The paper's six benchmarks, small and in their own schemas, through real lmms-eval with the lab student."""

from __future__ import annotations

import runpy
from collections import defaultdict
from pathlib import Path

import pytest

from lpt_eval.folder import RunFolder
from lpt_eval.runs import Run, load_run
from lpt_eval.summary import summarise
from lpt_synth.lab.student import shipped_student

pytestmark = pytest.mark.slow

ROWS: dict[str, int] = runpy.run_path(str(Path(__file__).with_name("small_benchmarks.py")))["ROWS"]


@pytest.fixture(scope="module")
def whole(lpt_eval, six_benchmarks) -> Run:
    """One run over all six."""
    root, tasks = six_benchmarks
    with shipped_student() as student, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LPT_EVAL_CACHE", str(root / "cache"))
        how = ["--protocol", "lpt", "--max-tokens", "70", "--device", "cpu", "--max-failures", "1"]
        ended = lpt_eval("run", student, *tasks, *how, "--out", root / "run")
    assert ended.status == 0, ended.err
    assert ended.err == ""
    assert all(f"{name}: " in ended.out for name in ROWS)
    return load_run(root / "run")


def test_every_row_of_every_benchmark_is_asked_and_read(whole) -> None:
    assert {name: len(answers.items) for name, answers in whole.answers.items()} == ROWS
    for name, answers in whole.answers.items():
        assert len(answers.rows) == ROWS[name] == whole.info.expected(name)
        for row in answers.rows.values():
            assert row.finish_reason in ("stop", "length")
            assert row.completion_tokens
            assert row.prompt_tokens
            assert row.image_size == (None if name == "mmlu_pro" else (84, 84))


def test_the_student_sees_the_pictures(whole) -> None:
    rows = [row for name, one in whole.answers.items() if name != "mmlu_pro" for row in one.rows.values()]
    # Of four options mostly, so that six of 20 would be chance.
    assert sum(row.outcome == "correct" for row in rows) >= 10


def test_the_summary_is_what_the_rows_say(whole) -> None:
    summary = summarise(whole, draws=100)
    assert set(summary.benchmarks) == set(ROWS)
    for name, one in summary.benchmarks.items():
        rows = list(whole.answers[name].rows.values())
        hits = [row.outcome == "correct" for row in rows]
        assert one.accuracy == sum(hits) / len(hits)
        by_category = defaultdict(list)
        for row, hit in zip(rows, hits, strict=True):
            by_category[row.category].append(hit)
        if name == "mmvp":
            continue
        shares = [sum(some) / len(some) for some in by_category.values()]
        assert one.metrics["macro"].value == pytest.approx(sum(shares) / len(shares))
        assert {category: score.value for category, score in one.categories.items()} == pytest.approx(
            {category: sum(some) / len(some) for category, some in by_category.items()}
        )
    assert set(summary.benchmarks["vstar"].categories) == {"direct_attributes", "relative_position"}
    assert "reasoning: autonomous driving" in summary.benchmarks["mme_realworld_v"].categories


def test_cv_bench_has_its_authors_average_and_mmvp_its_pairs(whole) -> None:
    summary = summarise(whole, draws=100)
    rows = list(whole.answers["cv_bench"].rows.values())
    ade, coco, omni = (
        [row.outcome == "correct" for row in rows if row.subcategory == source]
        for source in ("ADE20K", "COCO", "Omni3D")
    )
    half = (sum(ade) / len(ade) + sum(coco) / len(coco)) / 2
    official = summary.benchmarks["cv_bench"].metrics["official"].value
    assert official == pytest.approx((half + sum(omni) / len(omni)) / 2)
    pairs = defaultdict(list)
    for row in whole.answers["mmvp"].rows.values():
        pairs[row.cluster].append(row.outcome == "correct")
    assert len(pairs) == 2
    both = sum(map(all, pairs.values())) / len(pairs)
    assert summary.benchmarks["mmvp"].metrics["pairs"].value == both


def test_each_benchmark_is_asked_in_its_own_words_and_pixels(whole) -> None:
    asked = {name: one.protocol for name, one in whole.info.benchmarks.items()}
    assert asked["mmlu_pro"].pixels is None
    assert "{{ category }}" in asked["mmlu_pro"].system
    assert all(one.pixels is not None for name, one in asked.items() if name != "mmlu_pro")
    assert {one.data for one in whole.info.benchmarks.values()} == {
        str(whole.path.parent / name) for name in ROWS
    }


def test_the_folder_alone_tells_which_pictures_were_shown(whole) -> None:
    folder = RunFolder(whole.path)
    for name in ROWS:
        for item in folder.items(name):
            assert (item.image is None) == (name == "mmlu_pro")
            if item.image is not None:
                assert (item.image.width, item.image.height) == (84, 84)
