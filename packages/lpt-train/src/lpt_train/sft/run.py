"""From a configuration to a fine-tuned model. Stopped or killed, the same call goes on where it was."""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from lpt_core import CheckpointRecord, DataError, SFTExample
from lpt_train.arguments import training_arguments
from lpt_train.collate import SFTCollator
from lpt_train.config import DataConfig, TrainConfig
from lpt_train.encoding import Encoder
from lpt_train.model import load_processor
from lpt_train.opening import TrainingResult, record_of, refuse_long, train_in
from lpt_train.packed_attention import attend_row_by_row
from lpt_train.packing import PackedOrder, PackingCollator, check_packable
from lpt_train.resume import NoteTaker, Start, model_to_train
from lpt_train.rows import read_sft
from lpt_train.run_folder import RunFolder
from lpt_train.sft.ordering import order_of
from lpt_train.sft.trainer import EncodedRows, PackedRows, SFTTrainer
from lpt_train.watch import LogLines


@dataclass(frozen=True, slots=True)
class _Rows:
    examples: Sequence[SFTExample]
    lengths: Sequence[int]
    dropped: int = 0


def train_sft(
    config: TrainConfig,
    out: Path,
    *,
    note: NoteTaker = lambda line: None,
    watchers: Sequence[TrainerCallback] = (),
) -> TrainingResult:
    """Fine-tune a model as a configuration says.

    Args:
        config: Its ``model``, ``data`` and ``sft`` sections are used.
        out: The run's folder; a run that was stopped there goes on.
        note: Is told, a line at a time, what happens.
        watchers: Are called by the trainer as it goes.

    Raises:
        ConfigError: The configuration cannot be used, or the folder has a run with another.
        DataError: The rows cannot be trained on, or a checkpoint is not what it says it is.
        StoreError: The folder cannot be written.
    """
    examples = read_sft(config.needs("sft"))
    processor = load_processor(config.model.name, config.model.revision)
    encoder = Encoder(processor, pixels=config.data.pixels, prefix_loss=config.data.prefix_loss)
    rows = _fitting(examples, encoder, config.data, "sft.data")
    expected = record_of(config, "sft", processor, rows.examples, [_content(row) for row in rows.examples])

    def make(folder: RunFolder, start: Start | None) -> SFTTrainer:
        trainer = _trainer(config, folder, rows, start, expected, processor, encoder, note)
        for watcher in watchers:
            trainer.add_callback(watcher)
        return trainer

    return train_in(out, config, expected, make, dropped=rows.dropped, note=note)


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
    order = order_of(config, rows.lengths)
    packed = isinstance(order, PackedOrder)
    arguments = training_arguments(
        stage,
        "sft",
        folder.path,
        precision=config.model.precision,
        seed=config.seed,
        micro_batches=order.accumulation if packed else None,
    )
    # New adapters draw their beginning; nothing else here does.
    torch.manual_seed(config.seed)
    model, digest = model_to_train(config.model, start, recompute=stage.gradient_checkpointing)
    if packed:
        check_packable(model.config.model_type)
        attend_row_by_row(model if config.model.lora is None else model.get_base_model())
    evaluation = None
    if stage.evaluation is not None:
        held_out = _fitting(read_sft(stage.evaluation), encoder, config.data, "sft.evaluation")
        evaluation = EncodedRows(held_out.examples, encoder)
    trainer = SFTTrainer(
        order=order,
        record=record,
        start_digest=digest,
        model=model,
        args=arguments,
        data_collator=PackingCollator(encoder) if packed else SFTCollator(encoder),
        train_dataset=(PackedRows if packed else EncodedRows)(rows.examples, encoder),
        eval_dataset=evaluation,
        processing_class=processor,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(LogLines(note))
    return trainer


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
            too_long.append(f"row {number} ({example.id}): {len(encoded)} tokens")
            continue
        kept.append(example)
        lengths.append(len(encoded))
    refuse_long(name, "rows", too_long, len(examples), data)
    return _Rows(kept, lengths, len(too_long))
