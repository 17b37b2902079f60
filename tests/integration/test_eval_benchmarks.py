"""The paper's six benchmarks, small and in their own schemas, through real lmms-eval with the lab student."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lpt_core import MCQ
from lpt_eval.folder import RunFolder
from lpt_eval.runs import Run, load_run
from lpt_eval.summary import summarise
from lpt_synth.lab.student import shipped_student
from lpt_synth.lab.world import World, held_out

pytestmark = pytest.mark.slow

ROWS = {"cv_bench": 6, "vstar": 4, "mmvp": 4, "mmstar_v": 3, "mme_realworld_v": 3, "mmlu_pro": 3}
LETTERS = "ABCDEFGHIJ"


def lab() -> Iterator[tuple[MCQ, bytes]]:
    """Questions of the lab with their pictures."""
    for _, mcqs, picture in held_out(World(split="test", level="easy"), 40, per_scene=1):
        yield mcqs[0], picture


def parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_cv_bench(to: Path, questions: Iterator[tuple[MCQ, bytes]]) -> None:
    """As ``save_to_disk`` writes a dataset of the hub, its images decoded by ``datasets``."""
    from datasets import Dataset, DatasetDict, Features, List, Value
    from datasets import Image as ImageColumn

    places = [
        ("2D", "Count", "ADE20K"),
        ("2D", "Relation", "COCO"),
        ("3D", "Depth", "Omni3D"),
    ]
    rows = []
    for number in range(ROWS["cv_bench"]):
        mcq, picture = next(questions)
        kind, task, source = places[number % 3]
        rows.append(
            {
                "idx": number,
                "type": kind,
                "task": task,
                "image": {"bytes": picture, "path": None},
                "question": mcq.question,
                "choices": list(mcq.options),
                "answer": f"({LETTERS[mcq.gold]})",
                "prompt": "",
                "source": source,
            }
        )
    features = Features(
        {
            "idx": Value("int32"),
            "image": ImageColumn(),
            "choices": List(Value("string")),
            **{name: Value("string") for name in ("type", "task", "question", "answer", "prompt", "source")},
        }
    )
    DatasetDict({"test": Dataset.from_list(rows, features=features)}).save_to_disk(str(to))


def write_vstar(to: Path, questions: Iterator[tuple[MCQ, bytes]]) -> None:
    rows = []
    for number in range(ROWS["vstar"]):
        mcq, picture = next(questions)
        menu = "\n".join(f"({letter}) {text}" for letter, text in zip(LETTERS, mcq.options, strict=False))
        hint = "Answer with the option's letter from the given choices directly."
        rows.append(
            {
                "image": {"bytes": picture, "path": f"{number}.png"},
                "text": f"{mcq.question}\n{menu}\n{hint}",
                "category": "relative_position" if number == 0 else "direct_attributes",
                "question_id": number,
                "label": LETTERS[mcq.gold],
            }
        )
    parquet(to / "data" / "test-00000-of-00001.parquet", rows)


def write_mmvp(to: Path, questions: Iterator[tuple[MCQ, bytes]]) -> None:
    """As its authors have it: a table, and images beside it."""
    (to / "MMVP Images").mkdir(parents=True)
    with (to / "Questions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Index", "Question", "Options", "Correct Answer"])
        for number in range(1, ROWS["mmvp"] + 1):
            mcq, picture = next(questions)
            other = mcq.options[(mcq.gold + 1) % len(mcq.options)]
            first, second = (mcq.gold_text, other) if number % 2 else (other, mcq.gold_text)
            gold = "(a)" if number % 2 else "(b)"
            table.writerow([number, mcq.question, f"(a) {first} (b) {second}", gold])
            with Image.open(io.BytesIO(picture)) as image:
                image.save(to / "MMVP Images" / f"{number}.jpg", quality=95)


def write_mmstar_v(to: Path, questions: Iterator[tuple[MCQ, bytes]]) -> None:
    categories = ("coarse perception", "fine-grained perception", "instance reasoning", "math")
    rows = []
    for number, category in enumerate(categories):
        mcq, picture = next(questions)
        menu = ", ".join(f"{letter}: {text}" for letter, text in zip(LETTERS, mcq.options, strict=False))
        rows.append(
            {
                "index": number,
                "question": f"{mcq.question}\nOptions: {menu}",
                "image": {"bytes": picture, "path": None},
                "answer": LETTERS[mcq.gold],
                "category": category,
                "l2_category": "lab",
            }
        )
    parquet(to / "mmstar-val.parquet", rows)


def write_mme_realworld_v(to: Path, questions: Iterator[tuple[MCQ, bytes]]) -> None:
    """As lmms-lab's table: images in base64."""
    categories = (
        "Perception/Monitoring",
        "Reasoning/Autonomous_Driving",
        "Perception/OCR with Complex Context",
        "Perception/Remote Sensing",
    )
    rows = []
    for number, category in enumerate(categories):
        mcq, picture = next(questions)
        options = (*mcq.options, "The image does not feature it.")
        rows.append(
            {
                "index": f"lab/{number}",
                "bytes": base64.b64encode(picture).decode(),
                "question": mcq.question,
                "multi-choice options": [f"({LETTERS[at]}) {text}" for at, text in enumerate(options)],
                "answer": LETTERS[mcq.gold],
                "category": category,
                "l2-category": "lab",
            }
        )
    parquet(to / "train-00000-of-00001.parquet", rows)


def write_mmlu_pro(to: Path, questions: Iterator[tuple[MCQ, bytes]]) -> None:
    to.mkdir(parents=True)
    with (to / "test.jsonl").open("w") as file:
        for number, category in enumerate(("law", "law", "physics")):
            mcq, _ = next(questions)
            row = {
                "question_id": number,
                "question": mcq.question,
                "options": [*mcq.options, "N/A"],
                "answer": LETTERS[mcq.gold],
                "answer_index": mcq.gold,
                "category": category,
            }
            file.write(json.dumps(row) + "\n")


@pytest.fixture(scope="module")
def whole(lpt_eval, tmp_path_factory) -> Run:
    """One run over all six."""
    root, tasks = tmp_path_factory.mktemp("benchmarks"), list[str]()
    questions = lab()
    for name in ROWS:
        globals()[f"write_{name}"](root / name, questions)
        tasks += ["--task", f"{name}={root / name}"]
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
