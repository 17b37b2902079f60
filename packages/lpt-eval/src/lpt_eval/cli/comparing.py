"""The command ``compare``: what it prints, and with what status it ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from lpt_core import ConfigError
from lpt_eval.compare import Comparison, compare
from lpt_eval.rendering import as_latex, as_markdown, as_text
from lpt_eval.tables import as_json, comparison_tables

_NAMED = 20


def compare_command(
    paths: Sequence[Path],
    *,
    formats: Sequence[str],
    allow_unlike: bool,
    max_failures: float,
    all_orders: bool = False,
    draws: int,
    seed: int,
) -> bool:
    """Compare, print, and complain.

    Args:
        paths: The runs' folders.
        formats: Which of "json", "markdown" and "latex" was asked for; at most one.
        allow_unlike: See ``compare``.
        all_orders: See ``compare``.
        max_failures: The share of a benchmark's rows without an answer that is still taken.
        draws: See ``compare``.
        seed: See ``compare``.

    Returns:
        Whether the runs are whole, and their failures few enough.

    Raises:
        LptError: They cannot be compared.
    """
    if len(formats) > 1:
        raise ConfigError(f"--{' and --'.join(formats)}: one of them at a time.")
    made = compare(paths, allow_unlike=allow_unlike, all_orders=all_orders, draws=draws, seed=seed)
    form = formats[0] if formats else "text"
    if form == "json":
        typer.echo(json.dumps(as_json(made), indent=2, ensure_ascii=False))
    else:
        render = {"text": as_text, "markdown": as_markdown, "latex": as_latex}[form]
        typer.echo(render(comparison_tables(made)), nl=False)
    if form == "text":
        typer.echo(changed_answers(made), nl=False)
    faults = [*made.incomplete, *too_many_failures(made, max_failures)]
    for line in made.unlike:
        typer.echo(f"unlike: {line}", err=True)
    for line in faults:
        typer.echo(f"incomplete: {line}", err=True)
    return not faults


def changed_answers(made: Comparison) -> str:
    """The questions that were gained and lost, by name; the first of each benchmark."""
    lines: list[str] = []
    for pair in made.pairs:
        for one in pair.benchmarks:
            for what, names in (("gained", one.gained), ("lost", one.lost)):
                if names:
                    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
                    listed = ", ".join(names[:_NAMED])
                    lines.append(f"{what} by {pair.second} on {one.benchmark}: {listed}{more}")
    return "".join(f"{line}\n" for line in ("", *lines)) if lines else ""


def too_many_failures(made: Comparison, most: float) -> list[str]:
    """The benchmarks in which more than a share of the rows has no answer, a sentence each."""
    return [
        f"{run.name}: {name}: {100 * one.failure_share:.1f} % of the rows have no answer "
        f"(more than --max-failures {most:g})"
        for run in made.runs
        for name, one in run.benchmarks.items()
        if one.failure_share > most
    ]
