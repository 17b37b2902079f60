"""From a configuration to a model that answers better. Stopped or killed, the same call goes on."""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig as TRLConfig

from lpt_core import CheckpointRecord, DataError, MissingExtraError, PromptExample
from lpt_train.arguments import accumulation, training_arguments, world_size
from lpt_train.config import TrainConfig
from lpt_train.encoding import Encoder
from lpt_train.grpo.prompts import prompt_tokens
from lpt_train.grpo.rewards import Rewards
from lpt_train.grpo.sections import VLLMSection
from lpt_train.grpo.trainer import PolicyTrainer, prompt_rows
from lpt_train.model import load_model, load_processor, weights_hash
from lpt_train.opening import TrainingResult, check_whole, record_of, refuse_long, train_in
from lpt_train.resume import NoteTaker, Start, model_to_train
from lpt_train.rows import read_prompts
from lpt_train.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class _Prompts:
    examples: list[PromptExample]
    dropped: int = 0


def train_grpo(config: TrainConfig, out: Path, *, note: NoteTaker = lambda line: None) -> TrainingResult:
    """Train a model on questions whose answers are verified, as a configuration says.

    Args:
        config: Its ``model``, ``data`` and ``grpo`` sections are used.
        out: The run's folder; a run that was stopped there goes on.
        note: Is told, a line at a time, what happens.

    Raises:
        ConfigError: The configuration cannot be used, or the folder has a run with another.
        DataError: The prompts cannot be used, or a checkpoint is not what it says it is.
        MissingExtraError: vLLM is to generate and is not installed.
        StoreError: The folder cannot be written.
    """
    stage = config.grpo
    if stage.use_vllm and find_spec("vllm") is None:
        raise MissingExtraError.of("lpt-train", "vllm", "grpo.use_vllm: generating with vLLM")
    check_whole("grpo.start", stage.start)
    examples = read_prompts(config.needs("grpo"))
    processor = load_processor(config.model.name, config.model.revision)
    encoder = Encoder(processor, pixels=config.data.pixels, prefix_loss=config.data.prefix_loss)
    prompts = _fitting(examples, encoder, config, "grpo.data")
    contents = [one.id for one in prompts.examples]
    expected = record_of(config, "grpo", processor, prompts.examples, contents, source=stage.start)

    def make(folder: RunFolder, start: Start | None) -> PolicyTrainer:
        return _trainer(config, folder, prompts.examples, start, expected, processor, encoder, note)

    return train_in(out, config, expected, make, dropped=prompts.dropped, note=note)


