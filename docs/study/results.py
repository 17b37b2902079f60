"""What came of a study, from its folders alone: accuracies over seeds, paired differences, what they tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from arms import BASE, Arm

from lpt_eval.metrics import Grid
from lpt_eval.runs import Run, load_run
from lpt_eval.statistics import Bootstrap, resampled_totals, sign_flip

TASK = "mcq_file"
DRAWS, SEED = 10_000, 0

CLAIMS = (
    ("sft", "base", "Learning from long perceptual thoughts makes the model better than it is, thinking"),
    ("sft", "sft-short", "and more so than as many of its own short thoughts do"),
    ("dpo", "sft", "preference pairs on top of that make it better again"),
    ("grpo", "sft", "so does reinforcement on the same questions"),
    ("base", "direct", "Asking the untrained model to think first helps it"),
)
"""Which arm is said to be better than which."""


def collect(out: Path, arms: Sequence[Arm], seeds: int) -> dict[str, Any]:
    """Everything that the table and the page tell."""
    runs = {arm.name: _runs(out, arm, seeds) for arm in arms}
    items = runs[BASE.name][0].answers[TASK].items
    grid = Grid.of(items)
    # By question, the share of seeds in which it is right: a column an arm.
    hits = {
        name: np.stack([run.answers[TASK].hits(grid.items)[:, 0] for run in found], axis=1)
        for name, found in runs.items()
    }
    told = [_arm(arm, hits[arm.name], runs[arm.name]) for arm in arms]
    claims = [
        {"claim": words, "first": first, "second": second, **_paired(grid, hits[first], hits[second])}
        for second, first, words in CLAIMS
        if first in hits and second in hits
    ]
    return {
        "questions": len(grid.items),
        "pictures": grid.clusters,
        "seeds": seeds,
        "arms": told,
        "claims": claims,
    }


def write(path: Path, found: dict[str, Any]) -> None:
    """Keep it as JSON."""
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _runs(out: Path, arm: Arm, seeds: int) -> list[Run]:
    if arm.kind == "base":
        return [load_run(out / "asked" / arm.name)]
    return [load_run(out / f"seed-{seed}" / "asked" / arm.name) for seed in range(seeds)]


def _arm(arm: Arm, hits: np.ndarray, runs: list[Run]) -> dict[str, Any]:
    answers = [run.answers[TASK] for run in runs]
    rows = [row for one in answers for row in one.rows.values()]
    kinds: dict[str, list[float]] = {}
    for item, right in zip(answers[0].items, hits.mean(1), strict=True):
        kinds.setdefault(item.category or "all", []).append(float(right))
    return {
        "name": arm.name,
        "title": arm.title,
        "right": float(hits.mean()),
        "by_seed": [float(share) for share in hits.mean(0)],
        "unreadable": sum(row.outcome not in ("correct", "wrong") for row in rows) / len(rows),
        "words": float(np.mean([len(row.text.split()) for row in rows])),
        "kinds": {kind: float(np.mean(shares)) for kind, shares in sorted(kinds.items())},
    }


def _paired(grid: Grid, first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """How the second differs from the first on the same questions, its seeds averaged.

    The interval is of the questions (a bootstrap over pictures), for the mean of these very trainings; how
    much a training differs from the next is told by ``by_seed``.
    """
    more = second.mean(1) - first.mean(1)
    sums = np.zeros((grid.clusters, 2))
    np.add.at(sums, grid.cluster, np.stack([more, np.ones_like(more)], axis=1))
    totals = resampled_totals(sums, draws=DRAWS, seed=SEED)
    interval = Bootstrap(float(more.mean()), totals[:, 0] / totals[:, 1]).percentile()
    by_seed = (second - first if first.shape == second.shape else second - first.mean(1, keepdims=True)).mean(
        0
    )
    # Over common whole numbers, by picture, so that the exact test applies.
    scale = first.shape[1] * second.shape[1]
    whole = np.rint(sums[:, 0] * scale).astype(int)
    return {
        "difference": float(more.mean()),
        "low": interval.low,
        "high": interval.high,
        "p": sign_flip(int(value) for value in whole),
        "by_seed": [float(value) for value in by_seed],
    }
