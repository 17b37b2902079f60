"""Runs of the lab student through real lmms-eval, in the process."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import lpt_synth.lab.student
from lpt_core import ConfigError, PixelPolicy
from lpt_eval.benchmarks import load
from lpt_eval.folder import RunFolder
from lpt_eval.journal import Journal
from lpt_eval.presets import preset
from lpt_eval.records import Row
from lpt_synth.lab.world import World, write_held_out

STUDENT = Path(lpt_synth.lab.student.__file__).parent / "weights" / "lab-student-v1"


@pytest.fixture(scope="module")
def questions(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    write_held_out(folder, World(split="test"), 5, per_scene=2)
    return folder


@pytest.fixture(scope="module")
def ask(questions):
    from lpt_eval.harness import Asked
    from lpt_eval.models.local import LocalModel
    from lpt_eval.run import run

    def ask(out: Path, *, shuffles: int = 1, n: int = 1, temperature: float = 0.0, seed=None, **model):
        protocol = preset("lpt", "think", "mcq_file")
        sampling = protocol.sampling.model_copy(update={"max_tokens": 60, "temperature": temperature})
        protocol = protocol.model_copy(update={"sampling": sampling, "n": n, "seed": seed})
        folder, notes = RunFolder(out), []
        with Journal(folder.journal) as journal:
            student = LocalModel(
                str(STUDENT),
                **{"device": "cpu", "batch_size": 4, **model},
                journal=journal,
                note=notes.append,
            )
            asked = Asked(load(f"mcq_file={questions}"), protocol, shuffles)
            run(student, [asked], folder, note=notes.append)
        return folder, notes

    return ask


def without_time(folder: RunFolder) -> list[Row]:
    return [row.model_copy(update={"seconds": None}) for row in folder.rows("mcq_file")]


@pytest.fixture(scope="module")
def whole(ask, tmp_path_factory) -> RunFolder:
    return ask(tmp_path_factory.mktemp("whole"))[0]


@pytest.mark.slow
def test_the_student_is_asked_and_scored(whole) -> None:
    info, rows = whole.info(), whole.rows("mcq_file")
    assert len(rows) == info.expected("mcq_file") == 10
    assert sum(row.outcome == "correct" for row in rows) >= 3
    for row in rows:
        assert row.text.startswith("<think>")
        assert row.finish_reason == "stop"
        assert row.image_size == (84, 84)
        assert row.completion_tokens
        assert row.prompt_tokens
    assert info.model.kind == "transformers"
    assert info.model.weights
    assert info.versions["lmms-eval"].startswith("0.7.")


@pytest.mark.slow
def test_the_answers_are_those_that_the_student_gives_when_asked_alone(whole, questions) -> None:
    from PIL import Image

    from lpt_core import load_prompt
    from lpt_synth.lab.student.measure import load_student

    model, processor = load_student(STUDENT)
    items = {item.id: item for item in whole.items("mcq_file")}
    row = whole.rows("mcq_file")[0]
    item = items[row.item_id]
    user = load_prompt("question").render(
        question=item.mcq.question,
        options=item.presentation.render_options(item.mcq),
        answer_style="letter_parens",
    )
    turns = [
        {"role": "system", "content": load_prompt("think_system").render()},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": user}]},
    ]
    text = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    with Image.open(questions / item.image.path) as image:
        inputs = processor(text=[text], images=[image.convert("RGB")], return_tensors="pt")
    out = model.generate(**inputs, do_sample=False, max_new_tokens=60)
    said = processor.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert said == [row.text]
    assert inputs["input_ids"].shape[1] == row.prompt_tokens


@pytest.mark.slow
def test_killed_and_resumed_it_ends_equal(ask, whole, tmp_path, monkeypatch) -> None:
    from lpt_eval.models import hf

    real, batches = hf.answers, []

    def dies(loaded, batch):
        if len(batches) == 2:
            raise KeyboardInterrupt
        batches.append(len(batch))
        return real(loaded, batch)

    monkeypatch.setattr(hf, "answers", dies)
    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path)
    assert RunFolder(tmp_path).rows("mcq_file") == []
    monkeypatch.setattr(hf, "answers", lambda loaded, batch: batches.append(0) or real(loaded, batch))
    folder, notes = ask(tmp_path)
    assert "8 of 10 answers are in the journal" in notes
    assert len(batches) == 3  # the third alone was computed
    assert without_time(folder) == without_time(whole)
    # Once more: nothing is asked, not even loaded.
    folder, notes = ask(tmp_path)
    assert len(batches) == 3
    assert not any("loading" in note for note in notes)


@pytest.mark.slow
def test_samples_are_drawn_by_their_seeds_whatever_the_batches(ask, tmp_path) -> None:
    drawn = {"n": 3, "temperature": 1.0, "seed": 5, "dtype": "float32"}
    first = without_time(ask(tmp_path / "a", **drawn)[0])
    assert first == without_time(ask(tmp_path / "b", batch_size=7, **drawn)[0])
    other = without_time(ask(tmp_path / "c", **{**drawn, "seed": 6})[0])
    assert [row.text for row in first] != [row.text for row in other]
    texts = [{row.text for row in first if row.item_id == one.item_id} for one in first]
    assert any(len(said) > 1 for said in texts)
    assert [row.sample for row in first[:3]] == [0, 1, 2]


@pytest.mark.slow
def test_shuffles_turn_the_options(ask, tmp_path) -> None:
    rows = ask(tmp_path, shuffles=2)[0].rows("mcq_file")
    assert len(rows) == 20
    assert all(
        a.gold == b.gold and a.gold_place != b.gold_place for a, b in zip(rows[::2], rows[1::2], strict=True)
    )


@pytest.mark.slow
def test_another_protocol_or_model_in_the_same_folder_is_refused(ask, whole, tmp_path) -> None:
    for changes, message in (({"temperature": 1.0}, "another protocol"), ({"shuffles": 2}, "orders")):
        with pytest.raises(ConfigError, match=message):
            ask(whole.path, **changes)


@pytest.mark.slow
def test_what_a_checkpoint_was_taught_with_is_told_where_it_differs(ask, whole, questions) -> None:
    from lpt_core import CheckpointRecord
    from lpt_eval.harness import Asked
    from lpt_eval.run import honours

    record = CheckpointRecord(
        stage="sft",
        step=1,
        model="m",
        pixels=PixelPolicy(rule="longer_side", limit=256),
        template="t",
        prompt="p",
        systems=("Be brief.",),
        rows=1,
        data="d",
        course={},
        versions={},
    )
    asked = Asked(load(f"mcq_file={questions}"), preset("lpt", "think", "mcq_file"))
    model = whole.info().model.model_copy(update={"checkpoint": record})
    pixels, system = honours(model, [asked])
    assert "--pixels longer_side-256" in pixels
    assert "none that the model was trained with" in system
    assert honours(whole.info().model, [asked]) == []
    silent = replace(asked, protocol=asked.protocol.model_copy(update={"system": ""}))
    assert any("none that the model was trained with" in line for line in honours(model, [silent]))


@pytest.mark.slow
def test_the_command_line_runs_it_over_two_orders(lpt_eval, questions, tmp_path) -> None:
    out = tmp_path / "run"
    how = ("--device", "cpu", "--task", f"mcq_file={questions}", "--max-tokens", "60")
    ended = lpt_eval("run", STUDENT, *how, "--limit", "4", "--shuffles", "2", "--out", out)
    assert (ended.status, ended.err) == (0, "")
    assert "mcq_file: " in ended.out
    assert "correct under each order of the options: " in ended.out
    assert json.loads((out / "run.json").read_text())["benchmarks"]["mcq_file"]["items"] == 4
    compared = lpt_eval("compare", out, out, "--all-orders", "--json", "--draws", "100")
    assert (compared.status, compared.err) == (0, "")
    rows = RunFolder(out).rows("mcq_file")
    assert len(rows) == 8
    (one, _) = json.loads(compared.out)["runs"]
    share = sum(row.outcome == "correct" for row in rows) / 8
    assert one["benchmarks"]["mcq_file"]["accuracy"] == pytest.approx(share)


@pytest.mark.slow
def test_too_many_failures_make_the_exit_status(lpt_eval, questions, tmp_path) -> None:
    how = ("--device", "cpu", "--task", f"mcq_file={questions}", "--max-tokens", "3", "--limit", "2")
    ended = lpt_eval("run", STUDENT, *how, "--out", tmp_path)
    assert ended.status == 1
    assert "2 truncated" in ended.out
    assert "answers are missing" in ended.err
