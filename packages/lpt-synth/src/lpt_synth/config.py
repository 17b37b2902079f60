"""The configuration of a run: strict, with every field documented, and errors that name the line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from lpt_core import AnswerStyle, OptionStyle, Sampling
from lpt_core import PixelPolicy as SizePolicy
from lpt_synth.endpoints import (
    ENGINES,
    BatchSection,
    Endpoint,
    EndpointBase,
    Endpoints,
    LabTeacherEndpoint,
    OpenAIEndpoint,
    Price,
    RayEndpoint,
    TransformersEndpoint,
    VLLMEndpoint,
)
from lpt_synth.section import Section
from lpt_synth.shard import ShardText

__all__ = [
    "ENGINES",
    "AskConfig",
    "BatchSection",
    "DocciSource",
    "Endpoint",
    "EndpointBase",
    "Endpoints",
    "ExpandConfig",
    "FolderSource",
    "HubSource",
    "JudgeConfig",
    "LabTeacherEndpoint",
    "OpenAIEndpoint",
    "PairMix",
    "PairQuota",
    "PixelPolicy",
    "Price",
    "RayEndpoint",
    "RunConfig",
    "SFTMix",
    "Section",
    "SelectConfig",
    "SourceBase",
    "SourceConfig",
    "TableSource",
    "ThinkConfig",
    "TransformersEndpoint",
    "VLLMEndpoint",
]

# ---- captions and images ---------------------------------------------------------------------------


class SourceBase(Section):
    """What all sources share."""

    on_bad: Literal["skip", "stop"] = Field(
        default="skip", description="what to do with a row that cannot be used"
    )
    limit: int | None = Field(default=None, ge=1, description="at most so many captions")
    shuffle: bool = Field(
        default=False, description="take them in an order drawn from the seed rather than in the source's own"
    )
    shard: ShardText | None = Field(
        default=None, description="i/n: only the i-th of n parts of the captions; `run --shard` sets it"
    )
    max_image_pixels: int = Field(
        default=178_956_970, ge=1, description="larger images are refused as decompression bombs"
    )
    licence: str | None = Field(default=None, description="licence of the captions, for the dataset card")


class DocciSource(SourceBase):
    """DOCCI's own files: ``docci_descriptions.jsonlines`` and a folder of images."""

    kind: Literal["docci"]
    licence: str | None = Field(default="CC BY 4.0", description="licence of the captions, for the card")
    captions: Path
    images: Path
    split: str | None = Field(default="train", description="train, test, qual_dev, qual_test; null for all")


class TableSource(SourceBase):
    """JSONL, CSV, TSV or Parquet with a column for the caption and one for the image's path."""

    kind: Literal["table"]
    captions: Path
    images: Path | None = Field(default=None, description="folder that image paths are relative to")
    text_column: str = "caption"
    image_column: str = "image"
    id_column: str | None = Field(default="id", description="null: the row's number")
    split_column: str | None = None
    split: str | None = None


class FolderSource(SourceBase):
    """A folder of images, each with a ``.txt`` of the same name beside it."""

    kind: Literal["folder"]
    captions: Path


class HubSource(SourceBase):
    """A directory made by ``datasets``' ``save_to_disk``, or the id of a dataset on the hub."""

    kind: Literal["hub"]
    captions: str
    name: str | None = None
    split: str = "train"
    revision: str | None = None
    text_column: str = "caption"
    image_column: str = "image"
    id_column: str | None = None
    images: Path | None = Field(default=None, description="folder that image paths are relative to")


SourceConfig = Annotated[DocciSource | TableSource | FolderSource | HubSource, Field(discriminator="kind")]


# ---- stages ----------------------------------------------------------------------------------------


class PixelPolicy(SizePolicy):
    """How an image is made smaller before a model sees it, never larger, and how it is sent."""

    format: Literal["jpeg", "png"] = "jpeg"
    quality: int = Field(default=95, ge=1, le=100, description="of JPEG")

    @property
    def label(self) -> str:
        """The policy in a word, part of the identity of requests with an image."""
        suffix = f"-q{self.quality}" if self.format == "jpeg" else ""
        return f"{super().label}-{self.format}{suffix}"


class AskConfig(Section):
    """Stage 1: questions from a caption."""

    prompt: str = Field(default="ask.v1", description="a prompt that ships with LPT, or a file")
    sampling: Sampling = Sampling(temperature=0.7, max_tokens=4096)
    reformat: Literal["never", "needed", "always"] = Field(
        default="needed", description="send answers through a second call: those that do not read, or all"
    )
    reformat_prompt: str = "reformat.v1"
    reformat_sampling: Sampling = Sampling(temperature=0, max_tokens=4096)
    options: int | None = Field(
        default=4, ge=2, le=10, description="how many a question must have; null for any"
    )
    near_duplicate: float = Field(
        default=0.9, gt=0, le=1, description="similarity from which two questions of an image are the same"
    )
    max_questions: int | None = Field(
        default=None, ge=1, description="at most so many per caption, the first ones"
    )


