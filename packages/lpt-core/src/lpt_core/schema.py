"""The records of synthesis that LPT's packages exchange; those to train on are ``lpt_core.training``'s.

All records are frozen, refuse unknown fields, carry ``schema_version`` and are named by their content.
They are read with ``model_validate_json`` and written with ``model_dump_json``; ``json_schemas()`` has
their published JSON Schema.
"""

from __future__ import annotations

import unicodedata
from typing import Literal, Self

from pydantic import Field, model_validator

from lpt_core.chat import ImageRef, Part, Sampling
from lpt_core.errors import DataError
from lpt_core.fingerprint import derived_int, fingerprint

SCHEMA_VERSION = 1
MAX_OPTIONS = 10
"""MMLU-Pro, the widest benchmark of the paper, has ten; a list with more was mostly misread."""

LETTERS = "ABCDEFGHIJ"

OptionStyle = Literal["parens", "dot"]
AnswerStyle = Literal["letter_parens", "letter_dot", "text"]
AnswerStatus = Literal["found", "missing", "ambiguous", "off_menu", "truncated"]
SegmentKind = Literal["thought", "cue", "continuation"]


class Record(Part):
    """The base of all records that are written to files."""

    schema_version: Literal[1] = SCHEMA_VERSION


_INVISIBLE = dict.fromkeys([0xAD, 0x200B, *range(0x200E, 0x2010), *range(0x202A, 0x202F), 0x2060, 0xFEFF])


def normal_text(text: str) -> str:
    """The form in which two texts of options are compared: NFKC, case folded, spaces collapsed.

    Characters that nobody sees (zero-width spaces, soft hyphens, marks of writing direction) go; the
    joiners that build emoji and Persian words stay.
    """
    return " ".join(unicodedata.normalize("NFKC", text).translate(_INVISIBLE).casefold().split())


class Caption(Record):
    """A dense caption and the image that it describes.

    Attributes:
        id: From the text and the image's digest.
        source: What the caption comes from ("docci").
        source_id: The caption's name there.
        split: The source's split, if it has any.
        licence: The licence of the text, where the source states one.
    """

    id: str
    text: str = Field(min_length=1)
    image: ImageRef
    source: str
    source_id: str
    split: str | None = None
    licence: str | None = None

    @classmethod
    def make(
        cls,
        *,
        text: str,
        image: ImageRef,
        source: str,
        source_id: str,
        split: str | None = None,
        licence: str | None = None,
    ) -> Self:
        """A caption with the id that its content gives it."""
        return cls(
            id=fingerprint("caption", {"text": text, "image": image.sha256}),
            text=text,
            image=image,
            source=source,
            source_id=source_id,
            split=split,
            licence=licence,
        )


class Provenance(Part):
    """Where a text that a model wrote comes from.

    Attributes:
        stage: The stage that asked for it.
        prompt: Fingerprint of the prompt's file.
        engine: What kind of engine answered ("openai").
        model: The model's name as configured.
        revision: The model's revision, where one was given.
        sampling: How it was drawn.
        request: Key of the request in the store.
        sample: Which sample of that request, from 0.
    """

    stage: str
    prompt: str
    engine: str
    model: str
    revision: str | None = None
    sampling: Sampling
    request: str
    sample: int = Field(ge=0)


class MCQ(Record):
    """A multiple-choice question with exactly one right option.

    Attributes:
        id: From the caption's id, the question, the options in their written order, and the gold.
        options: Two to ten texts, distinct after normalisation.
        gold: Index of the right option in ``options``.
        kind: Question type as the asker named it ("Spatial"), or None.
    """

    id: str
    caption_id: str
    question: str = Field(min_length=1)
    options: tuple[str, ...] = Field(min_length=2, max_length=MAX_OPTIONS)
    gold: int = Field(ge=0)
    kind: str | None = None
    provenance: Provenance | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not all(normal_text(option) for option in self.options):
            raise ValueError("an option is empty")
        if len({normal_text(option) for option in self.options}) < len(self.options):
            raise ValueError("two options are the same")
        if self.gold >= len(self.options):
            raise ValueError(f"gold is option {self.gold}, of {len(self.options)}, counted from 0")
        return self

    @property
    def gold_text(self) -> str:
        """The text of the right option."""
        return self.options[self.gold]

    @classmethod
    def make(
        cls,
        *,
        caption_id: str,
        question: str,
        options: tuple[str, ...],
        gold: int,
        kind: str | None = None,
        provenance: Provenance | None = None,
    ) -> Self:
        """A question with the id that its content gives it."""
        return cls(
            id=fingerprint("mcq", {"caption": caption_id, "q": question, "o": list(options), "g": gold}),
            caption_id=caption_id,
            question=question,
            options=options,
            gold=gold,
            kind=kind,
            provenance=provenance,
        )


