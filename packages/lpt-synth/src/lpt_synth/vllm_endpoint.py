"""A model that vLLM runs in a process of ours: what a person can set."""

from __future__ import annotations

import json
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from lpt_synth.endpoint_base import FolderEndpoint

TAKEN = {
    "model": "model",
    "revision": "revision",
    "dtype": "dtype",
    "quantization": "quantization",
    "max_model_len": "max_model_len",
    "max_num_seqs": "max_num_seqs",
    "tensor_parallel_size": "tensor_parallel_size",
    "data_parallel_size": "data_parallel_size",
    "gpu_memory_utilization": "gpu_memory_utilization",
    "enable_prefix_caching": "prefix_caching",
}
"""vLLM's options that have fields of their own, and how these are called."""

SET = ("disable_log_stats", "skip_tokenizer_init", "runner", "convert", "chat_template")
"""vLLM's options without which, or with which, this engine could not work."""


class VLLMEndpoint(FolderEndpoint):
    """A model that vLLM runs in a process of the run's own: no server, no port."""

    loads_with = "vllm"

    engine: Literal["vllm"]
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="of weights and activations; auto: as saved"
    )
    quantization: str | None = Field(
        default=None,
        min_length=1,
        description="vLLM's name of a method (awq, gptq, fp8, …); null: as the weights are saved",
    )
    max_model_len: int | None = Field(
        default=None, ge=1, description="the most tokens of a prompt and its answer; null: the model's own"
    )
    max_num_seqs: int = Field(default=256, ge=1, description="the most samples that are generated at once")
    tensor_parallel_size: int = Field(default=1, ge=1, description="devices that one copy is spread over")
    data_parallel_size: int = Field(
        default=1, ge=1, description="copies of the model, each in a process and on devices of its own"
    )
    devices: tuple[int, ...] | None = Field(
        default=None,
        min_length=1,
        description="numbers of GPUs, among those that CUDA shows; null: the first that are needed",
    )
    gpu_memory_utilization: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="share of a device's memory; models whose shares on a device exceed 1 take turns",
    )
    prefix_caching: bool = Field(default=True, description="keep and reuse what prompts have in common")
    json_schema: bool = Field(default=False, description="hold answers that have a JSON schema to it")
    options: dict[str, Any] = Field(
        default_factory=dict, description="more of vLLM's engine arguments, by their names there"
    )
    python: str | None = Field(
        default=None,
        min_length=1,
        description="the Python of another environment, which has vLLM; null: lpt-synth's own",
    )

    @field_validator("options")
    @classmethod
    def _nothing_twice(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in options:
            if name in TAKEN:
                raise ValueError(f"{name} has a field of its own: set {TAKEN[name]} beside options")
            if name in SET:
                raise ValueError(f"{name} is not to be set here: the engine depends on it")
        try:
            json.dumps(options, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"holds what is no plain data: {error}") from error
        return options

    @field_validator("devices")
    @classmethod
    def _each_once(cls, devices: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if devices is not None and (min(devices) < 0 or len(set(devices)) < len(devices)):
            raise ValueError("must be different numbers from 0")
        return devices

    @model_validator(mode="after")
    def _devices_are_enough(self) -> Self:
        needed = self.tensor_parallel_size * self.data_parallel_size
        if self.devices is not None and len(self.devices) != needed:
            raise ValueError(
                f"devices: {len(self.devices)} are named, and tensor_parallel_size x data_parallel_size "
                f"needs {needed}"
            )
        return self

    @property
    def parallel(self) -> int:
        """Enough for full batches of all copies."""
        return self.max_num_seqs * self.data_parallel_size

    @property
    def gives_json(self) -> bool:
        """As the configuration says."""
        return self.json_schema

    @property
    def places(self) -> tuple[int, ...]:
        """The devices that it takes: as many as its copies need, copy after copy."""
        needed = self.tensor_parallel_size * self.data_parallel_size
        return self.devices if self.devices is not None else tuple(range(needed))

    def engine_arguments(self) -> dict[str, Any]:
        """The arguments of vLLM's engine, those of ``options`` included.

        Revisions of folders are digests of ours, which vLLM has no use for.
        """
        arguments: dict[str, Any] = {
            "model": str(self.folder or self.model),
            "dtype": self.dtype,
            "max_num_seqs": self.max_num_seqs,
            "tensor_parallel_size": self.tensor_parallel_size,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "enable_prefix_caching": self.prefix_caching,
            "disable_log_stats": False,  # its counters tell how much the prefix cache served
        }
        if self.folder is None and self.revision is not None:
            arguments |= {"revision": self.revision, "tokenizer_revision": self.revision}
        if self.quantization is not None:
            arguments["quantization"] = self.quantization
        if self.max_model_len is not None:
            arguments["max_model_len"] = self.max_model_len
        return arguments | self.options
