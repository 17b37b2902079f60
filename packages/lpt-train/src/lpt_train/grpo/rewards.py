"""What a completion is worth, by rules that anybody can check. No text makes a function here raise."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lpt_core import AnswerStatus, PromptExample, verify
from lpt_train.grpo.sections import RewardSection

STATUSES: tuple[AnswerStatus, ...] = ("found", "missing", "ambiguous", "off_menu", "truncated")

_TAG = re.compile(r"</?(?:think|answer)\s*>", re.IGNORECASE)
_ORDER = ("<think>", "</think>", "<answer>", "</answer>")


@dataclass(frozen=True, slots=True)
class Score:
    """How a completion did, part by part, before any weight.

    Attributes:
        correct: 1 where the answer is the gold option.
        format: 1 where it is one thought and one answer, each in its tags, and nothing else.
        length: 0 down to -1; see ``overlong``.
        status: How the answer was read.
    """

    correct: float
    format: float
    length: float
    status: AnswerStatus


def score(text: str, tokens: int, example: PromptExample, settings: RewardSection, most: int) -> Score:
    """Judge a completion.

    Args:
        text: What the model wrote, special tokens left out.
        tokens: How many it wrote, the end of the turn included.
        example: The question, and how it was shown.
        settings: Where the punishment of length begins.
        most: The most tokens that it could have written.
    """
    _, verdict = verify(text, example.mcq, example.presentation)
    return Score(
        correct=float(verdict.correct),
        format=float(well_formed(text)),
        length=overlong(tokens, most, settings.length_buffer),
        status=verdict.status,
    )


def well_formed(text: str) -> bool:
    """Whether a text is ``<think> … </think> <answer> … </answer>``: each tag once, as it is spelt here.

    Neither thought nor answer is blank; only spaces stand around and between them.
    """
    tags = list(_TAG.finditer(text))
    if tuple(tag.group() for tag in tags) != _ORDER:
        return False
    edges = [0, *(edge for tag in tags for edge in tag.span()), len(text)]
    before, thought, between, answer, after = (
        text[start:end].strip() for start, end in zip(edges[::2], edges[1::2], strict=True)
    )
    return bool(thought and answer) and not (before or between or after)


def overlong(tokens: int, most: int, buffer: int) -> float:
    """The soft overlong punishment of DAPO (Yu et al. 2025, equation 13).

    0 up to ``most - buffer`` tokens, from there in a line down to -1 at ``most``.
    """
    return -min(1.0, max(0.0, (tokens - (most - buffer)) / buffer))


class Rewards:
    """Scores completions for TRL's trainer, which asks for each part by a function of its own.

    Args:
        examples: All prompts; a row of the trainer's data names one by its place.
        settings: Weights and thresholds.
        most: The most tokens of a completion.
    """

    def __init__(self, examples: Sequence[PromptExample], settings: RewardSection, most: int) -> None:
        self._examples = examples
        self._settings = settings
        self._most = most
        weights = {"correct": settings.correct, "format": settings.format, "length": settings.length}
        # A part without weight still tells something, unless it is the one that was not asked for.
        self.weights = {name: weight for name, weight in weights.items() if weight or name != "length"}

    @property
    def functions(self) -> list[Callable[..., list[float | None]]]:
        """One for each part, in the order of ``weights``; the trainer logs each by its name."""
        return [self._function(name) for name in self.weights]

    def scores(self, completions: Sequence[str], tokens: Sequence[int], rows: Sequence[int]) -> list[Score]:
        """Judge completions of the prompts at these places."""
        return [
            score(text, count, self._examples[row], self._settings, self._most)
            for text, count, row in zip(completions, tokens, rows, strict=True)
        ]

    def _function(self, name: str) -> Callable[..., list[float | None]]:
        def reward(
            *,
            completions: Sequence[str],
            completion_ids: Sequence[Sequence[int]],
            row: Sequence[int],
            **more: Any,
        ) -> list[float | None]:
            scores = self.scores(completions, [len(ids) for ids in completion_ids], row)
            if name == "correct":
                _tell(scores, more)
            return [float(getattr(one, name)) for one in scores]

        reward.__name__ = name
        return reward


def _tell(scores: Sequence[Score], more: Mapping[str, Any]) -> None:
    """Log which share of the answers was read as what, where the trainer takes notes."""
    log_metric = more.get("log_metric")
    if log_metric is not None and scores:
        counts = Counter(one.status for one in scores)
        for status in STATUSES:
            log_metric(f"answers/{status}", counts[status] / len(scores))
