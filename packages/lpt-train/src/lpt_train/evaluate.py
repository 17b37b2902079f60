"""Measuring checkpoints by a command of one's own: lpt-eval's, or any that takes a model's folder.

What it says and how it ended is kept in the run's folder. Whatever goes wrong there is told, and the training
goes on: a measurement can be made again, a training is dear.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from lpt_core import CheckpointRecord
from lpt_train.section import Section

_OF_A_LAUNCHER = (
    "RANK",
    "WORLD_SIZE",
    "MASTER_",
    "LOCAL_",
    "GROUP_",
    "ROLE_",
    "TORCHELASTIC_",
    "ACCELERATE_",
)


class EvaluateSection(Section):
    """A command that measures checkpoints; run without a shell, by the first process, in its directory."""

    command: tuple[str, ...] = Field(
        min_length=1,
        description="the program and its arguments; {checkpoint} in them is the folder to measure, {base} "
        "the model that training started from",
    )
    every: int | Literal["end"] = Field(
        default="end",
        description="after so many updates, a multiple of save_every, and at the end; or at the end alone",
    )

    @model_validator(mode="after")
    def _of_a_checkpoint(self) -> EvaluateSection:
        if not any("{checkpoint}" in word for word in self.command):
            raise ValueError("command names no {checkpoint}: it would measure always the same")
        if self.every != "end" and self.every < 1:
            raise ValueError("every: at least 1, or end")
        return self

    def wants(self, step: int) -> bool:
        """Whether the checkpoint of an update is measured."""
        return self.every != "end" and step % self.every == 0


def evaluate(
    section: EvaluateSection, run: Path, folder: Path, record: CheckpointRecord, note: Callable[[str], None]
) -> bool:
    """Run the command on a checkpoint, unless it was measured in the same way before.

    Args:
        section: The command.
        run: The training's folder: ``evaluations/NAME.txt`` gets what the command says, and
            ``evaluations/NAME.json`` the command itself, its exit status and the seconds that it took.
        folder: The checkpoint's.
        record: What it says of itself.
        note: Is told how it went.

    Returns:
        Whether the checkpoint is measured: the command ended with status 0, now or before.
    """
    values = {"{checkpoint}": str(folder), "{base}": record.model}
    command = [_filled(word, values) for word in section.command]
    kept = run / "evaluations" / f"{folder.name}.json"
    said = kept.with_suffix(".txt")
    of = {"command": command, "step": record.step, "weights": record.weights and record.weights.trained}
    if _done(kept, of):
        return True
    began = time.monotonic()
    try:
        said.parent.mkdir(exist_ok=True)
        status = _run(command, said)
        told = of | {"status": status, "seconds": round(time.monotonic() - began, 1)}
        kept.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        note(f"{folder.name} was not evaluated: {error}")
        return False
    how = "was evaluated" if status == 0 else f"was not evaluated: the command ended with status {status}"
    note(f"{folder.name} {how}; see {said}")
    return status == 0


def _filled(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word


def _done(kept: Path, of: Mapping[str, object]) -> bool:
    try:
        told = json.loads(kept.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and {**of, "status": 0}.items() <= told.items()


def _run(command: list[str], said: Path) -> int:
    """The exit status of a command whose whole output goes into a file."""
    # It is no process of this training, and must not wait for the others of it.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OF_A_LAUNCHER)}
    with said.open("wb") as file:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=kept, check=False
        )
    return done.returncode
