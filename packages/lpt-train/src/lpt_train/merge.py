"""Adapters into the model that they were trained on, so that it is used like any other."""

# torch, transformers and peft leave parts of what is used here without types; what comes out is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch

from lpt_core import CheckpointRecord, ConfigError, DataError, StoreError, WeightDigests
from lpt_train.config import LoraSection, ModelConfig, Precision
from lpt_train.model import ADAPTER, load_adapters, load_model, load_processor, weights_hash
from lpt_train.quantize import dequantized

Kind = Literal["float32", "bfloat16"]


def merge(source: Path, to: Path, *, base: str | None = None, dtype: Kind | None = None) -> CheckpointRecord:
    """Add adapters to the weights of their model and save the whole.

    The sum is taken in float32 and rounded once, when it is saved. Adapters that were trained on quantised
    weights are added to just those, turned back: to what they were trained on, not to what it was made from.

    Args:
        source: A run's folder, whose ``model/`` is taken, or the folder of a checkpoint.
        to: A new folder.
        base: Where the model lies now, if it has been moved.
        dtype: To save in; the default is float32 for runs in float32 and bfloat16 for all others.

    Returns:
        The record of the merged model.

    Raises:
        ConfigError: ``source`` holds no adapters, or ``to`` is not new.
        MissingExtraError: They were trained on quantised weights, and bitsandbytes is not installed.
        DataError: The model is not the one that the adapters were trained on.
        StoreError: It cannot be written.
    """
    folder = source / "model" if (source / "model" / ADAPTER).is_file() else source
    if not (folder / ADAPTER).is_file():
        raise ConfigError(
            f"{source} holds no adapters.", "give the folder of a run that was trained with model.lora"
        )
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ConfigError(f"{to} is there already.", "give a new folder")
    record = CheckpointRecord.read(folder)
    precision = _precision(record)
    name = base or record.model
    # Loaded just as it was for training, so that its digest is the same.
    quantize: Literal["nf4"] | None = "nf4" if record.course.get("model.quantize") == "nf4" else None
    config = ModelConfig(
        name=name, revision=record.revision, precision=precision, lora=LoraSection(), quantize=quantize
    )
    model = load_model(config)
    if record.weights is not None and weights_hash(model.named_parameters()) != record.weights.start:
        raise DataError(
            f"the weights of {name} are not those that {folder} was trained on.",
            "give the model that the run began with, with --base where it has been moved"
            + ("; quantised weights may differ between kinds of device" if quantize else ""),
        )
    whole = dequantized(model) if quantize else model.float()
    merged: Any = load_adapters(whole, folder, trainable=False).merge_and_unload(safe_merge=True)
    kind = dtype or ("float32" if precision == "float32" else "bfloat16")
    merged = merged.to(getattr(torch, kind))
    done = record.model_copy(
        update={
            "adapter": False,
            "weights": WeightDigests(
                start=record.weights.start if record.weights else "",
                trained=weights_hash(merged.named_parameters()),
                frozen=weights_hash(()),
            ),
        }
    )
    try:
        merged.save_pretrained(to)
        load_processor(str(folder)).save_pretrained(to)
    except OSError as error:
        raise StoreError(f"{to} cannot be written: {error.strerror or error}.") from error
    done.write(to)
    return done


def _precision(record: CheckpointRecord) -> Precision:
    match record.course.get("model.precision"):
        case "float32":
            return "float32"
        case "bfloat16":
            return "bfloat16"
        case _:
            return "mixed"
