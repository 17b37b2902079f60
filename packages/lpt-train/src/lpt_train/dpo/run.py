"""From a configuration to a model that prefers. Stopped or killed, the same call goes on where it was."""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback

from lpt_core import CheckpointRecord, DataError, PreferencePair
from lpt_train.arguments import training_arguments, world_size
from lpt_train.config import TrainConfig
from lpt_train.dpo.collate import PairCollator
from lpt_train.dpo.meter import PairLines
from lpt_train.dpo.pairs import TokenPair
from lpt_train.dpo.reference import ReferenceCache, reference_identity
from lpt_train.dpo.shared import attention_of
from lpt_train.dpo.trainer import PairRows, PreferenceTrainer, pair_order
from lpt_train.encoding import Encoder
from lpt_train.model import load_processor
from lpt_train.opening import TrainingResult, check_whole, record_of, refuse_long, train_in
from lpt_train.resume import NoteTaker, Start, model_to_train
from lpt_train.rows import read_pairs
from lpt_train.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class _Pairs:
    records: list[PreferencePair]
    tokens: list[TokenPair]
    dropped: int = 0


def train_dpo(
    config: TrainConfig, out: Path, *, reference: Path | None = None, note: NoteTaker = lambda line: None
) -> TrainingResult:
    """Train a model on preference pairs as a configuration says.

    Args:
        config: Its ``model``, ``data`` and ``dpo`` sections are used.
        out: The run's folder; a run that was stopped there goes on.
        reference: Where the reference's log-probabilities are kept; ``out/reference`` without. Runs that
            start from the same weights can share one.
        note: Is told, a line at a time, what happens.

    Raises:
        ConfigError: The configuration cannot be used, or the folder has a run with another.
        DataError: The pairs cannot be trained on, or a checkpoint is not what it says it is.
        StoreError: The folder cannot be written.
    """
    source = config.dpo.start
    check_whole("dpo.start", source)
    processor = load_processor(config.model.name, config.model.revision)
    encoder = Encoder(processor, pixels=config.data.pixels, prefix_loss=config.data.prefix_loss)
    pairs = _fitting(config.needs("dpo"), encoder, config, "dpo.data")
    contents = [_content(pair) for pair in pairs.records]
    expected = record_of(config, "dpo", processor, pairs.records, contents, source=source)
    kept = reference or out / "reference"

    def make(folder: RunFolder, start: Start | None) -> PreferenceTrainer:
        trainer = _trainer(config, folder, pairs, start, expected, processor, encoder, kept, note)
        if start is not None and not start.at_end:
            _reference_of_start(config, trainer, start)
        return trainer

    return train_in(out, config, expected, make, dropped=pairs.dropped, note=note)


def _trainer(
    config: TrainConfig,
    folder: RunFolder,
    pairs: _Pairs,
    start: Start | None,
    record: CheckpointRecord,
    processor: Any,
    encoder: Encoder,
    reference: Path,
    note: NoteTaker,
) -> PreferenceTrainer:
    stage = config.dpo
    arguments = training_arguments(
        stage, "dpo", folder.path, precision=config.model.precision, seed=config.seed
    )
    # New adapters draw their beginning; nothing else here does.
    torch.manual_seed(config.seed)
    model, digest = model_to_train(
        config.model, start, recompute=stage.gradient_checkpointing, source=stage.start
    )
    identity = reference_identity(
        weights=digest,
        encoder=encoder.identity,
        arithmetic=f"{config.model.precision} {attention_of(model)} {arguments.device.type}",
    )
    cache = ReferenceCache(reference, identity, process=arguments.process_index)
    order = pair_order(
        pairs.tokens,
        batch=stage.batch_size,
        micro=stage.micro_batch * world_size(),
        window=stage.sort_window,
        seed=config.seed,
    )
    evaluation = None
    if stage.evaluation is not None:
        held_out = _fitting(stage.evaluation, encoder, config, "dpo.evaluation")
        evaluation = PairRows(held_out.tokens, cache)
    trainer = PreferenceTrainer(
        settings=stage,
        order=order,
        cache=cache,
        note=note,
        record=record,
        start_digest=digest,
        model=model,
        args=arguments,
        data_collator=PairCollator(
            encoder.pictures,
            pad_token=encoder.pad,
            image_token=int(model.config.image_token_id),
            merge=int(model.config.vision_config.spatial_merge_size),
            share=stage.shared_prefix,
            sft=stage.sft_weight > 0,
        ),
        train_dataset=PairRows(pairs.tokens, cache),
        eval_dataset=evaluation,
        processing_class=processor,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(PairLines(note))
    return trainer


def _reference_of_start(config: TrainConfig, trainer: PreferenceTrainer, start: Start) -> None:
    """Make up for a cache that was lost: the model in memory is a checkpoint's, and no reference any more.

    Where there are adapters, the model without them still is; the trainer sees to that.
    """
    if config.model.lora is not None or not trainer.lacking():
        return
    if trainer.sharded:
        raise DataError(
            "the reference's log-probabilities that this run began with are gone.",
            "put its folder `reference` back, or begin the run anew in another --out",
        )
    model, digest = model_to_train(config.model, None, recompute=False, source=config.dpo.start)
    if start.record.weights is None or digest != start.record.weights.start:
        raise DataError(
            f"the weights of {config.dpo.start or config.model.name} are not those that this run began with.",
            "give the model that it began with: it is what the trained one is compared with",
        )
    trainer.fill_cache(model.to(trainer.args.device))


def _content(pair: PreferencePair) -> list[Any]:
    """What of a pair training depends on; where its image lies is nothing of it."""
    return [
        pair.image.sha256,
        [[message.role, message.text] for message in pair.prompt],
        [[segment.kind, segment.text, segment.loss] for segment in (*pair.chosen, *pair.rejected)],
        len(pair.chosen),
    ]


def _fitting(path: Path, encoder: Encoder, config: TrainConfig, name: str) -> _Pairs:
    """The pairs of a file that can be trained on.

    Raises:
        DataError: Some are too long and shall not be dropped, or are no pairs; or none is left.
    """
    wanted = [pair for pair in read_pairs(path) if pair.kind in config.dpo.kinds]
    if not wanted:
        raise DataError(f"{name}: {path} has no pairs of the kinds {', '.join(config.dpo.kinds)}.")
    records: list[PreferencePair] = []
    tokens: list[TokenPair] = []
    too_long: list[str] = []
    for number, pair in enumerate(wanted, 1):
        chosen = encoder.encode(pair.prompt, pair.chosen)
        rejected = encoder.encode(pair.prompt, pair.rejected)
        length = max(len(chosen), len(rejected))
        if length > config.data.max_tokens:
            too_long.append(f"pair {number} ({pair.id}): {length} tokens")
            continue
        records.append(pair)
        tokens.append(TokenPair.of(pair.id, chosen, rejected))
    refuse_long(name, "pairs", too_long, len(wanted), config.data)
    return _Pairs(records, tokens, len(too_long))
