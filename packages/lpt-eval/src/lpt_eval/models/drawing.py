"""Drawing tokens so that an answer depends on its own seed alone, and ending answers at stop texts."""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lpt_core import Sampling


def processors(sampling: Sampling, seeds: Sequence[int]) -> LogitsProcessorList:
    """What turns scores into the next token's: greedy unless there is a temperature.

    Args:
        sampling: How tokens are drawn.
        seeds: One for each row.
    """
    steps: list[Any] = []
    if sampling.repetition_penalty not in (None, 1.0):
        steps.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if sampling.temperature != 0:
        steps.append(TemperatureLogitsWarper(1.0 if sampling.temperature is None else sampling.temperature))
        if sampling.top_k is not None and sampling.top_k > 0:
            steps.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p is not None and sampling.top_p < 1:
            steps.append(TopPLogitsWarper(sampling.top_p))
        steps.append(_Noise(seeds))
    return LogitsProcessorList(steps)


class _Noise(LogitsProcessor):
    """Makes the most probable token a sample (Gumbel-max), each row by a generator of its own.

    A sample depends on its own seed alone, not on the batch that it is drawn in.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        # On the CPU: the same draws on every device.
        self._draws = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores, noise added."""
        waits = torch.stack([torch.empty(scores.shape[1]).exponential_(generator=g) for g in self._draws])
        return scores.float() - waits.to(scores.device).log()


class Stop(StoppingCriteria):
    """Ends a row when one of the texts has been written."""

    def __init__(self, tokenizer: Any, stops: Sequence[str], start: int) -> None:
        self._tokenizer = tokenizer
        self._stops = stops
        self._start = start
        # A token writes at least a byte, but for those that write nothing.
        self._window = max((len(stop.encode()) for stop in stops), default=0) + 8

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """One bool for each row."""
        if not self._stops:
            return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
        tails = input_ids[:, self._start :][:, -self._window :].tolist()
        texts = [self._tokenizer.decode(tail) for tail in tails]
        done = [any(stop in text for stop in self._stops) for text in texts]
        return torch.tensor(done, device=input_ids.device)
