"""What passes between stages, engines, the store and the runner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, Protocol

from lpt_core import (
    MCQ,
    Caption,
    ImagePart,
    ImageRef,
    Message,
    Presentation,
    Sampling,
    Trace,
    fingerprint,
)

Role = Literal["asker", "thinker", "expander", "judge"]
StageName = Literal["ask", "reformat", "think", "expand", "judge"]


@dataclass(frozen=True, slots=True)
class Model:
    """Which model answers: the part of an endpoint that belongs to a request's identity.

    Attributes:
        name: As its maker calls it.
        revision: Which state of it, where that is known.
        engine: Through which engine, for provenance; the same model elsewhere is the same model, so this is
            no part of a request's key.
    """

    name: str
    revision: str | None = None
    engine: str = "openai"


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to ask of one model, as often as there are samples.

    Attributes:
        stage: The stage that asks.
        role: Which endpoint answers.
        item: Id of the record that is asked about, for people: it groups requests, and is no part of
            the key.
        messages: The conversation; images by reference.
        prefill: The beginning of the answer, which the model is to continue; "" for none.
        sampling: How each sample is drawn.
        n: How many samples are wanted.
        prompt: Fingerprint of the prompt, for provenance and for telling why something is asked again.
        model: Who answers.
        pixels: Label of the pixel policy, where an image is sent.
        response_schema: JSON schema that the answer must have, where the endpoint knows such.
        key: The identity of the request, see ``lpt_core.fingerprint.IDENTITY``.
    """

    stage: StageName
    role: Role
    item: str
    messages: tuple[Message, ...]
    prefill: str
    sampling: Sampling
    n: int
    prompt: str
    model: Model
    pixels: str
    response_schema: Mapping[str, Any] | None
    key: str

    @classmethod
    def make(
        cls,
        *,
        stage: StageName,
        role: Role,
        item: str,
        messages: tuple[Message, ...],
        sampling: Sampling,
        n: int,
        prompt: str,
        model: Model,
        prefill: str = "",
        pixels: str = "",
        response_schema: Mapping[str, Any] | None = None,
    ) -> Request:
        """A request with the key that its content gives it."""
        content = {
            "stage": stage,
            "messages": [_message_identity(message, pixels) for message in messages],
            "prefill": prefill,
            "sampling": _as_json(sampling),  # pyright: ignore[reportArgumentType] # frozen models have a hash
            "response_schema": response_schema,
            "model": model.name,
            "revision": model.revision,
        }
        key = fingerprint("request", content)
        return cls(
            stage, role, item, messages, prefill, sampling, n, prompt, model, pixels, response_schema, key
        )

    @property
    def image(self) -> ImageRef | None:
        """The image that travels with the request, if any."""
        parts = (part for message in self.messages for part in message.content)
        return next((part.image for part in parts if isinstance(part, ImagePart)), None)

    @property
    def parts(self) -> dict[str, str]:
        """What could make the request another one, each as a short mark, for telling why it was.

        The same for all requests of a stage; what an item brings along (its text, its prefill) is not here.
        """
        return {
            "prompt": self.prompt,
            "sampling": _mark(self.sampling),  # pyright: ignore[reportArgumentType] # as above
            "model": f"{self.model.name}@{self.model.revision or 'unspecified'}",
            "pixels": self.pixels,
            "response_schema": fingerprint("schema", self.response_schema) if self.response_schema else "",
        }


# A run has a handful of samplings and hundreds of thousands of requests.
@lru_cache(maxsize=64)
def _as_json(sampling: Sampling) -> dict[str, Any]:
    return sampling.model_dump(mode="json")


@lru_cache(maxsize=64)
def _mark(sampling: Sampling) -> str:
    return fingerprint("sampling", sampling.model_dump(mode="json"))


def _message_identity(message: Message, pixels: str) -> list[Any]:
    content = [
        {"image": part.image.sha256, "pixels": pixels} if isinstance(part, ImagePart) else part.text
        for part in message.content
    ]
    return [message.role, content]


