"""What a report is made from: runs, what they amount to, and how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lpt_core import ConfigError
from lpt_eval.compare import Comparison, compare_runs, load_runs
from lpt_eval.records import Item
from lpt_eval.runs import Answers, Run
from lpt_eval.summary import RunSummary, summarise
from lpt_eval.tables import TITLES, ordered

_MOST = 12
"""Runs in a report: more cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Material:
    """Runs that have been read and counted.

    Attributes:
        runs: The first is what the others are measured by.
        summaries: What each amounts to.
        comparison: How the others differ from the first; None of a single run.
        draws: Resamples for the intervals.
        seed: Of these.
    """

    runs: tuple[Run, ...]
    summaries: tuple[RunSummary, ...]
    comparison: Comparison | None
    draws: int
    seed: int

    @property
    def benchmarks(self) -> list[str]:
        """All that any run was asked, the paper's first."""
        return ordered({name for run in self.runs for name in run.answers})

    def answers(self, benchmark: str) -> list[Answers | None]:
        """What each run answered; None where it was not asked."""
        return [run.answers.get(benchmark) for run in self.runs]

    def items(self, benchmark: str) -> dict[str, Item]:
        """The questions of a benchmark over all runs, the first run's first."""
        found: dict[str, Item] = {}
        for answers in self.answers(benchmark):
            for item in answers.items if answers else ():
                found.setdefault(item.id, item)
        return found


def key(number: int) -> str:
    """What stands for a run: a number, as letters stand for options."""
    return str(number + 1)


def colour(number: int) -> str:
    """The class of the style sheet that colours a run."""
    return f"run-{number % 6}"


def title_of(benchmark: str) -> str:
    """What people call a benchmark."""
    return TITLES.get(benchmark, benchmark)


def gather(paths: Sequence[Path], *, allow_unlike: bool, draws: int, seed: int) -> Material:
    """Read runs and count them.

    Args:
        paths: The runs' folders.
        allow_unlike: Show side by side what was asked otherwise.
        draws: Resamples for the intervals.
        seed: Of these.

    Raises:
        ConfigError: There are too many, or they are not alike.
        LptError: One cannot be read.
    """
    if len(paths) > _MOST:
        raise ConfigError(f"a report shows {_MOST} runs at most.", "leave some out")
    runs = load_runs(paths)
    if len(runs) == 1:
        return Material(
            tuple(runs), (summarise(runs[0], draws=draws, seed=seed),), None, draws=draws, seed=seed
        )
    made = compare_runs(runs, allow_unlike=allow_unlike, draws=draws, seed=seed)
    return Material(tuple(runs), made.runs, made, draws=draws, seed=seed)
