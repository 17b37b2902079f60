"""Attention over packed rows that computes each row's scores and no others.

A dense mask makes SDPA compute every row's scores with every other row, to throw them away: for a sequence
of six rows, six times as many. Row by row, SDPA takes its causal path, which on a GPU is FlashAttention's
own kernel, and needs no mask.
"""

# transformers leaves parts of what is used here without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "lpt_rows_sdpa"
"""Under which transformers knows it."""

# Every layer of a pass gets the same tensor of positions; reading it waits for the device once.
_lengths: Any = WeakIdKeyDictionary()


def attend_row_by_row(model: Any) -> None:
    """Let a model's language part attend so, where it uses SDPA; nothing else about it changes.

    Args:
        model: A transformers model, unwrapped. Batches with an attention mask are computed as ever.
    """
    if model.config.get_text_config()._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, rows_attention)
        AttentionMaskInterface.register(NAME, rows_mask)
        model.set_attn_implementation({"text_config": NAME})


def rows_mask(*args: Any, attention_mask: Tensor | None = None, **named: Any) -> Tensor | None:
    """SDPA's mask; none for packed rows, which come without an attention mask."""
    if attention_mask is None:
        return None
    mask: Tensor | None = sdpa_mask(*args, attention_mask=attention_mask, **named)
    return mask


def rows_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_ids: Tensor | None = None,
    **named: Any,
) -> tuple[Tensor, None]:
    """SDPA, row by row where rows are packed.

    Args:
        module: The layer's attention.
        query: (1, heads, places, width of a head).
        key: The same, of fewer heads.
        value: As ``key``.
        attention_mask: None where rows are packed.
        position_ids: Places in the rows, (1, places); they begin at 0 in each row.
        named: What else SDPA takes.

    Returns:
        (1, places, heads, width of a head); and no scores.
    """
    if attention_mask is not None or position_ids is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **named)
    lengths = _row_lengths(position_ids)
    split = (states.split(lengths, dim=2) for states in (query, key, value))
    made = [sdpa_attention_forward(module, q, k, v, None, **named)[0] for q, k, v in zip(*split, strict=True)]
    return torch.cat(made, dim=1), None


def _row_lengths(positions: Tensor) -> list[int]:
    if positions not in _lengths:
        starts: list[int] = (positions[0] == 0).nonzero()[:, 0].tolist()
        ends = [*starts[1:], positions.shape[1]]
        _lengths[positions] = [end - start for start, end in zip(starts, ends, strict=True)]
    found: list[int] = _lengths[positions]
    return found
