"""From a configuration to a fine-tuned model. Stopped or killed, the same call goes on where it was."""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback

from lpt_core import DataError, SFTExample, fingerprint
from lpt_train.arguments import training_arguments, world_size
from lpt_train.checkpoint import RECORD, CheckpointRecord, course_of, read_record, versions
from lpt_train.collate import SFTCollator
from lpt_train.config import DataConfig, TrainConfig
from lpt_train.encoding import Encoder
from lpt_train.model import load_processor, template_of
from lpt_train.order import LengthOrder
from lpt_train.resume import NoteTaker, Start, clear_broken, find_start, model_to_train, same_course
from lpt_train.rows import read_sft
from lpt_train.run_folder import RunFolder
from lpt_train.sft.trainer import EncodedRows, SFTTrainer
from lpt_train.watch import LogLines

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SFTResult:
    """What a fine-tuning has come to.

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


@dataclass(frozen=True, slots=True)
class _Rows:
    examples: Sequence[SFTExample]
    lengths: Sequence[int]
    dropped: int = 0


def train_sft(config: TrainConfig, out: Path, *, note: NoteTaker = lambda line: None) -> SFTResult:
    """Fine-tune a model as a configuration says.

    Args:
        config: Its ``model``, ``data`` and ``sft`` sections are used.
        out: The run's folder; a run that was stopped there goes on.
        note: Is told, a line at a time, what happens.

    Raises:
        ConfigError: The configuration cannot be used, or the folder has a run with another.
        DataError: The rows cannot be trained on, or a checkpoint is not what it says it is.
        StoreError: The folder cannot be written.
    """
    examples = read_sft(config.needs("sft"))
    processor = load_processor(config.model.name, config.model.revision)
    encoder = Encoder(processor, pixels=config.data.pixels, prefix_loss=config.data.prefix_loss)
    rows = _fitting(examples, encoder, config.data, "sft.data")
    expected = _record(config, rows.examples, processor)
    folder = RunFolder(out)
    if (folder.model / RECORD).is_file():
        record = read_record(folder.model)
        same_course(folder.model, record, expected)
        note(f"{out} is done: {record.step} updates")
        return SFTResult(folder.model, record, rows.dropped, record.step)
    start = find_start(out, expected)
    folder.create(config)
    if start is not None:
        note(f"going on from update {start.record.step}")
    trainer = _trainer(config, folder, rows, start, expected, processor, encoder, note)
    if trainer.is_world_process_zero():
        clear_broken(out, note)
    if start is None or not start.at_end:
        trainer.train(resume_from_checkpoint=str(start.folder) if start else None)
    else:
        trainer.state.global_step = start.record.step
    trainer.check_frozen()
    record = trainer.save_result(folder.model)
    return SFTResult(folder.model, record, rows.dropped, start.record.step if start else None)


def _trainer(
    config: TrainConfig,
    folder: RunFolder,
    rows: _Rows,
    start: Start | None,
    record: CheckpointRecord,
    processor: Any,
    encoder: Encoder,
    note: NoteTaker,
) -> SFTTrainer:
    stage = config.sft
    arguments = training_arguments(
        stage, "sft", folder.path, precision=config.model.precision, seed=config.seed
    )
    # New adapters draw their beginning; nothing else here does.
    torch.manual_seed(config.seed)
    model, digest = model_to_train(config.model, start, recompute=stage.gradient_checkpointing)
    evaluation = None
    if stage.evaluation is not None:
        held_out = _fitting(read_sft(stage.evaluation), encoder, config.data, "sft.evaluation")
        evaluation = EncodedRows(held_out.examples, encoder)
    order = LengthOrder(
        rows.lengths,
        batch=stage.batch_size,
        micro=stage.micro_batch * world_size(),
        window=stage.sort_window,
        seed=config.seed,
    )
    trainer = SFTTrainer(
        order=order,
        record=record,
        start_digest=digest,
        model=model,
        args=arguments,
        data_collator=SFTCollator(encoder),
        train_dataset=EncodedRows(rows.examples, encoder),
        eval_dataset=evaluation,
        processing_class=processor,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(LogLines(note))
    return trainer


def _record(config: TrainConfig, examples: Sequence[SFTExample], processor: Any) -> CheckpointRecord:
    systems = sorted({m.text for row in examples for m in row.prompt if m.role == "system"})
    return CheckpointRecord(
        stage="sft",
        step=0,
        model=config.model.name,
        revision=config.model.revision,
        adapter=config.model.lora is not None,
        pixels=config.data.pixels,
        template=fingerprint("template", template_of(processor)),
        prompt=fingerprint("prompt", systems),
        systems=tuple(systems[:16]),
        rows=len(examples),
        data=fingerprint("rows", [_content(row) for row in examples]),
        course=course_of(config, "sft", world_size()),
        versions=versions(),
    )


def _content(row: SFTExample) -> list[Any]:
    """What of a row training depends on; where its image lies is nothing of it."""
    return [
        row.image.sha256,
        [[message.role, message.text] for message in row.prompt],
        [[segment.kind, segment.text, segment.loss] for segment in row.response],
    ]


def _fitting(examples: Sequence[SFTExample], encoder: Encoder, data: DataConfig, name: str) -> _Rows:
    """The rows that can be trained on, with their lengths.

    Raises:
        DataError: Some are too long and shall not be dropped, bear no loss at all, or cannot be encoded.
    """
    kept: list[SFTExample] = []
    lengths: list[int] = []
    too_long: list[str] = []
    for number, example in enumerate(examples, 1):
        encoded = encoder.encode(example.prompt, example.response)
        if not any(encoded.labels):
            raise DataError(f"{name}: row {number} ({example.id}) has nothing that bears loss.")
        if len(encoded) > data.max_tokens:
            too_long.append(f"  row {number} ({example.id}): {len(encoded)} tokens")
            continue
        kept.append(example)
        lengths.append(len(encoded))
    if too_long and (data.too_long == "refuse" or not kept):
        more = f"\n  and {len(too_long) - _SHOWN} more" if len(too_long) > _SHOWN else ""
        raise DataError(
            f"{name}: {len(too_long)} of {len(examples)} rows are longer than {data.max_tokens} tokens:\n"
            + "\n".join(too_long[:_SHOWN])
            + more,
            "raise data.max_tokens, or leave them out with data.too_long: drop",
        )
    return _Rows(kept, lengths, len(too_long))
