from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from lpt_core import ConfigError, DataError
from lpt_eval.benchmarks import KINDS, load
from lpt_eval.metrics import PAPER_METRIC


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LPT_EVAL_CACHE", str(tmp_path / "cache"))


CV_BENCH = {
    "idx": 7,
    "type": "2D",
    "task": "Count",
    "image": {"bytes": picture(1), "path": None},
    "question": "How many organs are in the image?",
    "choices": ["3", "2", "1", "0"],
    "answer": "(C)",
    "prompt": "",
    "source": "ADE20K",
}
VSTAR = {
    "image": {"bytes": picture(2), "path": "a.jpg"},
    "text": "What is the colour of the (lit) glove?\n(A) rubber (B-grade)\n(B) cotton\n"
    "(C) kevlar\n(D) leather\n"
    "Answer with the option's letter from the given choices directly.",
    "category": "direct_attributes",
    "question_id": 0,
    "label": "A",
}
MMSTAR = {
    "index": 3,
    "question": "Which one?\nOptions: A: a cat, B: grade C: good, C: nan, D: a dog",
    "image": {"bytes": picture(3), "path": None},
    "answer": "D",
    "category": "coarse perception",
    "l2_category": "image emotion",
}
MME = {
    "index": "perception/monitoring/1",
    "bytes": base64.b64encode(picture(4)).decode(),
    "question": "Where is the car?",
    "multi-choice options": ["(A) left", "(B) right", "(C) ahead", "(D) behind", "(E) Not in the image"],
    "answer": "E",
    "category": "Perception/Monitoring",
    "l2-category": "vehicle/location",
}
MMLU = {
    "question_id": 70,
    "question": "What is due?",
    "options": ["N/A", "Nothing", "All", "Half"],
    "answer": "C",
    "answer_index": 2,
    "category": "law",
}


def parquet(folder: Path, rows: list[dict], name: str = "test-00000.parquet") -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / name)
    return folder


def only(name: str, folder: Path):
    benchmark = load(f"{name}={folder}")
    (item,) = benchmark.items
    if item.image is not None:
        path = benchmark.image(item)
        assert path is not None
        assert path.is_file()
        assert (item.image.width, item.image.height) == (40, 30)
    return item


def test_cv_bench(tmp_path) -> None:
    item = only("cv_bench", parquet(tmp_path / "d", [CV_BENCH]))
    assert item.mcq.gold_text == "1"
    assert (item.category, item.subcategory, item.source_id) == ("Count", "ADE20K", "7")


def test_vstar_keeps_brackets_in_options_and_drops_the_hint(tmp_path) -> None:
    item = only("vstar", parquet(tmp_path / "d", [VSTAR]))
    assert item.mcq.question == "What is the colour of the (lit) glove?"
    assert item.mcq.options == ("rubber (B-grade)", "cotton", "kevlar", "leather")
    assert item.mcq.gold == 0


def test_mmvp_as_its_authors_have_it_pairs_questions(tmp_path) -> None:
    (tmp_path / "MMVP Images").mkdir()
    with (tmp_path / "Questions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Index", "Question", "Options", "Correct Answer"])
        for index, gold in ((1, "(a)"), (2, "(b)"), (3, "(a)"), (4, "(b)")):
            table.writerow([index, "Is the door open?", "(a) Open (b) Closed", gold])
            (tmp_path / "MMVP Images" / f"{index}.jpg").write_bytes(picture(index))
    benchmark = load(f"mmvp={tmp_path}")
    assert [item.cluster for item in benchmark.items] == ["pair-1", "pair-1", "pair-2", "pair-2"]
    assert [item.mcq.gold_text for item in benchmark.items] == ["Open", "Closed", "Open", "Closed"]


@pytest.mark.parametrize(("gold", "labels"), [("(a)", "original"), ("(b)", "corrected")])
def test_mmvp_says_which_labels_it_has(tmp_path, gold: str, labels: str) -> None:
    row = {
        "Index": 99,
        "Question": "?",
        "Options": "(a) Long (b) Short",
        "Correct Answer": gold,
        "image": {"bytes": picture(1), "path": None},
    }
    assert load(f"mmvp={parquet(tmp_path / 'd', [row])}").label_set == labels


def test_mmstar_v_is_three_categories_and_has_no_empty_options(tmp_path) -> None:
    rows = [MMSTAR, {**MMSTAR, "category": "math"}]
    item = only("mmstar_v", parquet(tmp_path / "d", rows))
    assert item.mcq.options == ("a cat", "grade C: good", "a dog")
    assert item.mcq.gold_text == "a dog"


def test_mmstar_options_without_commas(tmp_path) -> None:
    row = {**MMSTAR, "question": "Which?\nOptions: A: a B: b C: c D: d", "answer": "B"}
    assert only("mmstar_v", parquet(tmp_path / "d", [row])).mcq.options == ("a", "b", "c", "d")


def test_mme_realworld_v_in_both_forms_is_the_same_question(tmp_path) -> None:
    table = only("mme_realworld_v", parquet(tmp_path / "a", [MME, {**MME, "category": "Perception/OCR"}]))
    own = {
        "Question_id": "perception/monitoring/1",
        "Image": "a.png",
        "Text": MME["question"],
        "Answer choices": MME["multi-choice options"],
        "Ground truth": "E",
        "Category": "vehicle/location",
        "Task": "Perception",
        "Subtask": "Monitoring",
    }
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.png").write_bytes(picture(4))
    (tmp_path / "b" / "MME_RealWorld.json").write_text(json.dumps([own]))
    item = only("mme_realworld_v", tmp_path / "b")
    assert item.id == table.id
    assert item.category == table.category == "perception: monitoring"


def test_mmlu_pro_needs_no_image(tmp_path) -> None:
    item = only("mmlu_pro", parquet(tmp_path / "d", [MMLU]))
    assert item.mcq.options == ("Nothing", "All", "Half")
    assert item.mcq.gold_text == "All"
    assert item.category == "law"


def test_a_dataset_saved_to_disk(tmp_path) -> None:
    from datasets import Dataset, DatasetDict

    DatasetDict({"test": Dataset.from_list([MMLU])}).save_to_disk(str(tmp_path / "saved"))
    assert only("mmlu_pro", tmp_path / "saved").source_id == "70"


def test_bad_rows_are_named_all_at_once(tmp_path) -> None:
    rows = [{**MMLU, "answer": "K"}, MMLU, {**MMLU, "question": ""}]
    with pytest.raises(DataError) as caught:
        load(f"mmlu_pro={parquet(tmp_path / 'd', rows)}")
    assert "row 1: answer is 'K', and there are 4 options" in str(caught.value)
    assert "row 3: question is ''" in str(caught.value)


def test_rows_that_nobody_could_answer_are_left_out_and_told(tmp_path) -> None:
    twice = {**MMLU, "question_id": 71, "options": ["One", "one", "Two"]}
    benchmark = load(f"mmlu_pro={parquet(tmp_path / 'd', [MMLU, twice])}")
    assert len(benchmark.items) == 1
    (problem,) = benchmark.left_out
    assert str(problem) == "row 2 (71): two options are the same"


def test_another_benchmarks_rows_are_refused(tmp_path) -> None:
    with pytest.raises(DataError, match="text is missing"):
        load(f"vstar={parquet(tmp_path / 'd', [MMLU])}")


def test_no_folder_is_no_hub_id(tmp_path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        load("vstar=./nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"has no \.parquet"):
        load(f"vstar={tmp_path / 'empty'}")


def test_every_benchmark_of_the_paper_is_there() -> None:
    assert PAPER_METRIC.keys() <= KINDS.keys()
