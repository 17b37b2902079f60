"""Two processes that train together: they end where one does, and killed they go on to the same end.

A process takes its time to load torch, so that all runs are made in two launches: one of the command line,
which is killed, and one of a script that makes one run after the other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lpt_core import CheckpointRecord
from lpt_train.dpo.run import train_dpo
from lpt_train.settings import load_config
from lpt_train.sft.run import train_sft

pytestmark = pytest.mark.slow

# Both processes stop at the same place, as none waits for the other there.
SCRIPT = """
import json, os, sys
from pathlib import Path
from lpt_train.dpo.run import train_dpo
from lpt_train.resume import ResumingTrainer
from lpt_train.settings import load_config
from lpt_train.sft.run import train_sft

class Stopped(Exception): pass
real, last = ResumingTrainer.training_step, None
first = os.environ["RANK"] == "0"

def step(self, *args, **named):
    if last is not None and self.state.global_step == last: raise Stopped
    return real(self, *args, **named)

ResumingTrainer.training_step = step
for name, stage, config, out, last in json.loads(sys.argv[1]):
    try:
        result = {"sft": train_sft, "dpo": train_dpo}[stage](load_config(Path(config)), Path(out))
        if first: print(name, "resumed from", result.resumed_from)
    except Stopped:
        if first: print(name, "stopped")
"""


@dataclass(frozen=True)
class Runs:
    """What was made, by name, and what the processes said of it."""

    folder: Path
    said: list[str]

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        [file] = (self.folder / name / "model").glob("*.safetensors")
        return load_file(file)

    def log(self, name: str) -> list[dict[str, float]]:
        lines = (json.loads(line) for line in (self.folder / name / "log.jsonl").read_text().splitlines())
        return [line for line in lines if "token_loss" in line or "margin" in line]

    def same(self, one: str, other: str) -> bool:
        first, second = self.weights(one), self.weights(other)
        return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)

    def apart(self, one: str, other: str) -> float:
        first, second = self.weights(one), self.weights(other)
        return max(float((first[name] - second[name]).abs().max()) for name in first)


def configs(folder: Path, model: Path, rows: Path, processes: int) -> dict[str, Path]:
    """A file for each kind of run; what all processes take at once is the same."""
    micro = 4 // processes
    steps = f"warmup_steps: 1, save_every: 2, keep: null, gradient_checkpointing: false, micro_batch: {micro}"
    sft = f"sft: {{data: {rows}/sft.jsonl, learning_rate: 1e-3, batch_size: 8, max_steps: 8, {steps}}}"
    # Sixteen pairs, twelve an update: the second update of an epoch is a smaller one.
    dpo = f"dpo: {{data: {rows}/pairs.jsonl, learning_rate: 1e-4, batch_size: 12, max_steps: 4, {steps}}}"
    adapters = ", lora: {rank: 4, alpha: 8, dropout: 0.1}"
    made: dict[str, Path] = {}
    for name, lora, stage in (("sft", "", sft), ("lora", adapters, sft), ("dpo", "", dpo)):
        made[name] = folder / f"{name}-{processes}.yaml"
        made[name].write_text(
            f"model: {{name: {model}, precision: float32{lora}}}\ndata: {{pixels: {{limit: 84}}}}\n{stage}\n"
        )
    return made


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_model_dir, tiny_rows) -> Runs:
    folder = tmp_path_factory.mktemp("processes")
    two = configs(folder, tiny_model_dir, tiny_rows, 2)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    killed = [sys.executable, "-m", "lpt_train", "launch", "cpu", "sft", str(two["sft"]), "--out"]
    with subprocess.Popen(
        [*killed, str(folder / "sft killed")],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        heard = []
        for line in child.stdout:
            heard.append(line.strip())
            if line.startswith("update 3 of 8"):
                child.send_signal(signal.SIGTERM)  # the launcher's processes have no handler: they die of it
    assert child.returncode, heard
    assert sum(line.startswith("update 3 of 8") for line in heard) == 1, heard
    script = folder / "train.py"
    script.write_text(SCRIPT)
    jobs = [
        (name, stage, str(two[kind]), str(folder / out), last)
        for name, stage, kind, out, last in (
            ("sft whole", "sft", "sft", "sft", None),
            ("sft killed", "sft", "sft", "sft killed", None),
            ("lora whole", "sft", "lora", "lora", None),
            ("lora cut", "sft", "lora", "lora cut", 5),
            ("lora again", "sft", "lora", "lora cut", None),
            ("dpo whole", "dpo", "dpo", "dpo", None),
            ("dpo cut", "dpo", "dpo", "dpo cut", 3),
            ("dpo again", "dpo", "dpo", "dpo cut", None),
        )
    ]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*launch, str(script), json.dumps(jobs)],
        env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    one = configs(folder, tiny_model_dir, tiny_rows, 1)
    train_sft(load_config(one["sft"]), folder / "sft alone")
    train_dpo(load_config(one["dpo"]), folder / "dpo alone")
    return Runs(folder, done.stdout.splitlines())


def test_full_tuning_ends_where_one_process_does(runs: Runs) -> None:
    assert CheckpointRecord.read(runs.folder / "sft" / "model").course["devices"] == 2
    assert runs.apart("sft", "sft alone") < 1e-5
    for told, also in zip(runs.log("sft"), runs.log("sft alone"), strict=True):
        for key in ("token_loss", "label_share", "tokens", "loss/continuation"):
            assert told[key] == pytest.approx(also[key], rel=1e-4)


def test_preference_training_ends_where_one_process_does(runs: Runs) -> None:
    assert runs.apart("dpo", "dpo alone") < 1e-5
    for told, also in zip(runs.log("dpo"), runs.log("dpo alone"), strict=True):
        for key in ("margin", "dpo_loss", "sft_loss", "pairs"):
            assert told[key] == pytest.approx(also[key], rel=1e-4, abs=1e-4)
    # Each process has computed its half of the reference.
    assert len(list((runs.folder / "dpo" / "reference").iterdir())) == 2


def test_a_killed_run_goes_on_to_the_same_weights(runs: Runs) -> None:
    [said] = [line for line in runs.said if line.startswith("sft killed")]
    assert said in [f"sft killed resumed from {update}" for update in (2, 4, 6)]
    assert runs.same("sft", "sft killed")


@pytest.mark.parametrize(("kind", "update"), [("lora", 4), ("dpo", 2)])
def test_a_run_that_was_cut_short_goes_on_to_the_same_weights(runs: Runs, kind: str, update: int) -> None:
    assert f"{kind} cut stopped" in runs.said
    assert f"{kind} again resumed from {update}" in runs.said
    assert runs.same(kind, f"{kind} cut")
    records = [CheckpointRecord.read(runs.folder / name / "model") for name in (kind, f"{kind} cut")]
    assert records[0].weights is not None
    assert records[0] == records[1]
