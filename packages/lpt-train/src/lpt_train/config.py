"""The configuration of a training: strict, with every field documented.

One file has the model, how rows become tokens, and a section for each stage; ``lpt-train sft``, ``dpo``
and ``grpo`` each read theirs. Nothing here imports torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, model_validator

from lpt_core import ConfigError, PixelPolicy
from lpt_train.evaluate import EvaluateSection
from lpt_train.grpo.sections import RewardSection, VLLMSection
from lpt_train.section import Section

__all__ = [
    "DPOConfig",
    "DataConfig",
    "GRPOConfig",
    "LoraSection",
    "ModelConfig",
    "SFTConfig",
    "StageConfig",
    "TrainConfig",
]

Projection = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PROJECTIONS: tuple[Projection, ...] = (
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
)
Precision = Literal["float32", "mixed", "bfloat16"]


class LoraSection(Section):
    """Low-rank adapters, on the language model alone; tower and projector have layers of the same names."""

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32, gt=0, description="the update is scaled by alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[Projection, ...] = Field(
        default=PROJECTIONS, min_length=1, description="which projections of each decoder layer"
    )


class ModelConfig(Section):
    """The model to start from, and which parts of it learn."""

    name: str = Field(min_length=1, description="a folder that save_pretrained wrote, or an id on the hub")
    revision: str | None = Field(default=None, description="of a model on the hub")
    precision: Precision = Field(
        default="mixed",
        description="float32; mixed: what learns in float32, the rest and the arithmetic in bfloat16; "
        "bfloat16: everything, which loses small updates",
    )
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    train_tower: bool = Field(default=False, description="let the vision tower learn")
    train_projector: bool = Field(default=False, description="let what joins tower and language model learn")
    lora: LoraSection | None = Field(default=None, description="adapters instead of full training")
    quantize: Literal["nf4"] | None = Field(
        default=None,
        description="QLoRA: the language model's projections in four bits; needs lora and lpt-train[qlora]",
    )

    @model_validator(mode="after")
    def _adapters_alone(self) -> ModelConfig:
        if self.lora is not None and (self.train_tower or self.train_projector):
            raise ValueError("with lora, tower and projector stay frozen: the adapters are all that learns")
        if self.quantize is not None and self.lora is None:
            raise ValueError("quantize: weights in four bits do not learn; give lora, whose adapters do")
        return self


class DataConfig(Section):
    """How rows become tokens; the same for every stage, and stored with each checkpoint."""

    pixels: PixelPolicy = PixelPolicy()
    prefix_loss: Literal["masked", "full"] = Field(
        default="masked",
        description="masked: a wrong first thought bears no loss; full: it does, as in the authors' release",
    )
    max_tokens: int = Field(default=2048, ge=16, description="of prompt, image and response together")
    too_long: Literal["refuse", "drop"] = Field(
        default="refuse", description="what to do with longer rows; nothing is ever cut off"
    )


class StageConfig(Section):
    """What all stages share: the data, the steps, the optimiser, what is kept."""

    data: Path | None = Field(default=None, description="records of lpt-core, one a line")
    evaluation: Path | None = Field(default=None, description="rows whose loss is measured on the way")
    learning_rate: float = Field(gt=0)
    epochs: float = Field(default=1.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1, description="end after so many updates")
    batch_size: int = Field(
        default=256, ge=1, description="rows of one update, over all devices and micro-batches"
    )
    micro_batch: int = Field(default=1, ge=1, description="rows that one device takes at once")
    sort_window: int = Field(
        default=1,
        ge=1,
        description="rows of so many updates are sorted by length together. With 1 the rows of every update "
        "are a random draw; more saves padding where an update has few micro-batches",
    )
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    warmup_steps: int = Field(default=5, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    max_grad_norm: float = Field(default=1.0, gt=0)
    gradient_checkpointing: bool = Field(
        default=True, description="compute activations twice instead of keeping them"
    )
    log_every: int = Field(default=1, ge=1, description="updates between two lines of the log")
    save_every: int = Field(default=50, ge=1, description="updates between two checkpoints")
    keep: int | None = Field(default=2, ge=2, description="how many checkpoints stay; null for all")
    evaluate: EvaluateSection | None = Field(
        default=None, description="a command that measures checkpoints, such as lpt-eval's"
    )
    report_to: tuple[Literal["wandb", "trackio", "tensorboard"], ...] = ()
    workers: int = Field(default=0, ge=0, description="processes that prepare batches")
    trainer: dict[str, JsonValue] = Field(
        default_factory=dict, description="further arguments of transformers' TrainingArguments"
    )

    @model_validator(mode="after")
    def _whole_micro_batches(self) -> StageConfig:
        if self.batch_size % self.micro_batch:
            raise ValueError(
                f"batch_size ({self.batch_size}) is no multiple of micro_batch ({self.micro_batch})"
            )
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("betas: each is at least 0 and less than 1")
        every = self.evaluate.every if self.evaluate else "end"
        if every != "end" and every % self.save_every:
            raise ValueError(f"evaluate.every ({every}) is no multiple of save_every ({self.save_every})")
        return self


class SFTConfig(StageConfig):
    """Supervised fine-tuning."""

    learning_rate: float = Field(default=8e-6, gt=0)
    packing: bool = Field(
        default=False,
        strict=True,
        description="lay the rows of an update into as few sequences of at most data.max_tokens as they "
        "need, each row as if it stood alone; a device takes one sequence at a time",
    )

    @model_validator(mode="after")
    def _one_sequence(self) -> SFTConfig:
        if self.packing and (self.micro_batch != 1 or self.sort_window != 1):
            raise ValueError(
                "with packing, a device takes one sequence at a time and nothing is padded: leave out "
                "micro_batch and sort_window, and say with data.max_tokens how long a sequence may be"
            )
        return self


class DPOConfig(StageConfig):
    """Direct preference optimisation with an SFT term (Pang et al. 2024)."""

    learning_rate: float = Field(default=1e-6, gt=0)
    start: Path | None = Field(
        default=None, description="model to start from and to refer to, if not model.name: an SFT run's model"
    )
    kinds: tuple[
        Literal["right_over_wrong", "short_over_spoiled", "turned_over_wrong", "compact_over_long"], ...
    ] = Field(
        default=("right_over_wrong", "short_over_spoiled", "turned_over_wrong", "compact_over_long"),
        min_length=1,
        description="which pairs are trained on",
    )
    beta: float = Field(default=0.2, gt=0, description="how strongly the reference holds")
    sft_weight: float = Field(default=1.0, ge=0, description="of the loss on the chosen response")
    sft_over: Literal["sequence", "token"] = Field(
        default="sequence",
        description="mean per response, then over responses (LLaMA-Factory); or over all tokens of an update",
    )
    shared_prefix: bool = Field(
        default=True,
        description="encode what chosen and rejected begin with only once; the results are equal",
    )


class GRPOConfig(StageConfig):
    """Group relative policy optimisation on questions whose answers are verified (Shao et al. 2024)."""

    learning_rate: float = Field(default=1e-6, gt=0)
    start: Path | None = Field(
        default=None, description="model to start from, if not model.name: an SFT run's model"
    )
    batch_size: int = Field(
        default=128,
        ge=2,
        description="completions of one update, over devices and micro-batches: a multiple of generations",
    )
    micro_batch: int = Field(default=1, ge=1, description="completions that one device scores at once")
    generations: int = Field(default=8, ge=2, description="completions of a prompt, which are compared")
    max_completion_tokens: int = Field(
        default=1024, ge=1, description="with its prompt, a completion stays within data.max_tokens"
    )
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0, description="0 for all")
    rewards: RewardSection = RewardSection()
    loss: Literal["dapo", "grpo", "dr_grpo", "bnpo"] = Field(
        default="dapo", description="how tokens are averaged; TRL's loss_type"
    )
    scale_rewards: Literal["group", "batch", "none"] = Field(
        default="group", description="by whose standard deviation advantages are divided"
    )
    beta: float = Field(
        default=0.0, ge=0, description="weight of the KL divergence from the start; more than 0 keeps it too"
    )
    epsilon: float = Field(default=0.2, gt=0, description="how far down a token's ratio may go")
    epsilon_high: float | None = Field(default=None, gt=0, description="and up; as epsilon without")
    iterations: int = Field(default=1, ge=1, description="updates on the same completions")
    mask_truncated: bool = Field(
        default=False, description="completions that were cut off teach nothing, not even to be shorter"
    )
    use_vllm: bool = Field(default=False, description="needs lpt-train[vllm] and a GPU")
    vllm: VLLMSection | None = None

    @model_validator(mode="after")
    def _whole_groups(self) -> GRPOConfig:
        if self.batch_size % self.generations:
            raise ValueError(
                f"batch_size ({self.batch_size}) is no multiple of generations ({self.generations})"
            )
        if self.sort_window != 1:
            raise ValueError("sort_window: completions have no length beforehand; leave it out")
        if self.save_every % self.iterations:
            raise ValueError(
                f"save_every ({self.save_every}) is no multiple of iterations ({self.iterations}): "
                "completions that are still in use are not saved"
            )
        if self.rewards.length and self.rewards.length_buffer > self.max_completion_tokens:
            raise ValueError("rewards.length_buffer is more than max_completion_tokens")
        if self.vllm is not None and not self.use_vllm:
            raise ValueError("vllm is set, but use_vllm is false")
        return self


class TrainConfig(Section):
    """Everything that a training needs."""

    recipe: str | None = Field(default=None, description="the recipe that fills in what is not given")
    seed: int = Field(default=42, ge=0, lt=2**32)
    model: ModelConfig
    data: DataConfig = DataConfig()
    sft: SFTConfig = SFTConfig()
    dpo: DPOConfig = DPOConfig()
    grpo: GRPOConfig = GRPOConfig()

    @model_validator(mode="after")
    def _vllm_has_the_weights(self) -> TrainConfig:
        if self.model.quantize is not None and self.grpo.use_vllm:
            raise ValueError(
                "grpo.use_vllm: vLLM would draw from other weights than those that model.quantize makes"
            )
        return self

    def needs(self, stage: Literal["sft", "dpo", "grpo"]) -> Path:
        """The file of rows of a stage.

        Raises:
            ConfigError: The configuration names none, or it is not there.
        """
        sections: dict[str, StageConfig] = {"sft": self.sft, "dpo": self.dpo, "grpo": self.grpo}
        path = sections[stage].data
        if path is None:
            raise ConfigError(f"{stage}.data is missing.", f"name the file of rows under {stage}:")
        if not path.is_file():
            raise ConfigError(f"{stage}.data: there is no file {path}.")
        return path
