"""Who plays which role: the engines that a configuration can choose, and what each can be told.

``engine`` tells them apart; an endpoint without it is one of HTTP.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, cast

from pydantic import Discriminator, Field, Tag, model_validator

from lpt_synth.endpoint_base import EndpointBase, FolderEndpoint, Price
from lpt_synth.http_endpoint import BatchSection, OpenAIEndpoint
from lpt_synth.section import Section
from lpt_synth.types import Model, Role
from lpt_synth.vllm_endpoint import VLLMEndpoint

__all__ = [
    "ENGINES",
    "BatchSection",
    "Endpoint",
    "EndpointBase",
    "Endpoints",
    "LabTeacherEndpoint",
    "OpenAIEndpoint",
    "PlainEndpoint",
    "Price",
    "RayEndpoint",
    "RayResources",
    "TransformersEndpoint",
    "VLLMEndpoint",
]

ENGINES = ("openai", "transformers", "vllm", "lab_teacher", "ray")
"""What ``engine`` may say."""


class TransformersEndpoint(FolderEndpoint):
    """A model that is loaded with transformers into the process itself: no server, no network."""

    loads_with = "transformers"

    engine: Literal["transformers"]
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

    @property
    def parallel(self) -> int:
        """Enough for a full batch."""
        return self.batch_size


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


def _ray_or_plain(value: object) -> str:
    return "ray" if _engine_of(value) == "ray" else "plain"


PlainEndpoint = Annotated[
    Annotated[OpenAIEndpoint, Tag("openai")]
    | Annotated[TransformersEndpoint, Tag("transformers")]
    | Annotated[VLLMEndpoint, Tag("vllm")]
    | Annotated[LabTeacherEndpoint, Tag("lab_teacher")],
    Discriminator(_engine_of),
]
"""An endpoint whose engine runs on one machine."""


class RayResources(Section):
    """What Ray sets aside for each replica."""

    num_gpus: float = Field(default=0, ge=0, description="the only ones that it sees; 0 reserves none")
    num_cpus: float = Field(default=1, ge=0)
    custom: dict[str, float] = Field(
        default_factory=dict, description="resources that the cluster's nodes were started with, by name"
    )


class RayEndpoint(EndpointBase):
    """Replicas of another engine on the machines of a Ray cluster."""

    engine: Literal["ray"]
    inner: PlainEndpoint = Field(description="what each replica is: an endpoint of any other engine")
    replicas: int = Field(default=1, ge=1)
    resources: RayResources = RayResources()
    address: str | None = Field(
        default=None,
        description="of the cluster; null: RAY_ADDRESS, or this machine's cluster, or one for this run alone",
    )
    patience_s: float = Field(
        default=1800, gt=0, description="the run stops when no replica is there for so long"
    )

    @model_validator(mode="after")
    def _replicas_answer(self) -> Self:
        if isinstance(self.inner, OpenAIEndpoint) and self.inner.batch is not None:
            raise ValueError("inner.batch: a batch API needs no replicas; use it without ray")
        # The licence and the price are the model's, wherever they were written.
        for name in ("licence", "price"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(self.inner, name))
        return self

    @property
    def identity(self) -> Model:
        """That of the model: where it runs is no part of it."""
        return self.inner.identity

    @property
    def title(self) -> str:
        """As without Ray."""
        return self.inner.title

    @property
    def parallel(self) -> int:
        """Enough for all replicas."""
        return self.replicas * self.inner.parallel

    @property
    def gives_json(self) -> bool:
        """As without Ray."""
        return self.inner.gives_json

    def pinned(self) -> Self:
        """With the digest of the model's folder, which every replica's must have."""
        return self.model_copy(update={"inner": self.inner.pinned()})


Endpoint = Annotated[
    Annotated[PlainEndpoint, Tag("plain")] | Annotated[RayEndpoint, Tag("ray")], Discriminator(_ray_or_plain)
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

    @property
    def take_turns(self) -> bool:
        """Whether there are models that one after the other get the same device."""
        mine = [end for end in (self.asker, self.thinker, self.expander, self.judge) if end is not None]
        loaded = {end.model_dump_json(exclude={"licence", "price"}): end for end in mine}
        shares: dict[int, float] = {}
        for end in loaded.values():
            if isinstance(end, VLLMEndpoint):
                for place in end.places:
                    shares[place] = shares.get(place, 0.0) + end.gpu_memory_utilization
        return any(share > 1 + 1e-6 for share in shares.values())

    def pinned(self) -> Endpoints:
        """All of them pinned; see ``EndpointBase.pinned``."""
        roles: tuple[Role, ...] = ("asker", "thinker", "expander", "judge")
        return Endpoints(**{role: end.pinned() for role in roles if (end := self.of(role))})
