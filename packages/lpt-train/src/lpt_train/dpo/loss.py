"""The loss of preference optimisation: sigmoid DPO with an SFT term (Rafailov 2023, Pang 2024).

    -log sigmoid(beta * margin) + sft_weight * (negative log-likelihood of the chosen response)

``margin`` is how much more the model prefers chosen over rejected than its reference does, on the tokens
where the two differ. Normalised over a whole update, not over each micro-batch: how an update is cut into
micro-batches and spread over devices changes nothing.
"""

# torch leaves parts of what is used here without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lpt_train.dpo.shared import PairLogProbs


@dataclass(frozen=True, slots=True)
class PreferenceLoss:
    """The loss, and what it is made of; all but ``loss`` without gradients, one number a pair.

    Attributes:
        loss: This batch's share of the update's loss; the shares of an update sum to its loss.
        dpo: The preference term.
        sft: Mean negative log-likelihood of the chosen response's tokens that bear loss, in nats; 0 where
            none does.
        chosen: Log-ratio of model and reference on the chosen response's own tokens.
        rejected: The same of the rejected response.
    """

    loss: Tensor
    dpo: Tensor
    sft: Tensor
    chosen: Tensor
    rejected: Tensor


def preference_loss(
    log_probs: PairLogProbs,
    reference: Tensor,
    *,
    beta: float,
    sft_weight: float,
    sft_over: Literal["sequence", "token"],
    pairs: Tensor | float,
    sft_tokens: Tensor | float,
) -> PreferenceLoss:
    """The loss of a batch as a share of its update's.

    Args:
        log_probs: The model's.
        reference: The reference's sums over the responses' own tokens, pairs by (chosen, rejected).
        beta: How strongly the reference holds.
        sft_weight: Weight of the SFT term.
        sft_over: "sequence": mean over each response's tokens, then over pairs (LLaMA-Factory); "token":
            mean over all tokens of the update (TRL, which takes it over a micro-batch).
        pairs: How many pairs the whole update has.
        sft_tokens: How many tokens of the whole update bear loss in the SFT term.
    """
    own = reference.to(log_probs.chosen.dtype)
    chosen, rejected = log_probs.chosen - own[:, 0], log_probs.rejected - own[:, 1]
    dpo = -logsigmoid(beta * (chosen - rejected))
    mean = -log_probs.sft_sum / log_probs.sft_count.clamp(min=1)
    loss = dpo.sum() / pairs
    if sft_weight:
        if sft_over == "sequence":
            term = mean.sum() / pairs
        else:
            term = -log_probs.sft_sum.sum() / torch.as_tensor(sft_tokens, device=mean.device).clamp(min=1)
        loss = loss + sft_weight * term
    return PreferenceLoss(loss, dpo.detach(), mean.detach(), chosen.detach(), rejected.detach())
