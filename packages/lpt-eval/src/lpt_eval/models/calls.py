"""From lmms-eval's requests to calls: plain values that say all that decides an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from lpt_core import DataError, PixelPolicy, Sampling, derived_int
from lpt_eval.images import Shown
from lpt_eval.journal import answer_key

if TYPE_CHECKING:
    from PIL.Image import Image

Picture = Path | Shown
"""An image: a file, read when it is needed, or one in memory."""

DEFAULT_TOKENS = 1024
"""The most tokens of an answer where the protocol has no limit."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A message: texts and images in their order."""

    role: str
    parts: tuple[str | Picture, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a call is answered, as the task's ``generation_kwargs`` say.

    Attributes:
        sampling: How answers are drawn.
        seed: Of the draws.
        pixels: How images are made smaller.
        prefill: With what the answer is made to begin.
    """

    sampling: Sampling
    seed: int | None = None
    pixels: PixelPolicy | None = None
    prefill: str = ""

    @property
    def greedy(self) -> bool:
        """Whether the most probable token is taken each time."""
        return not self.sampling.temperature

    def to_kwargs(self) -> dict[str, Any]:
        """As ``generation_kwargs`` of a task."""
        sampling, pixels = self.sampling, self.pixels
        return {
            "max_new_tokens": sampling.max_tokens,
            "temperature": sampling.temperature or 0.0,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "repetition_penalty": sampling.repetition_penalty,
            "until": list(sampling.stop),
            "do_sample": not self.greedy,
            "seed": self.seed,
            "pixels": None if pixels is None else pixels.model_dump(),
            "prefill": self.prefill,
        }

    @classmethod
    def from_kwargs(cls, kwargs: Mapping[str, Any]) -> Settings:
        """From ``generation_kwargs``, those of lmms-eval's own tasks included."""
        until = kwargs.get("until") or ()
        pixels = kwargs.get("pixels")
        temperature = kwargs.get("temperature")
        if temperature is None and not kwargs.get("do_sample"):
            temperature = 0.0
        return cls(
            Sampling(
                temperature=None if temperature is None else float(temperature),
                top_p=None if kwargs.get("top_p") is None else float(kwargs["top_p"]),
                top_k=kwargs.get("top_k"),
                repetition_penalty=kwargs.get("repetition_penalty"),
                max_tokens=kwargs.get("max_new_tokens"),
                stop=(until,) if isinstance(until, str) else tuple(until),
            ),
            seed=kwargs.get("seed"),
            pixels=None if pixels is None else PixelPolicy.model_validate(pixels),
            prefill=kwargs.get("prefill") or "",
        )


Place = tuple[str, int, int]
"""Where a call comes from: task, number of the document, number of the sample."""


@dataclass(frozen=True, slots=True)
class Call:
    """One answer that is wanted.

    Attributes:
        place: Where it comes from.
        turns: What is told.
        settings: How it is answered.
    """

    place: Place
    turns: tuple[Turn, ...]
    settings: Settings

    @property
    def images(self) -> list[Picture]:
        """The images of all messages."""
        return [part for turn in self.turns for part in turn.parts if not isinstance(part, str)]

    def key(self, identity: Mapping[str, Any], digests: Mapping[Picture, str]) -> str:
        """The journal's key of the answer.

        Args:
            identity: Which weights answer.
            digests: SHA-256 of each image's file.
        """
        settings = self.settings
        return answer_key(
            {
                "messages": [
                    [
                        turn.role,
                        [["text", p] if isinstance(p, str) else ["image", digests[p]] for p in turn.parts],
                    ]
                    for turn in self.turns
                ],
                "sampling": settings.sampling.model_dump(mode="json"),
                "seed": settings.seed,
                "pixels": settings.pixels.label if settings.pixels else None,
                "prefill": settings.prefill,
                "sample": self.place[2],
                "model": dict(identity),
            }
        )

    def draw_seed(self, key: str) -> int:
        """The seed of this answer's draws: from its key alone, which has the protocol's in it."""
        return derived_int(self.settings.seed or 0, key, bits=31)


def opened(picture: Picture) -> Shown:
    """The image with its bytes.

    Raises:
        DataError: It cannot be read.
    """
    return picture if isinstance(picture, Shown) else Shown.file(picture)


def chat_of(
    call: Call, shown: Callable[[Image], dict[str, Any]]
) -> tuple[list[dict[str, Any]], tuple[int, int] | None]:
    """A call as OpenAI's chat interface has messages, its prefill last, and the size of the image as it goes.

    Args:
        call: The call.
        shown: Makes a part of a message of a picture, which has been made smaller.

    Raises:
        DataError: An image cannot be read.
    """
    messages, size = list[dict[str, Any]](), None
    for turn in call.turns:
        content: list[dict[str, Any]] = []
        for part in turn.parts:
            if isinstance(part, str):
                content.append({"type": "text", "text": part})
                continue
            picture = opened(part).under(call.settings.pixels)
            size = size or picture.size
            content.append(shown(picture))
        alone = len(content) == 1 and content[0]["type"] == "text"
        messages.append({"role": turn.role, "content": content[0]["text"] if alone else content})
    if call.settings.prefill:
        messages.append({"role": "assistant", "content": call.settings.prefill})
    return messages, size


def turns_of(messages: Sequence[Mapping[str, Any]]) -> tuple[Turn, ...]:
    """From messages as lmms-eval's tasks give them.

    Raises:
        DataError: A message has something else than text and images.
    """
    return tuple(
        Turn(str(message["role"]), tuple(_part(part) for part in _content(message))) for message in messages
    )


def _content(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _part(part: Mapping[str, Any]) -> str | Picture:
    kind = cast(Literal["text", "image"], part.get("type"))
    if kind == "text":
        return str(part["text"])
    if kind == "image":
        image = part.get("url") or part.get("image")
        return Path(image) if isinstance(image, str) else Shown.picture(cast(Any, image))
    raise DataError(f"a message has a part of type {kind!r}; only text and images can be shown.")
