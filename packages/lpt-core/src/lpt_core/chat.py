"""Messages to a model, and how its answer is sampled."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["system", "user", "assistant"]


class Part(BaseModel):
    """The base of values inside records: frozen, strict, and refusing unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ImageRef(Part):
    """An image by reference: where it lies and what it holds. Pixels are never stored in a record.

    Attributes:
        path: Where the file was found, as given by the source.
        sha256: Digest of the file's bytes, 64 hexadecimal digits.
        width: Width in pixels, after EXIF orientation.
        height: Height in pixels, after EXIF orientation.
    """

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class TextPart(Part):
    """A piece of text in a message."""

    type: Literal["text"] = "text"
    text: str


class ImagePart(Part):
    """An image in a message."""

    type: Literal["image"] = "image"
    image: ImageRef


ContentPart = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(Part):
    """One turn of a conversation."""

    role: Role
    content: tuple[ContentPart, ...]

    @classmethod
    def of(cls, role: Role, text: str, image: ImageRef | None = None) -> Message:
        """A message of one text, after one image where given."""
        text_part = TextPart(text=text)
        return cls(role=role, content=(text_part,) if image is None else (ImagePart(image=image), text_part))

    @property
    def text(self) -> str:
        """All text of the message; images leave no trace in it."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


class Sampling(Part):
    """How an answer is drawn. ``None`` leaves the endpoint's own default.

    Attributes:
        temperature: Softmax temperature; 0 is greedy.
        top_p: Nucleus mass in (0, 1].
        top_k: Number of most probable tokens; -1 for all.
        repetition_penalty: Multiplicative penalty; 1 is none. Not part of OpenAI's own API.
        max_tokens: The most tokens that may be generated, a thought included.
        stop: Texts at which generation ends.
        bad_words: Texts that decoding must not produce, where the endpoint can ban them.
    """

    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    repetition_penalty: float | None = Field(default=None, gt=0)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: tuple[str, ...] = ()
    bad_words: tuple[str, ...] = ()
