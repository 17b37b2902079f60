"""The records that models are trained on: examples, pairs of preference, prompts to try."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from lpt_core.chat import ImageRef, Message, Part
from lpt_core.fingerprint import fingerprint
from lpt_core.schema import MCQ, Presentation, Record

SFTKind = Literal["short_right", "right_right", "wrong_right"]
PairKind = Literal["right_over_wrong", "short_over_spoiled", "turned_over_wrong", "compact_over_long"]


class ResponseSegment(Part):
    """A piece of a response to be trained on.

    Attributes:
        kind: What it is; "format" for tags and the spaces around them.
        text: The joined texts of all segments are the response.
        loss: Whether it should bear loss; a wrong first thought never does.
    """

    kind: Literal["format", "thought", "cue", "continuation", "answer"]
    text: str
    loss: bool


class SFTExample(Record):
    """A verified response to a question about an image, for supervised fine-tuning.

    Attributes:
        kind: "short_right": a right short thought; "right_right": one that was continued and stayed
            right; "wrong_right": a wrong one that was turned right.
        prompt: System and user messages, the image among them.
        response: In segments; ``text`` has them joined.
        trace_id: The trace that it was made from.
    """

    id: str
    kind: SFTKind
    caption_id: str
    mcq_id: str
    trace_id: str
    image: ImageRef
    prompt: tuple[Message, ...]
    response: tuple[ResponseSegment, ...]

    @property
    def text(self) -> str:
        """The whole response."""
        return "".join(segment.text for segment in self.response)


class PreferencePair(Record):
    """A chosen and a rejected response to the same prompt, for preference optimisation.

    Attributes:
        kind: "right_over_wrong": right short thought over wrong short thought; "short_over_spoiled":
            right short thought over its continuation into a wrong answer; "turned_over_wrong": wrong
            thought turned right over itself, or over its continuation that stayed wrong;
            "compact_over_long": right short thought over its longer continuation that is right as well.
    """

    id: str
    kind: PairKind
    caption_id: str
    mcq_id: str
    chosen_trace_id: str
    rejected_trace_id: str
    image: ImageRef
    prompt: tuple[Message, ...]
    chosen: tuple[ResponseSegment, ...]
    rejected: tuple[ResponseSegment, ...]


class PromptExample(Record):
    """A question about an image and what verifies its answer, for reinforcement learning.

    Attributes:
        id: From the question, the presentation, the image and the prompt's texts.
        prompt: System and user messages, the image among them; those of its SFT examples.
        mcq: The question, with its gold option.
        presentation: How the prompt shows it: what a letter in an answer means.
    """

    id: str
    caption_id: str
    image: ImageRef
    prompt: tuple[Message, ...]
    mcq: MCQ
    presentation: Presentation

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if self.presentation.mcq_id != self.mcq.id:
            raise ValueError("the presentation is another question's")
        if len(self.presentation.order) != len(self.mcq.options):
            raise ValueError("the presentation shows more or fewer options than the question has")
        return self

    @classmethod
    def make(
        cls, *, image: ImageRef, prompt: tuple[Message, ...], mcq: MCQ, presentation: Presentation
    ) -> Self:
        """An example with the id that its content gives it; where the question comes from is left out."""
        content = {
            "mcq": mcq.id,
            "order": list(presentation.order),
            "style": [presentation.option_style, presentation.answer_style],
            "image": image.sha256,
            "prompt": [[message.role, message.text] for message in prompt],
        }
        return cls(
            id=fingerprint("prompt_example", content),
            caption_id=mcq.caption_id,
            image=image,
            prompt=prompt,
            mcq=mcq.model_copy(update={"provenance": None}),
            presentation=presentation,
        )
