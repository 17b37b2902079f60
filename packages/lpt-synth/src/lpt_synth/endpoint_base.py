"""What every endpoint has, whichever engine answers for it."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from lpt_synth.model_folder import as_folder, folder_digest, missing_in
from lpt_synth.section import Section
from lpt_synth.types import Model


class Price(Section):
    """What an endpoint costs, in any one currency per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class EndpointBase(Section):
    """What all endpoints share."""

    licence: str | None = Field(default=None, description="licence of the model's outputs, for the card")
    price: Price | None = None

    @property
    @abstractmethod
    def identity(self) -> Model:
        """What of the endpoint belongs to a request's key, and the engine, which does not.

        Raises:
            ConfigError: The model's folder cannot be read.
        """

    @property
    def title(self) -> str:
        """The model's name for people: in the card, in messages."""
        return self.identity.name

    @property
    def parallel(self) -> int:
        """How many requests keep the engine busy."""
        return 1

    @property
    def gives_json(self) -> bool:
        """Whether the engine can be held to a JSON schema."""
        return False

    @property
    def paid(self) -> Price | None:
        """The price that is paid in the end; None where there is no price."""
        return self.price

    def pinned(self) -> Self:
        """The same endpoint, with a revision that stays when the files that it was read from are gone.

        Raises:
            ConfigError: The model's folder cannot be read.
        """
        return self


class FolderEndpoint(EndpointBase):
    """What endpoints share whose model is loaded here, from a folder or from the hub."""

    loads_with: ClassVar[str]
    """The engine's name, for provenance."""

    model: str = Field(min_length=1, description="a folder that save_pretrained wrote, or a hub id")
    revision: str | None = Field(
        default=None,
        description="of a hub id: branch, tag or commit; of a folder the digest of its files is found",
    )

    @model_validator(mode="after")
    def _model_is_there(self) -> Self:
        folder = as_folder(self.model)
        # With a revision, what the folder held is known; a run's copy is read where the folder is not.
        if folder is not None and self.revision is None and (problem := missing_in(folder)):
            raise ValueError(f"model: {problem}")
        return self

    @property
    def folder(self) -> Path | None:
        """The model's folder; None for a hub id."""
        return as_folder(self.model)

    @property
    def identity(self) -> Model:
        """The folder's name and the digest of its files, or the hub id and the revision as given."""
        folder = self.folder
        if folder is None:
            return Model(self.model, self.revision, self.loads_with)
        return Model(folder.name, self.revision or folder_digest(folder), self.loads_with)

    def pinned(self) -> Self:
        """With the digest of the folder as its revision."""
        return self.model_copy(update={"revision": self.identity.revision})
