"""What all stages open with and end with: the run's folder, where to go on, the record, the result."""

# transformers leaves parts of what is used here without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transformers import TrainerCallback

from lpt_core import (
    CHECKPOINT_FILE,
    CheckpointRecord,
    ConfigError,
    DataError,
    PreferencePair,
    PromptExample,
    SFTExample,
    fingerprint,
)
from lpt_train.arguments import world_size
from lpt_train.checkpoint import course_of, versions
from lpt_train.config import DataConfig, TrainConfig
from lpt_train.evaluate import EvaluateSection, evaluate
from lpt_train.model import ADAPTER, template_of
from lpt_train.resume import (
    NoteTaker,
    ResumingTrainer,
    Start,
    clear_broken,
    find_start,
    same_course,
)
from lpt_train.run_folder import RunFolder

MakeTrainer = Callable[[RunFolder, Start | None], ResumingTrainer]
"""Makes a stage's trainer, for a run's folder and the checkpoint that it goes on from."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training has come to.

    Attributes:
        model: The folder of the model, or of its adapters.
        record: What it says of itself.
        dropped: Rows that were too long.
        resumed_from: The step that this call went on from; None where it began at the beginning.
    """

    model: Path
    record: CheckpointRecord
    dropped: int
    resumed_from: int | None


def train_in(
    out: Path,
    config: TrainConfig,
    expected: CheckpointRecord,
    make: MakeTrainer,
    *,
    dropped: int = 0,
    note: NoteTaker,
) -> TrainingResult:
    """Train in a run's folder, from its beginning or from its last whole checkpoint, to the end.

    Args:
        out: The run's folder.
        config: Is kept there.
        expected: What a checkpoint of this training says of itself.
        make: Is called where something is left to do.
        dropped: For the result.
        note: Is told, a line at a time, what happens.

    Raises:
        ConfigError: The folder has a run with another configuration.
        DataError: A checkpoint is not what it says it is.
        StoreError: The folder cannot be written.
    """
    folder = RunFolder(out)
    measuring = getattr(config, expected.stage).evaluate
    if (folder.model / CHECKPOINT_FILE).is_file():
        record = CheckpointRecord.read(folder.model)
        same_course(folder.model, record, expected)
        if measuring is not None and os.environ.get("RANK", "0") == "0":
            evaluate(measuring, out, folder.model, record, note)
        note(f"{out} is done: {record.step} updates")
        return TrainingResult(folder.model, record, dropped, record.step)
    start = find_start(out, expected)
    folder.create(config)
    if start is not None:
        note(f"going on from update {start.record.step}")
    trainer = make(folder, start)
    if trainer.is_world_process_zero():
        clear_broken(out, note)
        if measuring is not None:
            trainer.add_callback(_Evaluating(measuring, out, note))
    if start is None or not start.at_end:
        trainer.train(resume_from_checkpoint=str(start.folder) if start else None)
    else:
        trainer.state.global_step = start.record.step
    trainer.check_frozen()
    record = trainer.save_result(folder.model)
    if measuring is not None and trainer.is_world_process_zero():
        evaluate(measuring, out, folder.model, record, note)
    return TrainingResult(folder.model, record, dropped, start.record.step if start else None)


class _Evaluating(TrainerCallback):
    """Has checkpoints measured when they are saved."""

    def __init__(self, section: EvaluateSection, run: Path, note: NoteTaker) -> None:
        self._section, self._run, self._note = section, run, note

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure the last one, where it is wanted."""
        step = int(state.global_step)
        if self._section.wants(step):
            folder = self._run / f"checkpoint-{step}"
            evaluate(self._section, self._run, folder, CheckpointRecord.read(folder), self._note)


def record_of(
    config: TrainConfig,
    stage: Literal["sft", "dpo", "grpo"],
    processor: Any,
    rows: Sequence[SFTExample | PreferencePair | PromptExample],
    contents: Sequence[Any],
    *,
    source: Path | None = None,
) -> CheckpointRecord:
    """What every checkpoint of a training says of itself, as far as it is known at its beginning.

    Args:
        config: Of the training.
        stage: Which of its sections.
        processor: The model's.
        rows: What is trained on.
        contents: What of each row training depends on.
        source: The folder that training begins from, if not the model that ``config`` names.
    """
    systems = sorted({m.text for row in rows for m in row.prompt if m.role == "system"})
    return CheckpointRecord(
        stage=stage,
        step=0,
        model=config.model.name if source is None else str(source),
        revision=config.model.revision if source is None else None,
        adapter=config.model.lora is not None,
        pixels=config.data.pixels,
        template=fingerprint("template", template_of(processor)),
        prompt=fingerprint("prompt", systems),
        systems=tuple(systems[:16]),
        rows=len(rows),
        data=fingerprint("rows", list(contents)),
        course=course_of(config, stage, world_size()),
        versions=versions(),
    )


def check_whole(name: str, source: Path | None) -> None:
    """Make sure that a folder to start from holds a whole model, if one is given.

    Raises:
        ConfigError: It holds adapters.
    """
    if source is not None and (source / ADAPTER).is_file():
        raise ConfigError(
            f"{name}: {source} holds adapters and no whole model.",
            "make one of them and their base with `lpt-train merge`, and name that",
        )


def refuse_long(name: str, rows: str, too_long: Sequence[str], of: int, data: DataConfig) -> None:
    """Refuse rows that are too long, where they shall not be dropped or nothing else is there.

    Args:
        name: Of the setting that named the file.
        rows: What they are ("rows", "pairs").
        too_long: A line for each, which says where it is and how long.
        of: How many rows there are.
        data: How long they may be, and what to do.

    Raises:
        DataError: There are some.
    """
    if not too_long or (data.too_long == "drop" and len(too_long) < of):
        return
    more = [f"and {len(too_long) - _SHOWN} more"] if len(too_long) > _SHOWN else []
    listed = "\n".join(f"  {line}" for line in [*too_long[:_SHOWN], *more])
    raise DataError(
        f"{name}: {len(too_long)} of {of} {rows} are longer than {data.max_tokens} tokens:\n{listed}",
        "raise data.max_tokens, or leave them out with data.too_long: drop",
    )
