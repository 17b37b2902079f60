"""Watching preference training: how the pairs stand, on the tokens where chosen and rejected differ."""

# torch leaves parts of what is used here without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from lpt_train.dpo.collate import Count
from lpt_train.dpo.loss import PreferenceLoss
from lpt_train.dpo.shared import PairLogProbs
from lpt_train.watch import LogLines

_SUMS = ("dpo", "chosen", "rejected", "margin", "squares", "right", "sft_sum", "sft_count", "sft_sequences")


class PairMeter:
    """Adds up, between two lines of the log, what the forward passes say. On the device until it is read."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None

    def add(self, loss: PreferenceLoss, log_probs: PairLogProbs, counts: Tensor) -> None:
        """Take in a batch."""
        margin = loss.chosen - loss.rejected
        values = {
            "dpo": loss.dpo,
            "chosen": loss.chosen,
            "rejected": loss.rejected,
            "margin": margin,
            "squares": margin * margin,
            "right": margin > 0,
            "sft_sum": log_probs.sft_sum.detach(),
            "sft_count": log_probs.sft_count.detach(),
            "sft_sequences": loss.sft,
        }
        made = torch.stack([values[name].double().sum() for name in _SUMS])
        made = torch.cat([made, counts.to(made)])
        self._sums = made if self._sums is None else self._sums + made

    def read(self, total: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """What was added up, as means, and begin anew.

        ``margin`` is in nats: how much more than its reference the model prefers chosen over rejected on the
        tokens in which they differ; ``chosen`` and ``rejected`` are the two log-ratios that it is made of,
        ``margin_spread`` its standard deviation over pairs, ``accuracy`` how often it is above nought.
        ``sft_loss`` is a mean over tokens, ``sft_mean`` one over responses of the mean over their tokens.
        ``saved_share`` says how many of the tokens that encoding every response by itself takes were not
        encoded; ``scored_share`` at which of those encoded logits were computed.

        Args:
            total: Adds a tensor up over all processes.
        """
        if self._sums is None:
            return {}
        numbers = cast("list[float]", total(self._sums).tolist())
        self._sums = None
        sums: dict[str, float] = dict(zip(_SUMS, numbers, strict=False))
        counts = dict(zip(Count, numbers[len(_SUMS) :], strict=True))
        return _means(sums, counts)


def _means(sums: Mapping[str, float], counts: Mapping[Count, float]) -> dict[str, float]:
    pairs = counts[Count.PAIRS]
    margin = sums["margin"] / pairs
    values = {
        "dpo_loss": sums["dpo"] / pairs,
        "margin": margin,
        "margin_spread": max(0.0, sums["squares"] / pairs - margin * margin) ** 0.5,
        "accuracy": sums["right"] / pairs,
        "chosen": sums["chosen"] / pairs,
        "rejected": sums["rejected"] / pairs,
        "pairs": pairs,
        "tokens": counts[Count.TOKENS],
        "padding_share": 1 - counts[Count.TOKENS] / counts[Count.CELLS],
        "saved_share": 1 - counts[Count.TOKENS] / counts[Count.PLAIN_TOKENS],
        "scored_share": counts[Count.SCORED] / counts[Count.TOKENS],
    }
    if sums["sft_count"]:
        values["sft_loss"] = -sums["sft_sum"] / sums["sft_count"]
        values["sft_mean"] = sums["sft_sequences"] / pairs
    return values


class PairLines(LogLines):
    """Tells, a line for each line of the log, how far a preference training is."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Say what was logged last."""
        values = cast("dict[str, float]", logs or {})
        head = f"update {int(state.global_step)} of {int(state.max_steps)}: "
        for prefix, where in (("", ""), ("eval_", " on evaluation pairs")):
            if state.is_world_process_zero and f"{prefix}margin" in values:
                self._note(
                    f"{head}margin{where} {values[f'{prefix}margin']:+.3f} nats, "
                    f"chosen preferred in {values[f'{prefix}accuracy']:.1%}"
                )
