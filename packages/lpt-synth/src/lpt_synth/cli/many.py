"""The commands for many machines: shards are brought together, and a scheduler is told what to run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def merge(
    out: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The merged run's directory, a new one.")],
    shards: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SHARD_DIR...", help="Those of the shards; else all RUN_DIR.shard-*."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Merge what there is, although shards are missing.")
    ] = False,
    take_first: Annotated[
        bool, typer.Option("--take-first", help="Of answers that contradict each other, keep the first.")
    ] = False,
) -> None:
    """Make one run of its shards, as if it had never been split. Exit status 1: something is missing."""
    from lpt_synth.cli.show import show_merge
    from lpt_synth.merge import merge as merge_shards

    def tell(phase: str) -> None:
        typer.echo(phase, err=True)

    report = merge_shards(out, shards or [], partial=partial, take_first=take_first, tell=tell)
    show_merge(report, out)
    raise typer.Exit(0 if report.done else 1)


def slurm(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The configuration.")],
    out: Annotated[Path, typer.Option("--out", metavar="RUN_DIR", help="The merged run's directory.")],
    shards: Annotated[int, typer.Option(min=1, max=999_999, help="How many tasks the array has.")],
) -> None:
    """Print a job script for Slurm: an array with a task for each shard. Resubmitted, it goes on."""
    from lpt_synth.slurm import job_script

    typer.echo(job_script(config, out, shards), nl=False)