class ThinkConfig(Section):
    """Stage 2: short thoughts of the VLM."""

    n: int = Field(default=3, ge=1, description="thoughts per question")
    system_prompt: str = "think_system.v1"
    question_prompt: str = "question.v1"
    sampling: Sampling = Sampling(temperature=0.7, top_p=0.8, repetition_penalty=1.05, max_tokens=1024)
    prefill: bool = Field(default=True, description="begin the answer with <think> where the endpoint can")
    pixels: PixelPolicy = PixelPolicy()
    shuffle_options: bool = True
    option_styles: tuple[OptionStyle, ...] = Field(default=("parens", "dot"), min_length=1)
    answer_styles: tuple[AnswerStyle, ...] = Field(
        default=("letter_parens", "letter_dot", "text"), min_length=1
    )


class ExpandConfig(Section):
    """Stage 3: the reasoning model goes on from a short thought."""

    n: int = Field(default=3, ge=1, description="continuations per thought")
    of: Literal["all", "right", "wrong"] = Field(default="all", description="which short thoughts go on")
    prompt: str = "expand.v1"
    instruct_prompt: str = "expand_instruct.v1"
    sampling: Sampling = Sampling(
        temperature=0.7, top_p=0.8, top_k=50, repetition_penalty=1.05, max_tokens=256
    )
    cues: tuple[str, ...] = Field(
        default=("Wait,", "Hmm,", "Alternatively,", "Let's double-check the details."), min_length=1
    )
    breaks: tuple[Literal["\n", " "], ...] = Field(
        default=("\n", " "), min_length=1, description="before the cue"
    )
    banned_words: tuple[str, ...] = Field(
        default=(), description="words that betray the caption; a continuation that has one is dropped"
    )

    @field_validator("cues")
    @classmethod
    def _cues(cls, cues: tuple[str, ...]) -> tuple[str, ...]:
        if any(not cue.strip() or cue != cue.strip() for cue in cues):
            raise ValueError("a cue is empty or begins or ends with a space")
        return cues


class JudgeConfig(Section):
    """The optional judge: does the continuation support the gold answer?"""

    enabled: bool = False
    of: Literal["wrong_right", "all"] = Field(default="wrong_right", description="which right continuations")
    prompt: str = "judge.v1"
    sampling: Sampling = Sampling(temperature=0.7, max_tokens=512)


# ---- selection -------------------------------------------------------------------------------------


class SFTMix(Section):
    """Which verified thoughts become SFT examples."""

    keep_right: float = Field(
        default=0.1, gt=0, le=1, description="share kept of the pool of right thoughts, short or continued"
    )
    max_right: int | None = Field(default=None, ge=0, description="and at most so many")
    turned_per_right: float | None = Field(
        default=1.0, ge=0, description="wrong thoughts turned right, per example of that pool; null for all"
    )
    length_base: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="weight base^rank, rank 0 the longest of its question; 1 for uniform",
    )
    kinds: tuple[Literal["short_right", "right_right", "wrong_right"], ...] = (
        "short_right",
        "right_right",
        "wrong_right",
    )


class PairQuota(Section):
    """One kind of preference pair."""

    enabled: bool = True
    max: int | None = Field(default=None, ge=0, description="at most so many; null for all")
    per_question: int | None = Field(default=None, ge=1, description="at most so many of one question")


class PairMix(Section):
    """Which verified thoughts become preference pairs; every kind has its own quota."""

    right_over_wrong: PairQuota = PairQuota()
    short_over_spoiled: PairQuota = PairQuota()
    turned_over_wrong: PairQuota = PairQuota()
    compact_over_long: PairQuota = PairQuota()
    compact_ratio: float = Field(
        default=1.5, gt=1, description="how much longer the rejected thought must be"
    )


class SelectConfig(Section):
    """From verified thoughts to training sets."""

    sft: SFTMix = SFTMix()
    pairs: PairMix = PairMix()


# ---- the whole -------------------------------------------------------------------------------------


class RunConfig(Section):
    """Everything that a run needs."""

    recipe: str | None = Field(default=None, description="the recipe that fills in what is not given")
    seed: int = 42
    source: SourceConfig
    endpoints: Endpoints
    ask: AskConfig = AskConfig()
    think: ThinkConfig = ThinkConfig()
    expand: ExpandConfig = ExpandConfig()
    judge: JudgeConfig = JudgeConfig()
    select: SelectConfig = SelectConfig()

    @model_validator(mode="after")
    def _judge_has_an_endpoint(self) -> RunConfig:
        if self.judge.enabled and self.endpoints.judge is None:
            raise ValueError("judge.enabled needs endpoints.judge")
        return self

    def pinned(self) -> RunConfig:
        """The same, with the revision of every model that is read from a folder written out.

        Raises:
            ConfigError: Such a folder cannot be read.
        """
        return self.model_copy(update={"endpoints": self.endpoints.pinned()})
