"""From a stage's section to transformers' ``TrainingArguments``."""

# transformers leaves parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import TrainingArguments

from lpt_core import ConfigError
from lpt_train.config import Precision, StageConfig

ArgumentsT = TypeVar("ArgumentsT", bound=TrainingArguments)


def world_size() -> int:
    """How many processes train together; ``accelerate launch`` and ``torchrun`` tell each of them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def accumulation(stage: StageConfig, name: str, world: int) -> int:
    """Micro-batches that each device adds up for one update.

    Raises:
        ConfigError: ``batch_size`` is no multiple of what the devices take at once.
    """
    at_once = stage.micro_batch * world
    if stage.batch_size % at_once:
        raise ConfigError(
            f"{name}.batch_size is {stage.batch_size}, "
            f"and {world} devices take {stage.micro_batch} rows each.",
            f"give a multiple of {at_once}",
        )
    return stage.batch_size // at_once


def training_arguments(
    stage: StageConfig,
    name: str,
    out: Path,
    *,
    precision: Precision,
    seed: int,
    micro_batches: int | None = None,
    kind: type[ArgumentsT] = TrainingArguments,
    more: Mapping[str, Any] | None = None,
) -> ArgumentsT:
    """The arguments of a trainer for a stage.

    Args:
        stage: Its section.
        name: The section's name, for errors.
        out: Where checkpoints go.
        precision: Of the model.
        seed: Of dropout; the order of the rows has its own draws.
        micro_batches: That each device takes for an update, where it is not ``batch_size`` that tells.

        kind: The class of the arguments.
        more: Further ones, which ``trainer`` may not set either.

    Raises:
        ConfigError: ``trainer`` has an argument that there is not, or one that another setting governs.
    """
    ours: dict[str, Any] = {
        "output_dir": str(out),
        "per_device_train_batch_size": stage.micro_batch,
        "per_device_eval_batch_size": stage.micro_batch,
        "gradient_accumulation_steps": micro_batches or accumulation(stage, name, world_size()),
        "learning_rate": stage.learning_rate,
        "num_train_epochs": stage.epochs,
        "max_steps": stage.max_steps or -1,
        "lr_scheduler_type": stage.schedule,
        "warmup_steps": stage.warmup_steps,
        "weight_decay": stage.weight_decay,
        "adam_beta1": stage.betas[0],
        "adam_beta2": stage.betas[1],
        "max_grad_norm": stage.max_grad_norm,
        "logging_steps": stage.log_every,
        "save_strategy": "steps",
        "save_steps": stage.save_every,
        "save_total_limit": stage.keep,
        "eval_strategy": "steps" if stage.evaluation else "no",
        "eval_steps": stage.save_every,
        "report_to": list(stage.report_to) or "none",
        "dataloader_num_workers": stage.workers,
        "bf16": precision != "float32",
        "seed": seed,
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "use_cpu": not torch.cuda.is_available(),
        # A frozen tower never takes part, and every row has an image: nothing else is ever unused.
        "ddp_find_unused_parameters": False,
    }
    ours |= more or {}
    _fits(stage, name, set(ours), kind)
    given: dict[str, Any] = {"disable_tqdm": True, "logging_first_step": True} | ours
    given.update(stage.trainer)
    try:
        return kind(**given)
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        raise ConfigError(f"{name}.trainer does not fit: {said}") from error


def _fits(stage: StageConfig, name: str, ours: set[str], kind: type[TrainingArguments]) -> None:
    for package in stage.report_to:
        if find_spec(package) is None:
            raise ConfigError(f"{name}.report_to: {package} is not installed.", f"pip install {package}")
    known = {field.name for field in dataclasses.fields(kind)}
    for key in stage.trainer:
        if key not in known:
            raise ConfigError(f"{name}.trainer.{key}: {_owner(kind)} {kind.__name__} has no such argument.")
        if key in ours or "checkpointing" in key:
            raise ConfigError(
                f"{name}.trainer.{key}: another setting governs this.", f"set it under {name}: itself"
            )


def _owner(kind: type[TrainingArguments]) -> str:
    return "transformers'" if kind is TrainingArguments else "TRL's"