class Presentation(Record):
    """How a question is shown: in which order its options stand, and how it wants to be answered.

    Attributes:
        order: ``order[i]`` is the index in the MCQ's options of what is shown at place i.
        option_style: "parens" shows "(A) x", "dot" shows "A. x".
        answer_style: Asks for "(A)", for "A.", or for the option's full text.
    """

    mcq_id: str
    order: tuple[int, ...]
    option_style: OptionStyle
    answer_style: AnswerStyle

    @model_validator(mode="after")
    def _permutation(self) -> Self:
        if sorted(self.order) != list(range(len(self.order))):
            raise ValueError("order is not a permutation of the options")
        return self

    @classmethod
    def derive(
        cls,
        mcq: MCQ,
        seed: int,
        *,
        shuffle: bool = True,
        option_styles: tuple[OptionStyle, ...] = ("parens", "dot"),
        answer_styles: tuple[AnswerStyle, ...] = ("letter_parens", "letter_dot", "text"),
    ) -> Self:
        """Draw a presentation from the question's own id and a seed (paper, stage 1; seed 42).

        It depends on nothing else: not on the order of rows, not on which other questions there are.
        """
        places = list(range(len(mcq.options)))
        if shuffle:
            places.sort(key=lambda index: derived_int(seed, mcq.id, "order", index))
        return cls(
            mcq_id=mcq.id,
            order=tuple(places),
            option_style=option_styles[derived_int(seed, mcq.id, "option_style") % len(option_styles)],
            answer_style=answer_styles[derived_int(seed, mcq.id, "answer_style") % len(answer_styles)],
        )

    def shown(self, mcq: MCQ) -> tuple[str, ...]:
        """The texts of the options in the order shown.

        Raises:
            DataError: The presentation is another question's.
        """
        if self.mcq_id != mcq.id:
            raise DataError(f"the presentation of question {self.mcq_id} does not fit question {mcq.id}.")
        return tuple(mcq.options[index] for index in self.order)

    def render_options(self, mcq: MCQ) -> str:
        """The options as shown, a line each."""
        form = "({}) {}" if self.option_style == "parens" else "{}. {}"
        return "\n".join(
            form.format(letter, text) for letter, text in zip(LETTERS, self.shown(mcq), strict=False)
        )

    def render_answer(self, mcq: MCQ, option: int) -> str:
        """An option of the MCQ (by its index there) written in the answer style that is asked for.

        Raises:
            DataError: The presentation is another question's.
        """
        place = self.order.index(option)
        if self.answer_style == "text":
            return self.shown(mcq)[place]
        letter = LETTERS[place]
        return f"({letter})" if self.answer_style == "letter_parens" else f"{letter}."


class Verdict(Part):
    """What an answer was read as, and whether that is right. Only ``found`` can be right.

    Attributes:
        status: How the reading went.
        option: Index in the MCQ's options of what was answered; None unless found.
        correct: The gold option was found.
    """

    status: AnswerStatus
    option: int | None = None
    correct: bool = False

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.option is not None) != (self.status == "found"):
            raise ValueError("an option is given exactly when the status is found")
        if self.correct and self.status != "found":
            raise ValueError("only an answer that was found can be correct")
        return self


class Segment(Part):
    """A piece of a thought and where it came from.

    ``provenance`` is None for a cue, which no model wrote.
    """

    kind: SegmentKind
    text: str
    provenance: Provenance | None = None


class Trace(Record):
    """A thought about a question, in segments, with the answer that it led to.

    A short thought has one segment; a thought that was continued has three: the short thought, the cue
    as it was sent (with the full stop and the break that join it), and the continuation, so that the
    texts joined are what the model saw and said.

    Attributes:
        id: From the question, the presentation and the text of all segments and the answer.
        parent: Id of the short trace that was continued, or None.
        answer: What stands after the thought, as the model wrote it.
    """

    id: str
    caption_id: str
    mcq_id: str
    presentation: Presentation
    segments: tuple[Segment, ...] = Field(min_length=1)
    answer: str
    verdict: Verdict
    parent: str | None = None

    @property
    def thought(self) -> str:
        """The whole thought."""
        return "".join(segment.text for segment in self.segments)

    @classmethod
    def make(
        cls,
        *,
        caption_id: str,
        presentation: Presentation,
        segments: tuple[Segment, ...],
        answer: str,
        verdict: Verdict,
        parent: str | None = None,
    ) -> Self:
        """A trace with the id that its content gives it."""
        content = {
            "mcq": presentation.mcq_id,
            "order": list(presentation.order),
            "style": [presentation.option_style, presentation.answer_style],
            "segments": [[segment.kind, segment.text] for segment in segments],
            "answer": answer,
        }
        return cls(
            id=fingerprint("trace", content),
            caption_id=caption_id,
            mcq_id=presentation.mcq_id,
            presentation=presentation,
            segments=segments,
            answer=answer,
            verdict=verdict,
            parent=parent,
        )
