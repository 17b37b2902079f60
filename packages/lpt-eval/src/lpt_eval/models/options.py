"""How a model is reached, before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lpt_eval.journal import Journal
    from lpt_eval.models.recording import RecordingModel


@dataclass(frozen=True, slots=True)
class Local:
    """A model that is loaded into the process; see ``models.local.LocalModel``."""

    model: str
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 16

    def open(self, journal: Journal, note: Callable[[str], None]) -> RecordingModel:
        """The model; its weights are read when it is first asked.

        Raises:
            LptError: It cannot be used.
        """
        from lpt_eval.models.local import LocalModel

        return LocalModel(
            self.model,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            journal=journal,
            note=note,
        )


@dataclass(frozen=True, slots=True)
class Server:
    """A model behind an OpenAI-compatible server; see ``models.server.ServerModel``."""

    model: str
    base_url: str
    revision: str | None = None
    api_key_env: str | None = None
    concurrency: int = 32

    def open(self, journal: Journal, note: Callable[[str], None]) -> RecordingModel:
        """The model.

        Raises:
            LptError: It cannot be used.
        """
        from lpt_eval.models.server import ServerModel

        return ServerModel(
            self.model,
            self.base_url,
            revision=self.revision,
            api_key_env=self.api_key_env,
            concurrency=self.concurrency,
            journal=journal,
            note=note,
        )
