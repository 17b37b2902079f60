"""Drawing tokens so that a sample depends on its own request and number alone.

A softmax sample is the largest of the scores after Gumbel noise was added to each (Gumbel-max). The noise
for a token is a hash of the sample's seed, the token's position in the answer and the token: no random
state, no order, the same on every device, whatever else is in the batch.
"""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation.logits_process import (
    NoBadWordsLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lpt_core import Sampling

# splitmix64 (Steele, Lea and Flood 2014), in the two's complement that int64 arithmetic is.
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _signed(number: int) -> int:
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number


def _shifted(x: torch.Tensor, by: int) -> torch.Tensor:
    """A logical shift to the right; torch's own keeps the sign."""
    return (x >> by) & ((1 << (64 - by)) - 1)


def _mixed(x: torch.Tensor) -> torch.Tensor:
    x = (x ^ _shifted(x, 30)) * _signed(_FIRST)
    x = (x ^ _shifted(x, 27)) * _signed(_SECOND)
    return x ^ _shifted(x, 31)


def gumbel_noise(seeds: torch.Tensor, step: int, vocabulary: int) -> torch.Tensor:
    """Standard Gumbel noise in float64, shape (rows, vocabulary).

    Args:
        seeds: One int64 for each row.
        step: Position in the answer.
        vocabulary: Number of tokens.
    """
    state = _mixed(seeds + _signed(_GOLDEN * (step + 1)))
    tokens = torch.arange(1, vocabulary + 1, device=seeds.device) * _signed(_GOLDEN)
    bits = _shifted(_mixed(state[:, None] + tokens), 12)
    uniform = (bits.double() + 0.5) / 2.0**52
    return -torch.log(-torch.log(uniform))


class AddNoise(LogitsProcessor):
    """Adds the noise that makes the largest score a sample. The last of all processors.

    Args:
        seeds: One for each row.
        start: Length of the prompts, padding included.
    """

    def __init__(self, seeds: Sequence[int], start: int, device: torch.device) -> None:
        self._seeds = torch.tensor([_signed(seed) for seed in seeds], dtype=torch.int64, device=device)
        self._start = start

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores of the next tokens, with noise."""
        noise = gumbel_noise(self._seeds, input_ids.shape[1] - self._start, scores.shape[1])
        return scores.double() + noise


class PenaliseRepetition(LogitsProcessor):
    """The repetition penalty over prompt and answer (CTRL, Keskar et al. 2019), blind to padding.

    The processor of transformers takes padding for text, so that what a row may say would depend on the
    length of others.

    Args:
        penalty: Above 1 makes what was said less likely.
        mask: The prompts' attention mask, (rows, length).
    """

    def __init__(self, penalty: float, mask: torch.Tensor) -> None:
        self._penalty = penalty
        self._mask = mask.long()
        self._counts: torch.Tensor | None = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores of the next tokens, lower for those that stand there already."""
        if self._counts is None:
            self._counts = torch.zeros(scores.shape, dtype=torch.int64, device=scores.device)
            # Some models' marks for images lie beyond what they can write.
            last_token = scores.shape[1] - 1
            written = self._mask * (input_ids <= last_token)
            self._counts.scatter_add_(1, input_ids.clamp(max=last_token), written)
        else:
            last = cast(torch.Tensor, input_ids[:, -1:])
            self._counts.scatter_add_(1, last, torch.ones_like(last))
        lower = torch.where(scores < 0, scores * self._penalty, scores / self._penalty)
        return torch.where(self._counts > 0, lower, scores)


def settled(sampling: Sampling, defaults: Sampling) -> Sampling:
    """The sampling with what it leaves open filled in from the model's own."""
    given = sampling.model_dump(exclude_none=True)
    return Sampling.model_validate(defaults.model_dump(exclude_none=True) | given)


def processors(
    sampling: Sampling,
    *,
    seeds: Sequence[int],
    mask: torch.Tensor,
    banned: Sequence[Sequence[int]],
) -> LogitsProcessorList:
    """What stands between a model's scores and the tokens that are taken, in the usual order.

    Args:
        sampling: With nothing left open.
        seeds: One for each row.
        mask: The prompts' attention mask, on the model's device.
        banned: Token sequences that must not be written.
    """
    made: list[LogitsProcessor] = []
    if sampling.repetition_penalty not in (None, 1.0):
        made.append(PenaliseRepetition(sampling.repetition_penalty, mask))
    if banned:
        made.append(NoBadWordsLogitsProcessor([list(word) for word in banned]))
    if sampling.temperature:
        if sampling.temperature != 1.0:
            made.append(TemperatureLogitsWarper(sampling.temperature))
        if sampling.top_k is not None and sampling.top_k > 0:
            made.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p is not None and sampling.top_p < 1:
            made.append(TopPLogitsWarper(sampling.top_p))
        made.append(AddNoise(seeds, mask.shape[1], mask.device))
    return LogitsProcessorList(made)


def banned_tokens(tokenizer: Any, words: Sequence[str]) -> list[list[int]]:
    """Each word as the tokens that would write it, at the beginning of a text and after a space."""
    found: dict[tuple[int, ...], None] = {}
    for word in words:
        for text in (word, " " + word):
            ids = tuple(cast("list[int]", tokenizer.encode(text, add_special_tokens=False)))
            if ids:
                found[ids] = None
    return [list(ids) for ids in found]