NOT_CONTINUED = "not_continued"
"""The finish reason of a sample that should have gone on from the prefill and did not."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One sample that a model wrote.

    Attributes:
        text: For a prefilled request, what follows the prefill; where the model did not go on from it
            (finish reason ``NOT_CONTINUED``), all that it wrote.
        finish_reason: As the endpoint gave it ("stop", "length"), or ``NOT_CONTINUED``.
    """

    text: str
    finish_reason: str = "stop"


FailureKind = Literal[
    "refused",  # 400, 413, 422, …: this request will never pass
    "throttled",  # 429
    "server",  # 5xx
    "connection",  # the connection failed or was cut
    "timeout",
    "malformed",  # a body that is not what was asked for
]


@dataclass(frozen=True, slots=True)
class Failure:
    """A sample that was given up on. It is stored, counted, and tried again by the next run.

    Attributes:
        kind: What went wrong.
        message: In the endpoint's own words, shortened, secrets removed.
        status: HTTP status, where there was one.
    """

    kind: FailureKind
    message: str
    status: int | None = None


Outcome = Completion | Failure


@dataclass(frozen=True, slots=True)
class Reply:
    """What an engine made of one request: one outcome for each sample asked for, in their order.

    Attributes:
        outcomes: As many as samples were asked for.
        input_tokens: Tokens that the endpoint counted for the prompt (over all attempts that answered).
        output_tokens: Tokens that it counted for all samples.
        sent: HTTP requests that were sent for it, retries included (1 for engines without HTTP).
        mode: How a prefill was made to be continued; "" where there was none.
        model: The model's name as the endpoint reported it.
    """

    outcomes: tuple[Outcome, ...]
    input_tokens: int = 0
    output_tokens: int = 0
    sent: int = 1
    mode: str = ""
    model: str = ""


class Engine(Protocol):
    """Turns requests into outcomes: exactly one for each sample, never an exception for a failed one.

    ``complete`` may be called concurrently, as often as there is work; an engine limits itself.
    """

    name: str

    async def open(self) -> None:
        """Get ready to answer.

        Raises:
            EndpointError: It can never answer (wrong key, unknown model, nobody there).
        """
        ...

    async def complete(self, request: Request, samples: Sequence[int]) -> Reply:
        """Answer the samples with these numbers.

        Raises:
            EndpointError: No request of this kind can be answered (401, 403, 404): the run must stop.
        """
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


# ---- what a run has made of one caption ------------------------------------------------------------


@dataclass(slots=True)
class LongNode:
    """A continued thought. ``dropped`` says which filter took it, None if none did."""

    trace: Trace
    dropped: str | None = None


@dataclass(slots=True)
class ShortNode:
    """A short thought and its continuations. ``dropped`` as above."""

    trace: Trace
    dropped: str | None = None
    longs: list[LongNode] = field(default_factory=list["LongNode"])


@dataclass(slots=True)
class MCQNode:
    """A question, how it was shown, and its short thoughts."""

    mcq: MCQ
    presentation: Presentation
    prompt: tuple[Message, ...]
    shorts: list[ShortNode] = field(default_factory=list[ShortNode])


@dataclass(slots=True)
class CaptionTree:
    """Everything that the store holds about one caption, read and verified.

    Attributes:
        tally: How many things came to each end, by "stage.end"; see ``lpt_synth.funnel``.
        absent: Samples that are not in the store yet.
        failed: Samples that were given up on.
    """

    caption: Caption
    mcqs: list[MCQNode] = field(default_factory=list[MCQNode])
    tally: Counter[str] = field(default_factory=Counter[str])
    absent: int = 0
    failed: int = 0

    @property
    def complete(self) -> bool:
        """Nothing is missing: neither to be asked nor to be asked again."""
        return not self.absent and not self.failed