def _trainer(
    config: TrainConfig,
    folder: RunFolder,
    examples: list[PromptExample],
    start: Start | None,
    record: CheckpointRecord,
    processor: Any,
    encoder: Encoder,
    note: NoteTaker,
) -> PolicyTrainer:
    stage = config.grpo
    evaluation: list[PromptExample] = []
    if stage.evaluation is not None:
        evaluation = _fitting(read_prompts(stage.evaluation), encoder, config, "grpo.evaluation").examples
    every = [*examples, *evaluation]
    rewards = Rewards(every, stage.rewards, stage.max_completion_tokens)
    arguments = training_arguments(
        stage,
        "grpo",
        folder.path,
        precision=config.model.precision,
        seed=config.seed,
        kind=TRLConfig,
        more=_arguments(config, rewards, encoder),
    )
    # New adapters draw their beginning; nothing else here does.
    torch.manual_seed(config.seed)
    model, digest = model_to_train(
        config.model, start, recompute=stage.gradient_checkpointing, source=stage.start
    )
    rows = prompt_rows(every)
    trainer = PolicyTrainer(
        settings=stage,
        seed=config.seed,
        encoder=encoder,
        examples=every,
        rewards=rewards,
        reference=_reference(config, digest),
        record=record,
        start_digest=digest,
        model=model,
        args=arguments,
        train_dataset=rows.select(range(len(examples))),
        eval_dataset=rows.select(range(len(examples), len(every))) if evaluation else None,
        processing_class=processor,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(PolicyLines(note))
    return trainer


def _arguments(config: TrainConfig, rewards: Rewards, encoder: Encoder) -> dict[str, Any]:
    """What of TRL's arguments this stage governs."""
    stage = config.grpo
    vllm = stage.vllm or VLLMSection()
    image = encoder.image_token_id
    # Named anew within transformers 5.
    named = hasattr(TRLConfig, "activation_checkpointing")
    checkpointing = "activation_checkpointing" if named else "gradient_checkpointing"
    # A drawn image token would have no picture to stand for.
    never: dict[str, Any] = {"suppress_tokens": [image], "use_cache": True}
    if stage.use_vllm:
        never = {"logit_bias": {image: -100.0}}
    return {
        "num_generations": stage.generations,
        "num_generations_eval": 1,
        "max_completion_length": stage.max_completion_tokens,
        "steps_per_generation": accumulation(stage, "grpo", world_size()),
        "generation_batch_size": None,
        "num_iterations": stage.iterations,
        "temperature": stage.temperature,
        "top_p": stage.top_p,
        "top_k": stage.top_k,
        "generation_kwargs": never,
        "reward_weights": list(rewards.weights.values()),
        "loss_type": stage.loss,
        "scale_rewards": stage.scale_rewards,
        "beta": 0.0,  # the trainer sets it, with a reference that is right
        "sync_ref_model": False,
        "epsilon": stage.epsilon,
        "epsilon_high": stage.epsilon_high,
        "mask_truncated_completions": stage.mask_truncated,
        "disable_dropout": True,  # what is scored is the model that has drawn
        # The model has been told already; generating turns it off and on again, and must know how.
        checkpointing: False,
        f"{checkpointing}_kwargs": {"use_reentrant": False},
        "model_init_kwargs": None,
        "chat_template_kwargs": None,
        "log_completions": False,
        "use_vllm": stage.use_vllm,
        "vllm_max_model_length": config.data.max_tokens,
        **{f"vllm_{name}": value for name, value in vllm.model_dump().items()},
    }


def _reference(config: TrainConfig, digest: str) -> Any:
    """The model that training began with, where a divergence from it is to be measured.

    With adapters it is in memory already, below them.

    Raises:
        DataError: Its weights are not those that the run began with.
    """
    stage = config.grpo
    if not stage.beta or config.model.lora is not None:
        return None
    model = load_model(config.model, stage.start)
    if weights_hash(model.named_parameters()) != digest:
        raise DataError(
            f"the weights of {stage.start or config.model.name} are not those that this run began with.",
            "give the model that it began with: it is what the trained one is compared with",
        )
    return model


def _fitting(examples: Sequence[PromptExample], encoder: Encoder, config: TrainConfig, name: str) -> _Prompts:
    """The prompts that leave room for a completion.

    Raises:
        DataError: Some do not and shall not be dropped, stand there twice, or cannot be encoded.
    """
    most = config.data.max_tokens - config.grpo.max_completion_tokens
    kept: dict[str, PromptExample] = {}
    too_long: list[str] = []
    for number, example in enumerate(examples, 1):
        tokens = len(prompt_tokens(encoder, example))
        if tokens > most:
            more = config.grpo.max_completion_tokens
            too_long.append(f"prompt {number} ({example.id}): {tokens} tokens, and {more} for a completion")
        elif example.id in kept:
            raise DataError(f"{name}: prompt {number} ({example.id}) is there twice.", "take one of them out")
        else:
            kept[example.id] = example
    refuse_long(name, "prompts", too_long, len(examples), config.data)
    return _Prompts(list(kept.values()), len(too_long))


class PolicyLines(TrainerCallback):
    """Tells, a line for each line of the log, how far a training is and what its completions are worth.

    Args:
        note: Is told.
    """

    def __init__(self, note: NoteTaker) -> None:
        self._note = note
        self._began = 0.0
        self._first = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Remember when and where it began."""
        self._began, self._first = time.monotonic(), int(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Say what was logged last."""
        values = cast("dict[str, float]", logs or {})
        if not state.is_world_process_zero:
            return
        done, of = int(state.global_step), int(state.max_steps)
        if "eval_reward" in values:
            right = values["eval_rewards/correct/mean"]
            self._note(f"update {done} of {of}: {right:.1%} right on evaluation prompts")
        elif "reward" in values:
            seconds = (time.monotonic() - self._began) / max(1, done - self._first) * (of - done)
            self._note(
                f"update {done} of {of}: reward {values['reward']:.3f}, "
                f"{values['rewards/correct/mean']:.1%} right, "
                f"{values['completions/mean_length']:.0f} tokens, "
                f"{values['frac_reward_zero_std']:.0%} of groups without spread, "
                f"about {timedelta(seconds=round(seconds))} left"
            )
