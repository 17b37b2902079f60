"""The folder of a training: the configuration, checkpoints, the log, and in the end the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lpt_core import StoreError
from lpt_train.config import TrainConfig
from lpt_train.settings import dump_config


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a training writes.

    ``config.yaml`` is the configuration, whole; ``checkpoint-N/`` what it goes on from when stopped;
    ``log.jsonl`` and ``watch.png`` what was watched; ``model/`` what came out.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The copy of the configuration."""
        return self.path / "config.yaml"

    @property
    def model(self) -> Path:
        """What came out."""
        return self.path / "model"

    def create(self, config: TrainConfig) -> None:
        """Make the folder and put the configuration into it.

        Raises:
            StoreError: It is something else's, or cannot be written.
        """
        try:
            if self.path.exists() and not self.path.is_dir():
                raise StoreError(f"{self.path} is a file.", "choose another --out")
            others = [file for file in self.path.iterdir()] if self.path.is_dir() else []
            if others and not self.config.is_file():
                raise StoreError(
                    f"{self.path} has files in it and is no training's folder.",
                    "choose a new or an empty one",
                )
            self.path.mkdir(parents=True, exist_ok=True)
            temporary = self.path / ".config.yaml.tmp"
            temporary.write_text(dump_config(config), encoding="utf-8")
            temporary.replace(self.config)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{self.path} cannot be written: {error.strerror or error}.") from error
