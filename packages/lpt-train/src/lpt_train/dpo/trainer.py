"""The trainer of preference optimisation, on transformers' own.

Of TRL's ``DPOTrainer`` nothing would be left: it encodes chosen and rejected each by itself, runs the
reference beside the model in every step for models that see, and means its SFT term over micro-batches.
"""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from transformers import TrainerCallback

from lpt_core import ConfigError
from lpt_train.config import DPOConfig
from lpt_train.dpo.collate import Count, PairCollator, Scored
from lpt_train.dpo.loss import preference_loss
from lpt_train.dpo.meter import PairMeter
from lpt_train.dpo.pairs import TokenPair
from lpt_train.dpo.reference import ReferenceCache, fill_reference
from lpt_train.dpo.shared import attention_of, check_attention, pair_log_probs
from lpt_train.order import LengthOrder
from lpt_train.resume import ResumingTrainer
from lpt_train.sft.trainer import OrderedSampler

_NEEDED = [Count.PAIRS, Count.SFT_TOKENS]


class PairRows(Dataset[Scored]):
    """Pairs with their reference log-probabilities, looked up when they are needed."""

    def __init__(self, pairs: Sequence[TokenPair], cache: ReferenceCache) -> None:
        self.pairs = pairs
        self._cache = cache

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Scored:
        pair = self.pairs[index]
        return Scored(pair, self._cache[pair])


def pair_order(pairs: Sequence[TokenPair], *, batch: int, micro: int, window: int, seed: int) -> LengthOrder:
    """The order in which pairs are trained on: a random draw, those of an update about one prompt together.

    What an update's pairs are does not change by that, only which of them share a row.

    Args:
        pairs: All of them.
        batch: Pairs of an update.
        micro: Pairs that all devices take at one time.
        window: Updates whose pairs are sorted together.
        seed: Of the shuffle.
    """
    longest: dict[bytes, int] = {}
    for pair in pairs:
        prompt = pair.prompt.tobytes()
        longest[prompt] = max(longest.get(prompt, 0), pair.encoded_tokens)
    numbers = {prompt: number for number, prompt in enumerate(longest)}
    # Sorted by these, pairs of one prompt stand side by side, where the longest of them belongs.
    keys = [
        longest[prompt] * len(numbers) + numbers[prompt] for prompt in (p.prompt.tobytes() for p in pairs)
    ]
    return LengthOrder(keys, batch=batch, micro=micro, window=window, seed=seed)


