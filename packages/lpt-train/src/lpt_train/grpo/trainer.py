"""GRPO on TRL's trainer, with prompts and pictures as in the other stages, and a resume that is right.

TRL renders, tokenises and resizes by the processor's own ways; here the ``Encoder`` does, so that a prompt
is to the token what it was in fine-tuning. What is drawn depends on the seed, the update and the process
alone: TRL draws from the global state, and its sampler begins anew when a training goes on. Its telemetry
and its model cards are left out.
"""

# torch, transformers and TRL leave parts of what is used here without types; what comes out is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportIncompatibleMethodOverride=false, reportMissingTypeStubs=false

from __future__ import annotations

import json
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from trl.models.utils import prepare_deepspeed, prepare_fsdp
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import add_fused_lm_head

from lpt_core import ConfigError, PromptExample, StoreError, derived_int
from lpt_train.collate import image_tensors
from lpt_train.config import GRPOConfig
from lpt_train.encoding import Encoder
from lpt_train.grpo.groups import GroupSampler
from lpt_train.grpo.prompts import prompt_tokens
from lpt_train.grpo.rewards import Rewards
from lpt_train.resume import ResumingTrainer

SAMPLES = "samples.jsonl"
"""In a run's folder: what the model wrote for the last update that was logged."""


def prompt_rows(examples: Sequence[PromptExample]) -> Dataset:
    """Prompts as TRL wants them: a table, in which each is named by its id and its place."""
    columns = {"prompt": [one.id for one in examples], "row": list(range(len(examples)))}
    return Dataset.from_dict(columns)


