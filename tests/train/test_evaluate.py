"""Checkpoints are measured by a command; what it says is kept, and no failure of it harms a training."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lpt_core import CheckpointRecord, ConfigError, PixelPolicy
from lpt_train.evaluate import EvaluateSection, evaluate
from lpt_train.settings import parse_config

RECORD = CheckpointRecord(
    stage="sft", step=4, model="the/base", pixels=PixelPolicy(), template="t", prompt="p", rows=2, data="d",
    course={}, versions={},
)  # fmt: skip
TELL = "import os, sys; print(*sys.argv[1:], 'RANK' in os.environ); print('aside', file=sys.stderr)"


def section(*words: str, **more: object) -> EvaluateSection:
    return EvaluateSection.model_validate({"command": [sys.executable, "-c", *words], **more})


def test_the_command_gets_the_folder_and_the_base_and_its_words_are_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RANK", "0")
    told: list[str] = []
    wanted = section(TELL, "--model={checkpoint}", "{base}", "a b; $HOME")
    assert evaluate(wanted, tmp_path, tmp_path / "checkpoint-4", RECORD, told.append)
    said = (tmp_path / "evaluations" / "checkpoint-4.txt").read_text()
    assert f"--model={tmp_path}/checkpoint-4 the/base a b; $HOME False\n" in said
    assert "aside\n" in said
    kept = json.loads((tmp_path / "evaluations" / "checkpoint-4.json").read_text())
    assert (kept["status"], kept["step"], kept["command"][3:5]) == (
        0, 4, [f"--model={tmp_path}/checkpoint-4", "the/base"]
    )  # fmt: skip
    assert told == [f"checkpoint-4 was evaluated; see {tmp_path}/evaluations/checkpoint-4.txt"]
    assert evaluate(wanted, tmp_path, tmp_path / "checkpoint-4", RECORD, told.append)
    assert len(told) == 1  # it is not measured twice


def test_what_failed_is_told_and_tried_again(tmp_path) -> None:
    told: list[str] = []
    failing = section("import sys; print('no such benchmark'); sys.exit(3)", "{checkpoint}")
    for _ in range(2):
        assert not evaluate(failing, tmp_path, tmp_path / "model", RECORD, told.append)
    assert told[0].startswith("model was not evaluated: the command ended with status 3; see ")
    assert len(told) == 2
    assert (tmp_path / "evaluations" / "model.txt").read_text() == "no such benchmark\n"
    absent = EvaluateSection(command=("no-such-program", "{checkpoint}"))
    assert not evaluate(absent, tmp_path, tmp_path / "model", RECORD, told.append)
    assert "no-such-program" in told[-1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{command: [lpt-eval]}", "names no {checkpoint}"),
        ("{command: []}", "sft.evaluate.command"),
        ("{command: ['{checkpoint}'], every: 0}", "every: at least 1, or end"),
        ("{command: ['{checkpoint}'], every: now}", "sft.evaluate.every"),
        ("{command: ['{checkpoint}'], every: 75}", "evaluate.every (75) is no multiple of save_every (50)"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"model: {{name: x}}\nsft:\n  evaluate: {text}\n", Path("c.yaml"))
    assert words in str(caught.value)


def test_a_training_measures_its_checkpoints_and_outlives_a_failure(
    tmp_path, tiny_model_dir, tiny_rows
) -> None:
    from lpt_train.sft.run import train_sft

    # It fails for the model alone.
    code = "import sys; from pathlib import Path; p = Path(sys.argv[1])"
    code += "; print(len(list(p.glob('*.safetensors'))))"
    code += "; sys.exit(p.name == 'model')"
    config = parse_config(
        f"model: {{name: {tiny_model_dir}, precision: float32}}\ndata: {{pixels: {{limit: 84}}}}\n"
        f"sft: {{data: {tiny_rows}/sft.jsonl, max_steps: 3, batch_size: 2, save_every: 1, "
        f"evaluate: {json.dumps({'command': [sys.executable, '-c', code, '{checkpoint}'], 'every': 2})}}}\n",
        tmp_path / "c.yaml",
    )
    told: list[str] = []
    result = train_sft(config, tmp_path / "run", note=told.append)
    assert result.record.step == 3
    said = {file.name: file.read_text() for file in (tmp_path / "run" / "evaluations").glob("*.txt")}
    assert said == {"checkpoint-2.txt": "1\n", "model.txt": "1\n"}
    assert sum("was evaluated" in line for line in told) == 1
    assert sum("the command ended with status 1" in line for line in told) == 1
    # Called again, it measures what was not measured, and trains nothing.
    again = config.model_copy(
        update={"sft": config.sft.model_copy(update={"evaluate": section("", "{checkpoint}")})}
    )
    told.clear()
    assert train_sft(again, tmp_path / "run", note=told.append).resumed_from == 3
    assert sum("was evaluated" in line for line in told) == 1
