"""Going on where a training was stopped, with the very weights that it had; or not at all.

The stock way of transformers loads a full checkpoint of Qwen2.5-VL by names that the model in memory does
not have, says so in a warning, and goes on from the base model's weights. Here the model is made from the
checkpoint's own files, as anybody would load it, and its weights are then held against the digest that was
written when it was saved.
"""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import JsonValue
from transformers import Trainer, TrainerCallback

from lpt_core import CheckpointRecord, ConfigError, DataError, LptError, StoreError, WeightDigests
from lpt_train.checkpoint import checkpoints
from lpt_train.config import ModelConfig
from lpt_train.model import (
    freeze,
    frozen_parameters,
    load_adapters,
    load_model,
    prepare,
    trained_parameters,
    use_checkpointing,
    weights_hash,
)
from lpt_train.watch import write_history

NoteTaker = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Start:
    """A checkpoint to go on from."""

    folder: Path
    record: CheckpointRecord

    @property
    def at_end(self) -> bool:
        """Whether nothing is left to train."""
        try:
            state = json.loads((self.folder / "trainer_state.json").read_bytes())
            return int(state["global_step"]) >= int(state["max_steps"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{self.folder / 'trainer_state.json'} cannot be read: {type(error).__name__}.",
                "remove this checkpoint's folder to go on from the one before it",
            ) from None


def find_start(run: Path, expected: CheckpointRecord) -> Start | None:
    """The last whole checkpoint of a run; None where there is none.

    Raises:
        ConfigError: It comes from other settings or other rows.
        DataError: Its record cannot be read.
    """
    whole, _ = checkpoints(run)
    if not whole:
        return None
    record = CheckpointRecord.read(whole[-1])
    same_course(whole[-1], record, expected)
    return Start(whole[-1], record)


def same_course(folder: Path, record: CheckpointRecord, expected: CheckpointRecord) -> None:
    """Refuse a checkpoint that another training made.

    Raises:
        ConfigError: The message names every setting that differs.
    """
    differing = [
        f"{name} was {json.dumps(then)} and is now {json.dumps(now)}"
        for name, then, now in _differences(record.course, expected.course)
    ]
    if record.data != expected.data:
        differing.append("the rows are others, or stand in another order")
    if record.template != expected.template:
        differing.append("the model's chat template has changed")
    if differing:
        listed = "\n".join(f"  {line}" for line in differing)
        raise ConfigError(
            f"{folder} was trained otherwise than this configuration says:\n{listed}",
            "set it back to go on with this run, or give another --out to begin a new one",
        )


def _differences(
    then: Mapping[str, JsonValue], now: Mapping[str, JsonValue]
) -> list[tuple[str, JsonValue, JsonValue]]:
    names = sorted({*then, *now})
    pairs = ((name, then.get(name), now.get(name)) for name in names)
    return [(name, before, after) for name, before, after in pairs if before != after]


def clear_broken(run: Path, note: NoteTaker) -> None:
    """Remove checkpoints that were being written when their training was killed.

    Raises:
        StoreError: One cannot be removed.
    """
    for folder in checkpoints(run)[1]:
        note(f"{folder.name} was not written to its end, and is removed")
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise StoreError(f"{folder} cannot be removed: {error.strerror or error}.") from error


def model_to_train(
    config: ModelConfig, start: Start | None, *, recompute: bool, source: Path | None = None
) -> tuple[Any, str]:
    """A model ready to be trained, from its beginning or from a checkpoint.

    Args:
        config: The model's section.
        start: The checkpoint to go on from.
        recompute: Compute activations twice rather than keep them.
        source: A folder to begin from, if not the model that ``config`` names.

    Returns:
        The model, and the digest of all weights that training began with.

    Raises:
        ConfigError: It cannot be loaded.
        DataError: The checkpoint was trained on other weights than the model has.
    """
    full = config.lora is None
    recorded = start.record.weights if start else None
    model = load_model(config, start.folder if start and full else source)
    if full and start and recorded:
        digest = recorded.start
        if start.record.model != config.name:
            # The folder may have been moved; another model may also have been named.
            _same_start(config, weights_hash(load_model(config, source).named_parameters()), start)
    else:
        digest = weights_hash(model.named_parameters())
    if recompute:
        use_checkpointing(model)
    if start is None or full:
        return prepare(model, config), digest
    _same_start(config, digest, start)
    freeze(model, config)
    return load_adapters(model, start.folder, trainable=True), digest


def _same_start(config: ModelConfig, digest: str, start: Start) -> None:
    recorded = start.record.weights
    if recorded is not None and recorded.start != digest:
        raise DataError(
            f"the weights of {config.name} are not those that {start.folder} was trained on.",
            "give the model that the run began with",
        )


class ResumingTrainer(Trainer):
    """transformers' trainer with a resume that is checked, and with frozen weights that are.

    Args:
        record: What every checkpoint is to say of itself; step and weights are filled in.
        start_digest: Of the weights that training began with.
        arguments: The trainer's own.
    """

    def __init__(self, *, record: CheckpointRecord, start_digest: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._record = record
        self._start_digest = start_digest
        self._frozen_digest: str | None = None
        self.add_callback(_EpochOfOrder())
        if not self.sharded and self.is_world_process_zero():
            self._frozen_digest = weights_hash(frozen_parameters(self.model))

    @property
    def sharded(self) -> bool:
        """Whether no process has the weights as a whole; their digests are then not to be had."""
        return bool(self.is_fsdp_enabled or self.is_deepspeed_enabled)

    def record_now(self) -> CheckpointRecord:
        """What a checkpoint written at this moment says of itself."""
        weights = None
        if self._frozen_digest is not None:
            trained = weights_hash(trained_parameters(self.model))
            weights = WeightDigests(start=self._start_digest, trained=trained, frozen=self._frozen_digest)
        return self._record.model_copy(update={"step": int(self.state.global_step), "weights": weights})

    def check_frozen(self) -> None:
        """Make sure that what was frozen is, to the last bit, as it was.

        Raises:
            LptError: It is not; nothing of this run should be used.
        """
        if self._frozen_digest is None:
            return
        if weights_hash(frozen_parameters(self.model)) != self._frozen_digest:
            raise LptError(
                "weights that were frozen have changed during training.",
                "this is a fault in a library or in memory: do not use this run",
            )

    def save_result(self, folder: Path) -> CheckpointRecord:
        """Save what training has come to, with its record last. A whole model is saved in its precision.

        Mixed precision keeps weights in float32 to add small updates up; these are rounded to bfloat16 now.
        """
        mixed = self._record.course.get("model.precision") == "mixed"
        if mixed and not self._record.adapter and not self.sharded:
            for parameter in cast(Any, self.model).parameters():
                parameter.data = parameter.data.to(torch.bfloat16)
        self.save_model(str(folder))
        record = self.record_now()
        if self.is_world_process_zero():
            # A pickle of how it was trained, which nobody who uses the model should have to open.
            (folder / "training_args.bin").unlink(missing_ok=True)
            write_history(self.state.log_history, folder.parent)
            record.write(folder)
        return record

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The weights are there already; see that they are the right ones."""
        if self.sharded:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        folder = Path(resume_from_checkpoint)
        recorded = CheckpointRecord.read(folder).weights
        if recorded is None:
            raise DataError(
                f"{folder} was saved by processes that shared its weights, and has no digest of them.",
                "go on with the launcher and the number of devices that it was begun with",
            )
        found = {
            "trained": weights_hash(trained_parameters(self.model)),
            "frozen": weights_hash(frozen_parameters(self.model)),
        }
        for kind, digest in found.items():
            if digest != getattr(recorded, kind):
                raise DataError(
                    f"the {kind} weights, loaded from {folder}, are not those that were saved there.",
                    "the files have been changed or damaged, or a library reads them otherwise than the one "
                    "that wrote them; remove this checkpoint's folder to go on from the one before it",
                )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """As ever, and the record at the very end: what has one is whole."""
        super()._save_checkpoint(model, trial)
        if self.is_world_process_zero():
            run = Path(cast(str, self.args.output_dir))
            write_history(self.state.log_history, run)
            self.record_now().write(run / f"checkpoint-{self.state.global_step}")


class _EpochOfOrder(TrainerCallback):
    """Tells the order of the rows which epoch begins.

    In the epoch that several processes resume in, accelerate does not: what skips the batches that were
    trained on hides the order from it, and the rest would be that of the first epoch.
    """

    def on_epoch_begin(
        self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **kwargs: Any
    ) -> None:
        """Look for the order inside of whatever is around it."""
        batches: Any = getattr(train_dataloader, "batch_sampler", None)
        while (inner := getattr(batches, "batch_sampler", None)) is not None:
            batches = inner
        order: Any = getattr(batches, "sampler", None)
        if hasattr(order, "set_epoch"):
            order.set_epoch(int(state.epoch or 0))
