"""What an evaluation is made of: items, responses, scored rows, and what a run was.

A run's folder holds them (see ``folder.py``). Everything that decides a number stands in these records, so
that runs can be compared, scored again and reported on without a model.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from lpt_core import (
    LETTERS,
    MCQ,
    AnswerStatus,
    CheckpointRecord,
    DataError,
    ImageRef,
    Part,
    Presentation,
    Record,
    fingerprint,
)
from lpt_eval.protocol import Protocol

Outcome = Literal["correct", "wrong", "unextractable", "truncated", "failed"]
FinishReason = Literal["stop", "length", "error"]
ModelKind = Literal["server", "transformers", "vllm"]


def _encodable(value: Any) -> Any:
    """The text without lone surrogates, which a server can send and no file can hold."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


Said = Annotated[str, BeforeValidator(_encodable)]
"""What a model or its server said, whatever that is."""

OUTCOMES: tuple[Outcome, ...] = ("correct", "wrong", "unextractable", "truncated", "failed")
FAILURES: tuple[Outcome, ...] = ("unextractable", "truncated", "failed")
"""The outcomes in which nothing was answered. They count as wrong, and are told apart."""


class Item(Record):
    """One question of a benchmark, ready to be asked.

    Attributes:
        id: From the benchmark, the question, its options and gold, and the image's content; not from how it
            is shown, nor from where the row lay.
        benchmark: Name of the benchmark ("vstar").
        source_id: The row's name in the benchmark's own data, for people.
        mcq: The question, its options as the benchmark has them, and the gold.
        presentation: How it is shown when options are not shuffled.
        image: The image, or None in a benchmark of text.
        category: What the benchmark's macro average runs over; None where it has no categories.
        subcategory: A second division, where the benchmark has one.
        cluster: Items of one cluster stand or fall together (MMVP's pairs, questions about one image) and
            are resampled together; the item's own id where it stands alone.
    """

    id: str
    benchmark: str
    source_id: str
    mcq: MCQ
    presentation: Presentation
    image: ImageRef | None = None
    category: str | None = None
    subcategory: str | None = None
    cluster: str

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.presentation.mcq_id != self.mcq.id:
            raise ValueError("the presentation is another question's")
        if len(self.presentation.order) != len(self.mcq.options):
            raise ValueError("the presentation has another number of options than the question")
        return self

    @classmethod
    def make(
        cls,
        *,
        benchmark: str,
        source_id: str,
        mcq: MCQ,
        presentation: Presentation,
        image: ImageRef | None = None,
        category: str | None = None,
        subcategory: str | None = None,
        cluster: str | None = None,
        repeat: int = 0,
    ) -> Self:
        """An item with the id that its content gives it.

        Args:
            benchmark: As all others but the last: see the attributes.
            source_id: As there.
            mcq: As there.
            presentation: As there.
            image: As there.
            category: As there.
            subcategory: As there.
            cluster: What it belongs to; None where it stands alone.
            repeat: How many items before it in the benchmark have the very same content.
        """
        content: dict[str, Any] = {
            "benchmark": benchmark,
            "question": mcq.question,
            "options": list(mcq.options),
            "gold": mcq.gold,
            "image": image.sha256 if image else None,
        }
        if repeat:
            content["repeat"] = repeat
        identity = fingerprint("item", content)
        return cls(
            id=identity,
            benchmark=benchmark,
            source_id=source_id,
            mcq=mcq,
            presentation=presentation,
            image=image,
            category=category,
            subcategory=subcategory,
            cluster=identity if cluster is None else cluster,
        )

    def shown(self, shuffle: int) -> Presentation:
        """How the item is shown in one of several passes over other orders of its options.

        Pass 0 is the item's own presentation; each further pass moves every option on by one place, so that
        as many passes as there are options put each of them once at each place (circular evaluation, as in
        MMBench, arXiv 2307.06281).

        Args:
            shuffle: The pass, from 0; passes repeat after as many as there are options.
        """
        order = self.presentation.order
        turn = shuffle % len(order)
        if turn == 0:
            return self.presentation
        return self.presentation.model_copy(update={"order": order[-turn:] + order[:-turn]})


class ModelIdentity(Part):
    """Which model answered.

    Attributes:
        kind: By what means it ran.
        name: Its name, or its folder.
        revision: Its revision, where known.
        weights: Digest of its weights, where they could be read.
        checkpoint: What lpt-train wrote of it, where it was made so.
    """

    kind: ModelKind
    name: str
    revision: str | None = None
    weights: str | None = None
    checkpoint: CheckpointRecord | None = None


