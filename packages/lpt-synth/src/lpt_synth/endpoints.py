"""Who plays which role: the engines that a configuration can choose, and what each can be told.

``engine`` tells them apart; an endpoint without it is one of HTTP.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from lpt_synth.model_folder import as_folder, folder_digest, missing_in
from lpt_synth.section import Section
from lpt_synth.types import Model, Role

ENGINES = ("openai", "transformers", "lab_teacher")
"""What ``engine`` may say."""


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

    def pinned(self) -> Self:
        """The same endpoint, with a revision that stays when the files that it was read from are gone.

        Raises:
            ConfigError: The model's folder cannot be read.
        """
        return self


class OpenAIEndpoint(EndpointBase):
    """A model behind an OpenAI-compatible server."""

    engine: Literal["openai"] = "openai"
    base_url: str = Field(description="up to and including /v1")
    model: str = Field(min_length=1)
    revision: str | None = Field(default=None, description="part of the identity of answers and of the card")
    api_key_env: str | None = Field(
        default=None, description="NAME of the environment variable that holds the key"
    )
    concurrency: int = Field(default=64, ge=1, description="the most requests in flight; fewer on 429s")
    timeout_s: float = Field(default=600, gt=0, description="for one request, seconds")
    max_attempts: int = Field(default=12, ge=1, description="before a request is given up on")
    patience_s: float = Field(
        default=120, ge=0, description="the run stops when nothing succeeds for so long"
    )
    seeds: bool = Field(default=True, description="send a seed with each request")
    json_schema: bool = Field(default=False, description="the endpoint knows response_format json_schema")
    ban_words: bool = Field(default=True, description="send bad_words (vLLM's field) for the expander")
    extra_sampling: bool = Field(
        default=True, description="send top_k and repetition_penalty, which OpenAI's own API does not know"
    )
    prefill: Literal["auto", "continue_final_message", "prefix", "completions", "instruct", "none"] = Field(
        default="auto", description="how a begun answer is continued; auto probes the endpoint once"
    )
    chat_template: str | None = Field(
        default=None,
        description="for completions: chatml, deepseek-r1, or a file (.jinja, tokenizer_config.json)",
    )
    extra_body: dict[str, Any] = Field(default_factory=dict, description="more fields for every request")

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an http(s) URL, such as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError("holds credentials or a query; name the key's variable in api_key_env instead")
        return url.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _a_name(cls, name: str | None) -> str | None:
        # Never repeat the value: it may be the key itself, put here by mistake.
        if name is not None and not (name.replace("_", "").isalnum() and name == name.upper()):
            raise ValueError("the NAME of an environment variable in capitals (OPENAI_API_KEY), not the key")
        return name

    @property
    def identity(self) -> Model:
        """The name and revision as the configuration gives them."""
        return Model(self.model, self.revision)

    @property
    def parallel(self) -> int:
        """As many as may be in flight."""
        return self.concurrency

    @property
    def gives_json(self) -> bool:
        """As the configuration says."""
        return self.json_schema


class TransformersEndpoint(EndpointBase):
    """A model that is loaded with transformers into the process itself: no server, no network."""

    engine: Literal["transformers"]
    model: str = Field(min_length=1, description="a folder that save_pretrained wrote, or a hub id")
    revision: str | None = Field(
        default=None,
        description="of a hub id: branch, tag or commit; of a folder the digest of its files is found",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "float64"] = Field(
        default="auto",
        description="auto: as saved; in float64 no answer depends on which others share its batch",
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$",
        description="auto: the accelerator where there is one, or cpu; cuda:1 for the second",
    )
    batch_size: int = Field(default=32, ge=1, description="the most samples that are generated at once")
    max_batch_tokens: int = Field(
        default=65_536, ge=1, description="the most tokens of a batch: prompts, padding, and all it may write"
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        default="auto", description="implementation of attention; auto: the model's own choice"
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
            return Model(self.model, self.revision, self.engine)
        return Model(folder.name, self.revision or folder_digest(folder), self.engine)

    @property
    def parallel(self) -> int:
        """Enough for a full batch."""
        return self.batch_size

    def pinned(self) -> Self:
        """With the digest of the folder as its revision."""
        return self.model_copy(update={"revision": self.identity.revision})


class LabTeacherEndpoint(EndpointBase):
    """The laboratory's simulated teacher, which reads captions of the laboratory's world alone."""

    engine: Literal["lab_teacher"]
    licence: str | None = Field(
        default="Apache-2.0", description="licence of the model's outputs, for the card"
    )
    model: str = Field(default="lab-teacher-v1", min_length=1)
    seed: int = Field(default=0, description="of all that it draws")
    malformed: float = Field(default=0.05, ge=0, le=1, description="rate of questions that break the form")
    lapse: float = Field(default=0.15, ge=0, le=1, description="rate of continuations that end wrong")
    breaks_off: float = Field(default=0.05, ge=0, le=1, description="rate of continuations that never close")

    @property
    def identity(self) -> Model:
        """Its settings are its revision: with others it answers otherwise."""
        rates = f"malformed={self.malformed!r},lapse={self.lapse!r},breaks_off={self.breaks_off!r}"
        return Model(self.model, f"seed={self.seed},{rates}", self.engine)

    @property
    def title(self) -> str:
        """What it is stands beside its name."""
        return f"{self.model} (simulated teacher)"


def _engine_of(value: object) -> str:
    """Which of the endpoints a section is to be read as."""
    if isinstance(value, dict):
        return str(cast("dict[str, object]", value).get("engine", "openai"))
    return str(getattr(value, "engine", "openai"))


Endpoint = Annotated[
    Annotated[OpenAIEndpoint, Tag("openai")]
    | Annotated[TransformersEndpoint, Tag("transformers")]
    | Annotated[LabTeacherEndpoint, Tag("lab_teacher")],
    Discriminator(_engine_of),
]


class Endpoints(Section):
    """Who plays which role. The judge is needed only where judging is on."""

    asker: Endpoint
    thinker: Endpoint
    expander: Endpoint
    judge: Endpoint | None = None

    def of(self, role: Role) -> Endpoint | None:
        """The endpoint of a role."""
        return getattr(self, role)

    def pinned(self) -> Endpoints:
        """All of them pinned; see ``EndpointBase.pinned``."""
        roles: tuple[Role, ...] = ("asker", "thinker", "expander", "judge")
        return Endpoints(**{role: end.pinned() for role in roles if (end := self.of(role))})
