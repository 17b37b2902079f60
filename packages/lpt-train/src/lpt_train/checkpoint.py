"""What of a training its checkpoints' records say, and which checkpoints a run has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import JsonValue

from lpt_core import CHECKPOINT_FILE
from lpt_train.config import TrainConfig

_NOT_COURSE = frozenset(
    {
        *("data", "evaluation", "log_every", "save_every", "keep", "evaluate", "report_to", "workers"),
        "gradient_checkpointing",
    }
)
"""Settings of a stage that change what is written or how fast, and not where training goes."""


def course_of(
    config: TrainConfig, stage: Literal["sft", "dpo", "grpo"], devices: int
) -> dict[str, JsonValue]:
    """Every setting that decides where a training goes, by its place in the configuration.

    A model's folder is left out, as it may be moved; its weights have a digest. So are the rows, which
    have one too.
    """
    whole: dict[str, Any] = config.model_dump(mode="json", include={"seed", "model", "data", stage})
    whole[stage] = {name: value for name, value in whole[stage].items() if name not in _NOT_COURSE}
    if Path(config.model.name).is_dir():
        del whole["model"]["name"]
    return dict(_flat(whole, "")) | {"devices": devices}


def _flat(tree: dict[str, Any], above: str) -> Iterator[tuple[str, JsonValue]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(cast("dict[str, Any]", value), f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def versions() -> dict[str, str]:
    """Of the libraries that a training rests on."""
    return {name: version(name) for name in ("lpt-train", "peft", "torch", "transformers")}


def checkpoints(run: Path) -> tuple[list[Path], list[Path]]:
    """The checkpoints of a run by step: those that are whole, and those whose writing was cut short."""
    found: list[tuple[int, Path]] = []
    for folder in run.glob("checkpoint-*") if run.is_dir() else ():
        match = re.fullmatch(r"checkpoint-(\d+)", folder.name)
        if match and folder.is_dir():
            found.append((int(match[1]), folder))
    folders = [folder for _, folder in sorted(found)]
    whole = [folder for folder in folders if (folder / CHECKPOINT_FILE).is_file()]
    return whole, [folder for folder in folders if folder not in whole]
