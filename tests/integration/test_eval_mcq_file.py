from __future__ import annotations

import json
from pathlib import Path

import pytest

from lpt_core import ConfigError, DataError
from lpt_eval.benchmarks import load
from lpt_eval.benchmarks.mcq_file import load as load_folder
from lpt_synth.lab.world import World, write_held_out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_held_out(tmp_path / "lab", World(split="test"), 3, per_scene=2)
    return tmp_path / "lab"


def test_every_question_becomes_an_item_with_its_image(folder: Path) -> None:
    benchmark = load(f"mcq_file={folder}")
    assert len(benchmark.items) == 6
    assert len({item.cluster for item in benchmark.items}) == 3
    for item in benchmark.items:
        image = benchmark.image(item)
        assert image is not None
        assert image.is_file()
        assert item.category == item.mcq.kind
        assert item.presentation.render_options(item.mcq).startswith("(A) ")


def test_bad_lines_are_named_all_at_once(folder: Path) -> None:
    file = folder / "mcqs.jsonl"
    lines = file.read_text().splitlines()
    strange = json.loads(lines[1]) | {"caption_id": "nobody"}
    file.write_text("\n".join(["{", json.dumps(strange), *lines[2:], ""]))
    with pytest.raises(DataError) as caught:
        load_folder(folder)
    assert "mcqs.jsonl, line 1: not a MCQ" in str(caught.value)
    assert "mcqs.jsonl, line 2: captions.jsonl has no caption nobody" in str(caught.value)


def test_another_image_under_the_same_name_is_refused(folder: Path) -> None:
    first, second = sorted((folder / "images").iterdir())[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(DataError, match="is not the one that the caption was written for"):
        load_folder(folder)


def test_an_image_that_is_gone_is_named(folder: Path) -> None:
    gone = min((folder / "images").iterdir())
    gone.unlink()
    with pytest.raises(DataError, match=gone.name):
        load_folder(folder)


def test_the_same_question_twice_makes_two_items(folder: Path) -> None:
    file = folder / "mcqs.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([lines[0], *lines]))
    items = load_folder(folder).items
    assert len({item.id for item in items}) == len(items) == 7


def test_a_folder_without_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no mcqs\.jsonl"):
        load_folder(tmp_path)


@pytest.mark.parametrize(("task", "message"), [("mcq_file", "needs to know where"), ("nothing", "no task")])
def test_a_task_that_cannot_be_is_refused(task: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(task)
