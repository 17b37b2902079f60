"""Log-probabilities of both responses of pairs from one forward pass.

Equal, with their gradients, to what encoding each response by itself gives: to rounding in float64
(tests/train/dpo/test_shared.py). What both responses begin with is no part of ``chosen`` and ``rejected``:
in a preference loss on sums of log-probabilities it cancels, for the model and for its reference alike.
"""

# torch leaves parts of what is used here without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lpt_core import ConfigError
from lpt_train.dpo.collate import Count, Side

_INPUTS = ("input_ids", "attention_mask", "position_ids", "pixel_values", "image_grid_thw")


@dataclass(frozen=True, slots=True)
class PairLogProbs:
    """What a model gives the pairs of a batch, in nats; one number a pair.

    Attributes:
        chosen: Sum over the chosen response's tokens behind the shared beginning.
        rejected: That of the rejected response.
        sft_sum: Sum over the chosen response's tokens that bear loss in the SFT term, shared ones among them.
        sft_count: How many those are.
    """

    chosen: Tensor
    rejected: Tensor
    sft_sum: Tensor
    sft_count: Tensor


def attention_of(model: Any) -> str:
    """How a model's language part attends: "sdpa", "eager", "flash_attention_2", ...

    Args:
        model: A transformers model, unwrapped.
    """
    return str(model.config.get_text_config()._attn_implementation)


def check_attention(attention: str, *, share: bool) -> None:
    """Refuse attention that would not honour a tree's mask.

    Raises:
        ConfigError: Pairs are to share, and ``attention`` takes no mask of its own.
    """
    if share and attention not in ("sdpa", "eager"):
        raise ConfigError(
            f"prefix-shared pairs need a mask that {attention} does not take.",
            "set the model's attention to sdpa, or encode each response by itself (share_prefix: false)",
        )


def pair_log_probs(model: nn.Module, batch: Mapping[str, Tensor], *, attention: str = "sdpa") -> PairLogProbs:
    """Run a model once over a batch of ``PairCollator``.

    Args:
        model: A Qwen2.5-VL, a Qwen3-VL or one like them, wrapped as training wraps it.
        batch: On the model's device.
        attention: As ``attention_of`` the model.
    """
    inputs = {name: batch[name] for name in _INPUTS}
    mask = inputs["attention_mask"]
    if mask.dim() == 4 and attention == "eager":
        # Eager attention adds its mask; the others take booleans.
        lowest = torch.finfo(torch.get_default_dtype()).min
        zeros = torch.zeros(mask.shape, device=mask.device)
        inputs["attention_mask"] = zeros.masked_fill(~mask, lowest)
    logits: Tensor = model(**inputs, logits_to_keep=batch["keep"], use_cache=False).logits.flatten(0, 1)
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    rows = batch["entry_logits"]
    log_probs = logits[rows, batch["entry_target"]] - logits.logsumexp(dim=-1)[rows]
    return _by_pair(log_probs, batch)


def _by_pair(log_probs: Tensor, batch: Mapping[str, Tensor]) -> PairLogProbs:
    pairs = batch["reference"].shape[0]
    nothing = log_probs.new_zeros(pairs)

    def summed(of: Tensor, where: Tensor) -> Tensor:
        # Multiplied, not selected: a selection would wait for the device to tell its size.
        return nothing.index_add(0, batch["entry_pair"], of * where)

    side, sft = batch["entry_side"], batch["entry_sft"]
    return PairLogProbs(
        chosen=summed(log_probs, side == Side.CHOSEN),
        rejected=summed(log_probs, side == Side.REJECTED),
        sft_sum=summed(log_probs, sft),
        sft_count=summed(torch.ones_like(log_probs), sft),
    )


def pairs_and_sft_tokens(batch: Mapping[str, Tensor]) -> Tensor:
    """How many pairs a batch has, and how many tokens that bear loss in the SFT term: two whole numbers."""
    return batch["counts"][[Count.PAIRS, Count.SFT_TOKENS]]
