"""The command ``rescore``: what it tells."""

from __future__ import annotations

from pathlib import Path

import typer

from lpt_eval.records import OUTCOMES
from lpt_eval.rendering import Table, as_text
from lpt_eval.rescoring import Rescored, rescore

_LISTED = 20


def rescore_command(path: Path, out: Path | None) -> None:
    """Score a run again, and tell what changed.

    Raises:
        LptError: It cannot be done.
    """
    told = rescore(path, out)
    typer.echo(as_text([outcomes(told)]), nl=False)
    for one in told:
        for change in one.changes[:_LISTED]:
            which = f"{one.benchmark} {change.source_id}"
            if change.shuffle or change.sample:
                which += f", order {change.shuffle}, sample {change.sample}"
            typer.echo(f"{which}: {change.before} -> {change.after}")
        if len(one.changes) > _LISTED:
            typer.echo(f"{one.benchmark}: and {len(one.changes) - _LISTED} more")
    changed = sum(len(one.changes) for one in told)
    typer.echo(f"{changed:,} answers are read otherwise; wrote {out or path}")


def outcomes(told: list[Rescored]) -> Table:
    """Rows of each outcome, before and after."""
    rows = [
        (
            one.benchmark,
            *(_moved(one.before[outcome], one.after[outcome]) for outcome in OUTCOMES),
            str(len(one.changes)),
            str(one.recovered),
            str(one.missing),
        )
        for one in told
    ]
    header = ("rows", *OUTCOMES, "changed", "from the journal", "missing")
    return Table("Outcomes, before -> after", header, tuple(rows))


def _moved(before: int, after: int) -> str:
    return str(before) if before == after else f"{before} -> {after}"
