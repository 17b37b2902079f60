"""The paper's six benchmarks, a few rows each in their own schemas, about pictures of the lab.

Not a module that tests import: they run this file (``runpy``); the fixture ``six_benchmarks`` writes it all.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from lpt_core import MCQ
from lpt_synth.lab.world import World, held_out

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


def write(root: Path) -> list[str]:
    """Write all six into folders of their names; what ``lpt-eval run`` is to be given."""
    questions, tasks = lab(), list[str]()
    for name in ROWS:
        globals()[f"write_{name}"](root / name, questions)
        tasks += ["--task", f"{name}={root / name}"]
    return tasks
