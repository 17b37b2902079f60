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
