"""``lpt_train.json``: what a checkpoint says of itself, for resuming it and for whoever evaluates it.

It lies in the folder of every checkpoint and of every model that lpt-train makes, and is written last: a
folder that has one is whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError

from lpt_core.chat import Part
from lpt_core.errors import DataError, StoreError
from lpt_core.pixels import PixelPolicy
from lpt_core.schema import Record

CHECKPOINT_FILE = "lpt_train.json"
"""Its name in a checkpoint's folder."""


class WeightDigests(Part):
    """Digests of a model's weights: of names, types, shapes and every byte.

    Attributes:
        start: Of the whole model as it was loaded, before any step.
        trained: Of all that learns, as it stands here.
        frozen: Of all that does not.
    """

    start: str
    trained: str
    frozen: str


class CheckpointRecord(Record):
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

    stage: Literal["sft", "dpo", "grpo"]
    step: int = Field(ge=0)
    model: str
    revision: str | None = None
    adapter: bool = False
    weights: WeightDigests | None = None
    pixels: PixelPolicy
    template: str
    prompt: str
    systems: tuple[str, ...] = ()
    rows: int = Field(ge=0)
    data: str
    course: dict[str, JsonValue]
    versions: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> CheckpointRecord:
        """The record of a checkpoint's folder.

        Raises:
            DataError: The folder has no record, or one that cannot be read.
        """
        path = folder / CHECKPOINT_FILE
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError:
            raise DataError(
                f"{folder} has no {CHECKPOINT_FILE}: it is no checkpoint of lpt-train, "
                "or was not written to its end."
            ) from None
        except ValidationError as error:
            detail = error.errors()[0]
            field = ".".join(map(str, detail["loc"]))
            raise DataError(f"{path} cannot be read: {field}: {detail['msg']}.") from None

    def write(self, folder: Path) -> None:
        """Put it into a checkpoint's folder, whole or not at all.

        Raises:
            StoreError: It cannot be written.
        """
        try:
            temporary = folder / f".{CHECKPOINT_FILE}.tmp"
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
            temporary.replace(folder / CHECKPOINT_FILE)
        except OSError as error:
            raise StoreError(
                f"{folder / CHECKPOINT_FILE} cannot be written: {error.strerror or error}."
            ) from error
