"""A question as the model gets it, up to where it begins to write."""

from __future__ import annotations

from lpt_core import PromptExample, ResponseSegment
from lpt_train.encoding import Encoder

OPENING = (ResponseSegment(kind="format", text="<think> ", loss=False),)
"""What every response begins with; a template that opens the thought itself is told apart by it."""


def prompt_tokens(encoder: Encoder, example: PromptExample) -> list[int]:
    """The tokens of a prompt, image tokens included: those that an SFT row of the same question begins with.

    Raises:
        DataError: The prompt does not end with the user's turn, or its image cannot be used.
    """
    encoded = encoder.encode(example.prompt, OPENING)
    return list(encoded.ids[: encoded.prompt_length])
