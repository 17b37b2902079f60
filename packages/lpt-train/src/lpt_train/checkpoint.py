"""``lpt_train.json``: what a checkpoint says of itself, for resuming and for whoever evaluates it.

It is written last, so that a folder that has it is whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field, JsonValue, ValidationError

from lpt_core import DataError, StoreError
from lpt_train.config import TrainConfig
from lpt_train.images import PixelPolicy
from lpt_train.section import Section

RECORD = "lpt_train.json"


class Weights(Section):
    """Digests of weights, by ``lpt_train.model.weights_hash``.

    Attributes:
        start: Of the whole model as it was loaded, before any step.
        trained: Of all that learns, as it stands here.
        frozen: Of all that does not.
    """

    start: str
    trained: str
    frozen: str


class CheckpointRecord(Section):
    """What a checkpoint says of itself.

    Attributes:
        stage: What it was trained by.
        step: Updates so far.
        model: Name of the model that training started from.
        revision: Its revision, where one was given.
        adapter: Whether the folder holds adapters rather than a whole model.
        weights: Digests; None where the weights are spread over devices (FSDP, DeepSpeed).
        pixels: How pictures were made smaller. An evaluation should show them so.
        template: Fingerprint of the chat template.
        prompt: Fingerprint of the system prompts that the rows have.
        systems: These prompts themselves, each once, sorted; the first 16.
        rows: How many rows were trained on.
        data: Fingerprint of the rows, in their order.
        course: Every setting that decides where training goes, by its place in the configuration.
        versions: Of the libraries.
    """

    version: Literal[1] = 1
    stage: Literal["sft", "dpo", "grpo"]
    step: int = Field(ge=0)
    model: str
    revision: str | None = None
    adapter: bool = False
    weights: Weights | None = None
    pixels: PixelPolicy
    template: str
    prompt: str
    systems: tuple[str, ...] = ()
    rows: int = Field(ge=0)
    data: str
    course: dict[str, JsonValue]
    versions: dict[str, str]

    def write(self, folder: Path) -> None:
        """Put it into a checkpoint's folder, whole or not at all.

        Raises:
            StoreError: It cannot be written.
        """
        try:
            temporary = folder / f".{RECORD}.tmp"
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
            temporary.replace(folder / RECORD)
        except OSError as error:
            raise StoreError(f"{folder / RECORD} cannot be written: {error.strerror or error}.") from error


_NOT_COURSE = frozenset(
    {
        *("data", "evaluation", "log_every", "save_every", "keep", "report_to", "workers"),
        "gradient_checkpointing",
    }
)
"""Settings of a stage that change what is written or how fast, and not where training goes."""


def course_of(config: TrainConfig, stage: Literal["sft", "dpo"], devices: int) -> dict[str, JsonValue]:
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


def read_record(folder: Path) -> CheckpointRecord:
    """What a checkpoint says of itself.

    Raises:
        DataError: The folder has no record, or one that cannot be read.
    """
    path = folder / RECORD
    try:
        return CheckpointRecord.model_validate_json(path.read_bytes())
    except OSError:
        raise DataError(
            f"{folder} has no {RECORD}: it is no checkpoint of lpt-train, or was not written to its end."
        ) from None
    except ValidationError as error:
        detail = error.errors()[0]
        field = ".".join(map(str, detail["loc"]))
        raise DataError(f"{path} cannot be read: {field}: {detail['msg']}.") from None


def checkpoints(run: Path) -> tuple[list[Path], list[Path]]:
    """The checkpoints of a run by step: those that are whole, and those whose writing was cut short."""
    found: list[tuple[int, Path]] = []
    for folder in run.glob("checkpoint-*") if run.is_dir() else ():
        match = re.fullmatch(r"checkpoint-(\d+)", folder.name)
        if match and folder.is_dir():
            found.append((int(match[1]), folder))
    folders = [folder for _, folder in sorted(found)]
    whole = [folder for folder in folders if (folder / RECORD).is_file()]
    return whole, [folder for folder in folders if folder not in whole]
