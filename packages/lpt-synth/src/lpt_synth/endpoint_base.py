"""What every endpoint has, whichever engine answers for it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from pydantic import Field

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
