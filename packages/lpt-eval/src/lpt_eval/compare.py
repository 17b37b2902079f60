"""Two runs or more on the same questions: what differs, how sure that is, and on which questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lpt_core import ConfigError
from lpt_eval.alike import differences, named
from lpt_eval.difference import PairDifference, pair_of
from lpt_eval.runs import Run, load_run, over_orders
from lpt_eval.statistics import holm
from lpt_eval.summary import DRAWS, RunSummary, summarise


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs, each compared with the first.

    Attributes:
        runs: All of them, each by itself.
        pairs: The first with each other.
        unlike: In what they differ other than the model; empty unless that was allowed.
        incomplete: What is missing, a sentence each.
        draws: Resamples of the bootstrap.
        seed: Of these.
    """

    runs: tuple[RunSummary, ...]
    pairs: tuple[PairDifference, ...]
    unlike: tuple[str, ...]
    incomplete: tuple[str, ...]
    draws: int
    seed: int


def compare(
    paths: Sequence[Path],
    *,
    allow_unlike: bool = False,
    all_orders: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """Compare runs with the first of them.

    Args:
        paths: The runs' folders; the first is what the others are measured by.
        allow_unlike: Compare what they have in common, though protocols, readers or questions differ.
        all_orders: Count the answers under all orders of the options, not under the questions' own alone.
        draws: Resamples of the bootstrap.
        seed: Of these; the same seed gives the same intervals.

    Raises:
        ConfigError: There are fewer than two runs, or they are not alike.
        LptError: A run cannot be read.
    """
    if len(paths) < 2:
        raise ConfigError("a comparison needs two runs.")
    runs = load_runs(paths)
    if all_orders:
        counts = [run.info.shuffles for run in runs]
        if len(set(counts)) > 1:
            listed = ", ".join(f"{run.name} over {count}" for run, count in zip(runs, counts, strict=True))
            raise ConfigError(
                f"these runs were not asked over as many orders of the options: {listed}.",
                "leave --all-orders out",
            )
        runs = [over_orders(run) for run in runs]
    return compare_runs(runs, allow_unlike=allow_unlike, draws=draws, seed=seed)


def load_runs(paths: Sequence[Path]) -> list[Run]:
    """Read runs, and give them names that differ: their folders', or else their paths.

    Raises:
        LptError: One cannot be read.
    """
    runs = [load_run(path) for path in paths]
    names = [run.name for run in runs]
    if len(set(names)) == len(names):
        return runs
    return [replace(run, name=f"{number}:{run.path}") for number, run in enumerate(runs, 1)]


def compare_runs(
    runs: Sequence[Run], *, allow_unlike: bool = False, draws: int = DRAWS, seed: int = 0
) -> Comparison:
    """Compare two runs or more that have been read; as ``compare``."""
    unlike = [f"{run.name}: {line}" for run in runs[1:] for line in differences(runs[0], run)]
    if unlike and not allow_unlike:
        listed = "".join(f"\n  - {line}" for line in unlike)
        raise ConfigError(
            f"these runs are not alike{listed}",
            "give runs under one protocol, or --allow-unlike to compare what they have in common.",
        )
    incomplete = [
        f"{run.name}: {name}: {len(answers.missing)} of {len(answers.items)} items have no complete answer: "
        f"{named(answers.missing)}"
        for run in runs
        for name, answers in run.answers.items()
        if answers.missing
    ]
    pairs = [pair_of(runs[0], run, draws=draws, seed=seed) for run in runs[1:]]
    return Comparison(
        runs=tuple(summarise(run, draws=draws, seed=seed) for run in runs),
        pairs=_adjusted(pairs),
        unlike=tuple(unlike),
        incomplete=tuple(incomplete),
        draws=draws,
        seed=seed,
    )


def _adjusted(pairs: list[PairDifference]) -> tuple[PairDifference, ...]:
    """The pairs with p-values that hold for all of their benchmarks together."""
    adjusted = iter(holm([one.p for pair in pairs for one in pair.benchmarks]))
    return tuple(
        replace(pair, benchmarks=tuple(replace(one, adjusted=next(adjusted)) for one in pair.benchmarks))
        for pair in pairs
    )
