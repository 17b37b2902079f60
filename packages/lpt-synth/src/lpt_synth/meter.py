"""Counters of a run in progress, for whoever shows them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

STAGES = ("ask", "reformat", "think", "expand", "judge")


@dataclass(slots=True)
class StageMeter:
    """One stage, counted in samples.

    Attributes:
        wanted: Known to be needed so far.
        stored: Of these, found in the store.
        answered: Answered in this run.
        failed: Given up on in this run.
    """

    wanted: int = 0
    stored: int = 0
    answered: int = 0
    failed: int = 0


@dataclass(slots=True)
class Meter:
    """A run in progress.

    Attributes:
        captions: How many captions there are, or None while that is not known.
        captions_done: How many are finished, for good or with failures.
        sent: HTTP requests sent in this run.
        cost: What this run has cost, in the currency of the prices.
        priced: Whether an endpoint has a price.
        prefix_cache: By model in the process, tokens of all prompts and those that its prefix cache had.
        batches: By endpoint, what is under way in batches: batches, requests done, requests.
        phase: What is done after all is answered: selecting, writing.
    """

    stages: dict[str, StageMeter] = field(default_factory=lambda: {name: StageMeter() for name in STAGES})
    captions: int | None = None
    captions_done: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    sent: int = 0
    cost: float = 0.0
    priced: bool = False
    prefix_cache: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    batches: dict[str, tuple[int, int, int]] = field(default_factory=dict[str, tuple[int, int, int]])
    phase: str = ""
    started: float = field(default_factory=time.monotonic)
    notices: list[str] = field(default_factory=list[str])

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    @property
    def answered(self) -> int:
        """Samples answered in this run."""
        return sum(stage.answered for stage in self.stages.values())

    @property
    def seconds_left(self) -> float | None:
        """A guess from the captions finished so far; None while there is none to make."""
        if self.captions is None or not self.captions_done or not self.answered:
            return None
        return self.seconds / self.captions_done * (self.captions - self.captions_done)