class PolicyTrainer(ResumingTrainer, GRPOTrainer):
    """Trains a policy on ``prompt_rows``.

    Args:
        settings: The stage's section.
        seed: Of all draws.
        encoder: Makes the prompts' tokens and pictures.
        examples: The prompts of training, then those of the evaluation.
        rewards: Of the same prompts.
        reference: The model that training began with, where it is to hold the policy back and cannot be
            had by switching adapters off.
        arguments: Of ``ResumingTrainer`` and ``GRPOTrainer``.

    Raises:
        ConfigError: Several devices are to be driven by one process.
    """

    def __init__(
        self,
        *,
        settings: GRPOConfig,
        seed: int,
        encoder: Encoder,
        examples: Sequence[PromptExample],
        rewards: Rewards,
        reference: Any = None,
        **arguments: Any,
    ) -> None:
        if arguments["args"].n_gpu > 1:
            raise ConfigError(
                f"one process cannot train on {arguments['args'].n_gpu} devices.",
                "start one for each with `accelerate launch`, or set CUDA_VISIBLE_DEVICES to one of them",
            )
        self._settings = settings
        self._draws = seed
        self._encoder = encoder
        self._examples = {one.id: one for one in examples}
        self._rewards = rewards
        self._shown: dict[str, Any] = {}
        super().__init__(reward_funcs=rewards.functions, **arguments)
        # TRL would refer to whatever folder the model was loaded from: on resuming, to a checkpoint.
        self.beta = settings.beta
        if reference is not None:
            self.ref_model = self._prepared(reference)

    def _prepared(self, reference: Any) -> Any:
        reference.requires_grad_(False)
        add_fused_lm_head(reference, temperature=self.temperature)
        if self.is_deepspeed_enabled:
            return prepare_deepspeed(reference, self.accelerator)
        if self.is_fsdp_enabled:
            return prepare_fsdp(reference, self.accelerator)
        return self.accelerator.prepare_model(reference, evaluation_mode=True)

    def _send_telemetry(self) -> None:
        """Nothing is sent to anybody."""

    def create_model_card(self, *args: Any, **named: Any) -> None:
        """``lpt_train.json`` says what there is to say."""

    # ---- what is drawn -------------------------------------------------------------------------------

    def _get_train_sampler(self, dataset: Any = None) -> Sampler[int]:
        steps = int(cast(Any, self.args).steps_per_generation)
        return GroupSampler(
            len(cast(Dataset, self.train_dataset)),
            chunk=self._settings.batch_size // self._settings.generations,
            generations=self._settings.generations,
            repeats=steps * self._settings.iterations,
            seed=self._draws,
        )

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        first = str(generation_batch[0]["prompt"])
        with self._own_draws("train" if cast(Any, self.model).training else "evaluation", first):
            return super()._prepare_inputs(generation_batch)

    @contextmanager
    def _own_draws(self, *what: str) -> Generator[None]:
        """Draw from the seed, the update and the process; the global state stays as it is."""
        device = self.accelerator.device
        devices = [device] if device.type == "cuda" else []
        seed = derived_int(
            self._draws, "grpo", *what, int(self.state.global_step), self.accelerator.process_index
        )
        with torch.random.fork_rng(devices), warnings.catch_warnings():
            # TRL uses names of transformers that are on their way out.
            warnings.filterwarnings("ignore", ".*gradient_checkpointing.*", FutureWarning)
            torch.manual_seed(seed)
            yield

    # ---- prompts and pictures ------------------------------------------------------------------------

    def _tokenize_prompts(self, prompts: Sequence[str]) -> tuple[list[list[int]], Any, dict[str, Any]]:
        examples = [self._examples[name] for name in prompts]
        ids = [prompt_tokens(self._encoder, example) for example in examples]
        image = self._encoder.image_token_id
        fields = image_tensors(self._encoder.pictures, [example.image for example in examples])
        fields["mm_token_type_ids"] = cast(Any, [[int(token == image) for token in row] for row in ids])
        pictures = None
        if self.use_vllm:
            pictures = [[self._encoder.pictures.picture(example.image)] for example in examples]
        return ids, pictures, fields

    def _generate(self, prompts: Sequence[str]) -> Any:
        *made, _, tool_images = super()._generate(cast(Any, prompts))
        # Without pictures TRL leaves it to the forward pass to bring them; with them, it processes them anew.
        return *made, None, tool_images

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        examples = [self._examples[str(row["prompt"])] for row in inputs]
        tensors = image_tensors(self._encoder.pictures, [example.image for example in examples])
        device = self.accelerator.device
        self._shown = {name: value.to(device) for name, value in tensors.items()}
        self._shown["num_images"] = [1] * len(examples)
        try:
            return super()._generate_and_score_completions(inputs) | self._shown
        finally:
            self._shown = {}

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: torch.Tensor, *args: Any, **named: Any
    ) -> Any:
        if named.get("pixel_values") is None:
            named |= self._shown
        # No completion holds an image token: none is ever drawn.
        named["mm_token_type_ids"] = (input_ids == self._encoder.image_token_id).long()
        return super()._get_per_token_logps_and_entropies(model, input_ids, *args, **named)

    # ---- what is kept --------------------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, and keep what was written for the update beside the log."""
        if cast(Any, self.model).training and self.is_world_process_zero() and self._logs["completion"]:
            self._keep_samples(Path(cast(str, self.args.output_dir)) / SAMPLES)
        super().log(logs, start_time)

    def _keep_samples(self, path: Path) -> None:
        kept = cast(Any, self._logs)
        parts = [list(kept["rewards"][name]) for name in self._rewards.weights]
        rows = zip(kept["prompt"], kept["completion"], kept["advantages"], *parts, strict=True)
        lines: list[str] = []
        for name, completion, advantage, *rewards in rows:
            example = self._examples[name]
            line = {
                "step": int(self.state.global_step),
                "id": name,
                "question": example.mcq.question,
                "gold": example.presentation.render_answer(example.mcq, example.mcq.gold),
                "completion": completion,
                "rewards": dict(zip(self._rewards.weights, rewards, strict=True)),
                "advantage": advantage,
            }
            lines.append(json.dumps(line) + "\n")
        try:
            temporary = path.with_name(f".{path.name}.tmp")
            temporary.write_text("".join(lines), encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror or error}.") from error