class PreferenceTrainer(ResumingTrainer):
    """Trains on batches of ``PairCollator``. What the reference's cache lacks is computed before any step.

    Args:
        settings: The stage's section.
        order: Of the pairs.
        cache: The reference's log-probabilities.
        note: Is told what happens before the first step.
        arguments: Of ``ResumingTrainer``; ``train_dataset`` and ``eval_dataset`` are ``PairRows``.

    Raises:
        ConfigError: The model's attention cannot honour shared rows, or several devices are to be driven by
            one process.
    """

    # The loss is a mean over all pairs of an update, however these are spread over its micro-batches.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        *,
        settings: DPOConfig,
        order: LengthOrder,
        cache: ReferenceCache,
        note: Callable[[str], None] = lambda line: None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        if self.args.n_gpu > 1:
            raise ConfigError(
                f"one process cannot train on {self.args.n_gpu} devices.",
                "start one for each with `accelerate launch`, or set CUDA_VISIBLE_DEVICES to one of them",
            )
        self.model_accepts_loss_kwargs = True
        self._settings = settings
        self._order = order
        self._cache = cache
        self._note = note
        self._attention = attention_of(self.model)
        check_attention(self._attention, share=settings.shared_prefix)
        self._meters = {True: PairMeter(), False: PairMeter()}
        self.add_callback(_BeforeFirstStep(self))

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return OrderedSampler(self._order)

    # ---- the reference -------------------------------------------------------------------------------

    @property
    def all_pairs(self) -> list[TokenPair]:
        """Every pair that training or evaluation needs the reference's opinion of."""
        sets = (self.train_dataset, self.eval_dataset)
        return [pair for rows in sets if isinstance(rows, PairRows) for pair in rows.pairs]

    def lacking(self) -> int:
        """How many pairs the cache does not know."""
        return sum(pair not in self._cache for pair in self.all_pairs)

    def fill_cache(self, model: Any) -> None:
        """Compute what the cache lacks, with adapters switched off. All processes call this together.

        Args:
            model: The model as training wraps it, or another one that is the reference.
        """
        # Nobody adds anything before all have seen the same, so that all make the same passes.
        self._cache.reread()
        lacking = self.lacking()
        self.accelerator.wait_for_everyone()
        if not lacking:
            return
        self._note(f"the reference's log-probabilities of {lacking} pairs are computed")
        fill_reference(
            self._cache,
            self.all_pairs,
            model,
            cast(PairCollator, self.data_collator),
            micro=int(self.args.per_device_train_batch_size),
            device=self.args.device,
            attention=self._attention,
            inside=lambda: self._as_reference(model),
            process=int(self.accelerator.process_index),
            processes=int(self.accelerator.num_processes),
        )
        self.accelerator.wait_for_everyone()
        self._cache.reread()

    @contextmanager
    def _as_reference(self, model: Any) -> Generator[None]:
        inner: Any = self.accelerator.unwrap_model(model, keep_torch_compile=False)
        with self.compute_loss_context_manager():
            if hasattr(inner, "disable_adapter"):
                with inner.disable_adapter():
                    yield
            else:
                yield

    # ---- the loss ------------------------------------------------------------------------------------

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor | None:
        """How many pairs, and tokens of the SFT term, an update has over all micro-batches and processes."""
        if not batch_samples:
            return None
        needed = torch.stack([batch["counts"][_NEEDED] for batch in batch_samples]).sum(0).to(device)
        return self._over_processes(needed)

    def _over_processes(self, numbers: Tensor) -> Tensor:
        return cast(Tensor, self.accelerator.reduce(numbers, "sum"))

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This batch's share of the update's loss."""
        whole = inputs["counts"][_NEEDED] if num_items_in_batch is None else num_items_in_batch
        pairs, tokens = cast(Tensor, whole)
        log_probs = pair_log_probs(model, inputs, attention=self._attention)
        made = preference_loss(
            log_probs,
            inputs["reference"],
            beta=self._settings.beta,
            sft_weight=self._settings.sft_weight,
            sft_over=self._settings.sft_over,
            pairs=pairs,
            sft_tokens=tokens,
        )
        self._meters[model.training].add(made, log_probs, inputs["counts"])
        loss = made.loss
        if num_items_in_batch is not None:
            # The numbers are those of all processes, whose gradients are then averaged.
            loss = loss * self.accelerator.num_processes
        return (loss, made) if return_outputs else loss

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor, None, None]:
        """The loss of a batch of the evaluation; logits are never kept."""
        with torch.no_grad(), self.compute_loss_context_manager():
            return self.compute_loss(model, self._prepare_inputs(inputs)).detach(), None, None

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what was watched since the last line."""
        measured = any(name.startswith("eval_") for name in logs)
        values = self._meters[not measured].read(self._over_processes)
        if measured and values:
            # The mean over pairs; what transformers has put there weighs batches by their rows.
            term = values.get("sft_mean" if self._settings.sft_over == "sequence" else "sft_loss", 0.0)
            logs["eval_loss"] = values["dpo_loss"] + self._settings.sft_weight * term
            values = {f"eval_{name}": value for name, value in values.items()}
        logs.update(values)
        super().log(logs, start_time)


class _BeforeFirstStep(TrainerCallback):
    """Has the reference ready when the model is wrapped and no step is done."""

    def __init__(self, trainer: PreferenceTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Compute what the cache lacks."""
        self._trainer.fill_cache(self._trainer.model_wrapped)