class Response(Record):
    """What a model said to an item, before anybody has read it.

    Attributes:
        item_id: The item.
        shuffle: In which order its options stood (``Item.shown``).
        sample: Which of the samples, from 0.
        text: What it wrote, with the part that was prefilled; empty where the request failed.
        reasoning: What the server gave apart from the text as the thought; None where it gave none.
        finish_reason: How it ended: of itself, at the limit of tokens, or with an error.
        error: What went wrong; None where nothing did.
        prompt_tokens: Tokens of the prompt, image included, as counted by the engine.
        completion_tokens: Tokens generated, as counted by the engine.
        seconds: From the request to the whole answer.
        image_size: Width and height in pixels of the image as it was sent.
    """

    item_id: str
    shuffle: int = Field(default=0, ge=0)
    sample: int = Field(default=0, ge=0)
    text: Said
    reasoning: Said | None = None
    finish_reason: FinishReason
    error: Said | None = None
    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)
    seconds: float | None = Field(default=None, ge=0)
    image_size: tuple[int, int] | None = None

    @property
    def whole(self) -> str:
        """All that the model said, the thought in its tags: what is read."""
        if self.reasoning is None:
            return self.text
        return f"<think>{self.reasoning}</think>{self.text}"


class Row(Response):
    """A response, read and judged.

    ``option`` and ``gold`` count options as the benchmark has them, ``place`` and ``gold_place`` as shown.

    Attributes:
        benchmark: Name of the benchmark.
        source_id: The item's name in the benchmark's own data.
        category: As in the item, like ``subcategory`` and ``cluster``.
        outcome: What became of it.
        status: How the reading went; None where there was nothing to read.
        option: What was answered; None where nothing was.
        gold: What is right.
        place: Where the option stood that was answered.
        gold_place: Where the right one stood.
        thought_chars: Characters of the thought; None where there was none.
        thought_tokens: The thought's share of ``completion_tokens``, by characters.
        answer_tokens: The others.
        protocol: Fingerprint of the protocol.
        reader: ``lpt_core.READER_VERSION`` of the reading.
    """

    benchmark: str
    source_id: str
    category: str | None = None
    subcategory: str | None = None
    cluster: str
    outcome: Outcome
    status: AnswerStatus | None = None
    option: int | None = None
    gold: int
    place: int | None = None
    gold_place: int
    thought_chars: int | None = None
    thought_tokens: int | None = None
    answer_tokens: int | None = None
    protocol: str
    reader: int

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        answered = self.outcome in ("correct", "wrong")
        if answered != (self.option is not None) or answered != (self.place is not None):
            raise ValueError("an option and its place are given exactly when something was answered")
        if answered and (self.option == self.gold) != (self.outcome == "correct"):
            raise ValueError("correct means that the gold option was answered")
        return self

    @property
    def letter(self) -> str | None:
        """The letter that was answered, as shown."""
        return None if self.place is None else LETTERS[self.place]

    @property
    def response(self) -> Response:
        """The response alone, to be scored again."""
        return Response.model_validate({name: getattr(self, name) for name in Response.model_fields})


class BenchmarkRun(Part):
    """What a run was to do on one benchmark.

    Attributes:
        protocol: How it asked.
        items: How many items there are to answer.
        data: Where the items came from, for people (a dataset and its revision, a folder).
    """

    protocol: Protocol
    items: int = Field(ge=0)
    data: str = ""


class RunInfo(Record):
    """What a run was: ``run.json``.

    Attributes:
        model: Which model answered.
        benchmarks: What it was asked, by the benchmark's name.
        shuffles: Over how many orders of the options each item was asked; 1 for its own alone.
        reader: ``lpt_core.READER_VERSION`` of the readings.
        versions: Of the libraries.
    """

    model: ModelIdentity
    benchmarks: dict[str, BenchmarkRun]
    shuffles: int = Field(default=1, ge=1)
    reader: int
    versions: dict[str, str]

    def expected(self, benchmark: str) -> int:
        """How many rows the benchmark has in a run that is complete.

        Raises:
            DataError: The benchmark is not part of the run.
        """
        asked = self.benchmarks.get(benchmark)
        if asked is None:
            raise DataError(f"the run has no benchmark {benchmark!r}: {', '.join(sorted(self.benchmarks))}.")
        return asked.items * asked.protocol.n * self.shuffles
