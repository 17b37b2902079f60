"""From a request to a model's inputs."""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from lpt_core import ConfigError, Message, TextPart
from lpt_synth.engines.continuation import THINK
from lpt_synth.engines.hf.loading import Loaded
from lpt_synth.types import Failure, Request

_BEFORE = 8  # tokens of the prompt that decoding needs to see to get the first word's space right


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prompt as a model reads it.

    Attributes:
        inputs: Tensors of a batch of one, on the CPU; those shaped like ``input_ids`` go by token.
        length: Tokens of the prompt.
        before: Its last tokens.
        form: What prompts of one batch must have in common.
    """

    inputs: dict[str, torch.Tensor]
    length: int
    before: tuple[int, ...]
    form: tuple[Any, ...]


def prepare(loaded: Loaded, request: Request, images: Sequence[str]) -> Prepared | Failure:
    """Render the conversation with the model's chat template, and encode it with its images.

    The prefill follows the generation prompt, in one text with it. Where the template opens a thought by
    itself, the thought that the prefill opens takes its place.

    Args:
        loaded: The model.
        request: What is asked.
        images: The images of its messages in their order, as data URLs.

    Returns:
        The prompt, or why this one cannot be asked of this model.

    Raises:
        ConfigError: The template fails, or a text model is shown an image.
    """
    if images and loaded.processor is None:
        raise ConfigError(
            f"{loaded.name} is a text model, and the {request.stage} stage shows images.",
            f"give endpoints.{request.role} a vision-language model",
        )
    text = _rendered(loaded, request)
    try:
        inputs = _encoded(loaded, text, images)
    except Exception as error:  # texts can hold anything, also the marks that stand for images
        return Failure("refused", f"the prompt cannot be encoded: {type(error).__name__}: {error}"[:500])
    ids = inputs["input_ids"]
    length = int(ids.shape[1])
    if length >= loaded.context:
        return Failure("refused", f"the prompt has {length} tokens, and {loaded.name} takes {loaded.context}")
    if not length:
        return Failure("refused", "the prompt is empty")
    before = tuple(cast("list[int]", ids[0, -_BEFORE:].tolist()))
    form = tuple(
        (name, value.dtype, tuple(value.shape[1:]) if value.shape != ids.shape else ())
        for name, value in sorted(inputs.items())
    )
    return Prepared(inputs, length, before, form)


def _rendered(loaded: Loaded, request: Request) -> str:
    turns = [_turn(message, parts=loaded.processor is not None) for message in request.messages]
    try:
        text = loaded.tokenizer.apply_chat_template(
            turns, chat_template=loaded.template, tokenize=False, add_generation_prompt=True
        )
    except Exception as error:  # a template is somebody's program: it may raise anything
        raise ConfigError(f"the chat template of {loaded.name} fails: {error}.") from error
    opened = str(text).rstrip()
    if request.prefill.lstrip().startswith(THINK) and opened.endswith(THINK):
        text = opened.removesuffix(THINK)
    # Half a surrogate pair can stand in a string and in no text.
    return (str(text) + request.prefill).encode("utf-8", "replace").decode("utf-8")


def _turn(message: Message, *, parts: bool) -> dict[str, Any]:
    if not parts:
        return {"role": message.role, "content": message.text}
    content = [
        {"type": "text", "text": part.text} if isinstance(part, TextPart) else {"type": "image"}
        for part in message.content
    ]
    return {"role": message.role, "content": content}


def _encoded(loaded: Loaded, text: str, images: Sequence[str]) -> dict[str, torch.Tensor]:
    """Templates write all special tokens themselves, so none is added here."""
    if loaded.processor is None:
        made = loaded.tokenizer(text, add_special_tokens=False, return_tensors="pt")
        return {"input_ids": made["input_ids"].long(), "attention_mask": made["attention_mask"]}
    pictures = [_opened(url) for url in images]
    more: dict[str, Any] = {"images": pictures} if pictures else {}
    made = loaded.processor(text=[text], add_special_tokens=False, return_tensors="pt", **more)
    return {name: value for name, value in made.items() if isinstance(value, torch.Tensor)}


def _opened(url: str) -> Any:
    """The picture of a data URL: just what a server would have got."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    image.load()
    return image
