"""Sections of the configuration that are GRPO's own. Nothing here imports torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lpt_train.section import Section


class RewardSection(Section):
    """What a completion is worth: the weighted sum of its parts."""

    correct: float = Field(default=1.0, ge=0, description="for an answer that is the gold option")
    format: float = Field(
        default=0.1, ge=0, description="for one thought and one answer, each in its tags, and nothing else"
    )
    length: float = Field(
        default=0.0,
        ge=0,
        description="against completions that come close to max_completion_tokens: falls from 0 to -1 over "
        "the last length_buffer tokens (DAPO's soft overlong punishment)",
    )
    length_buffer: int = Field(default=256, ge=1, description="tokens")

    @model_validator(mode="after")
    def _worth_something(self) -> RewardSection:
        if not self.correct and not self.format:
            raise ValueError("correct and format are both 0: nothing would be rewarded")
        return self


class VLLMSection(Section):
    """How vLLM generates; each is TRL's argument of the same name."""

    mode: Literal["colocate", "server"] = Field(
        default="colocate",
        description="colocate: in the training's own processes; server: `trl vllm-serve` elsewhere",
    )
    server_base_url: str | None = Field(default=None, description='mode server: "http://host:8000"')
    server_timeout: float = Field(default=240.0, gt=0, description="mode server: seconds to wait for it")
    gpu_memory_utilization: float = Field(default=0.3, gt=0, lt=1, description="mode colocate: share")
    tensor_parallel_size: int = Field(default=1, ge=1, description="mode colocate: devices of one engine")
    enable_sleep_mode: bool = Field(
        default=False, description="mode colocate: give memory back while nothing is generated"
    )
    importance_sampling_correction: bool = Field(
        default=True, description="make up for vLLM's arithmetic being other than the trainer's"
    )
