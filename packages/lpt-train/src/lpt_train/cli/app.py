"""The commands of ``lpt-train``. Heavy imports lie inside them, so that ``--help`` is instant."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Training sets in, models out: SFT, DPO and GRPO on long perceptual thoughts.",
)

ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The configuration.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="RUN_DIR", help="The run's folder.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Only the end.")]
DataArgument = Annotated[Path, typer.Argument(metavar="DATA", help="sft.jsonl, pairs.jsonl, prompts.jsonl.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object.")]


class Kind(StrEnum):
    """What a merged model is saved in."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class DeviceName(StrEnum):
    """A device whose data sheet is known."""

    a40 = "a40"
    a100 = "a100"
    h100 = "h100"
    h200 = "h200"
    l40s = "l40s"
    rtx4090 = "rtx4090"


def _version(wanted: bool) -> None:
    if wanted:
        from lpt_train import __version__

        typer.echo(f"lpt-train {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def sft(config: ConfigArgument, out: OutOption, quiet: QuietOption = False) -> None:
    """Fine-tune on verified thoughts. Stopped or killed, the same line goes on where it was."""
    from lpt_train.settings import load_config

    settings = load_config(config)
    settings.needs("sft")
    from lpt_train.cli.training import noting
    from lpt_train.sft.run import train_sft

    note = noting(quiet=quiet)
    result = train_sft(settings, out, note=note)
    note(f"wrote {result.model}: {result.record.step} updates on {result.record.rows} rows", always=True)


@app.command()
def dpo(
    config: ConfigArgument,
    out: OutOption,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the reference's log-probabilities are kept; else in --out."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Train on preference pairs. Stopped or killed, the same line goes on where it was."""
    from lpt_train.settings import load_config

    settings = load_config(config)
    settings.needs("dpo")
    from lpt_train.cli.training import noting
    from lpt_train.dpo.run import train_dpo

    note = noting(quiet=quiet)
    result = train_dpo(settings, out, reference=reference, note=note)
    note(f"wrote {result.model}: {result.record.step} updates on {result.record.rows} pairs", always=True)


@app.command()
def grpo(config: ConfigArgument, out: OutOption, quiet: QuietOption = False) -> None:
    """Train on questions whose answers are verified. Stopped or killed, the same line goes on."""
    from lpt_train.settings import load_config

    settings = load_config(config)
    settings.needs("grpo")
    from lpt_train.cli.training import noting
    from lpt_train.grpo.run import train_grpo

    note = noting(quiet=quiet)
    result = train_grpo(settings, out, note=note)
    note(f"wrote {result.model}: {result.record.step} updates on {result.record.rows} prompts", always=True)


@app.command()
def merge(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a checkpoint's.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A new folder.")],
    base: Annotated[str | None, typer.Option(help="Where the model lies now, if it was moved.")] = None,
    dtype: Annotated[Kind | None, typer.Option(help="What to save in.")] = None,
) -> None:
    """Add adapters to the weights of their model."""
    from lpt_train.cli.training import noting
    from lpt_train.merge import merge as merge_run

    note = noting(quiet=False)
    merge_run(run, to, base=base, dtype=None if dtype is None else dtype.value)
    note(f"wrote {to}")


@app.command()
def lint(
    data: DataArgument,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="CONFIG.yaml", help="Also count tokens, as this training would."),
    ] = None,
    evaluation: Annotated[
        list[Path] | None, typer.Option(help="What is evaluated on: a folder of images, or records.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Write out every problem.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at rows before any GPU hour is spent on them. Exit status 1 where something must be mended."""
    from lpt_train.lint import lint as lint_rows

    encoder, most = None, None
    if config is not None:
        from lpt_train.cli.training import encoder_of
        from lpt_train.settings import load_config

        settings = load_config(config)
        encoder, most = encoder_of(settings), settings.data.max_tokens
    report = lint_rows(data, encoder=encoder, max_tokens=most, evaluation=tuple(evaluation or ()))
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        typer.echo(report.text(None if all_ else 20), nl=False)
    raise typer.Exit(1 if report.errors else 0)


@app.command()
def preview(
    data: DataArgument,
    config: Annotated[
        Path, typer.Option("--config", metavar="CONFIG.yaml", help="The training that it is for.")
    ],
    line: Annotated[list[int] | None, typer.Option(min=1, help="Rows by their line.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Else how many, of each kind in turn.")] = 4,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page instead.")] = None,
) -> None:
    """Show what bears loss, token by token, as the training itself sees it; of prompts, what earns what."""
    from lpt_train.cli.training import encoder_of, show_preview
    from lpt_train.preview import preview as preview_rows
    from lpt_train.settings import load_config

    settings = load_config(config)
    encoder = encoder_of(settings)
    rows = preview_rows(data, encoder, lines=tuple(line or ()), count=count, grpo=settings.grpo)
    show_preview(rows, data.name, html)


@app.command()
def estimate(
    config: ConfigArgument,
    devices: Annotated[int, typer.Option(min=1, help="How many devices train together.")] = 1,
    device: Annotated[
        DeviceName, typer.Option(help="What trains; its memory and speed are its vendor's.")
    ] = DeviceName.h100,
    memory: Annotated[
        float | None, typer.Option(min=1, help="GiB of each device, if not the device's own.")
    ] = None,
    sharded: Annotated[
        bool, typer.Option("--sharded", help="Weights are spread over the devices: ZeRO-3, FSDP.")
    ] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="Make a handful of updates on this machine, and time them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell what memory and time a training takes: from shapes and data sheets, or with a short probe."""
    from lpt_train.estimate import estimate as estimate_all
    from lpt_train.estimate_time import DEVICES
    from lpt_train.settings import load_config

    settings, known = load_config(config), DEVICES[device.value]
    measured = None
    if probe:
        from lpt_train.cli.training import noting
        from lpt_train.probe import probe as run_probe

        noting(quiet=True)
        measured = run_probe(settings)
    made = estimate_all(settings, devices=devices, sharded=sharded, device=known, measured=measured)
    told = made.text(memory=known.memory if memory is None else memory)
    typer.echo(json.dumps(made.as_json(), indent=2) if as_json else told, nl=as_json)


@app.command(name="import-recipe")
def import_recipe(
    recipe: Annotated[Path, typer.Argument(metavar="LLAMA_FACTORY.yaml", help="A training's YAML.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="CONFIG.yaml", help="Write the configuration there.")
    ] = None,
) -> None:
    """Turn a configuration of LLaMA-Factory into one of ours, and tell what became of every key."""
    from lpt_train.importer import import_file

    imported = import_file(recipe)
    typer.echo(imported.report(), err=to is None, nl=False)
    if to is None:
        typer.echo(imported.yaml, nl=False)
    else:
        imported.write(to)
        typer.echo(f"wrote {to}")


@app.command(name="show-recipe")
def show_recipe(name: Annotated[str, typer.Argument(help="paper, released or default.")]) -> None:
    """Print what a recipe fills in."""
    from lpt_train.settings import recipe_text

    typer.echo(recipe_text(name), nl=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def launch(
    context: typer.Context,
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="gpu, cpu, a40x4-zero3, h100x8-fsdp2.")],
) -> None:
    """Run a command that trains through accelerate: launch PRESET sft CONFIG.yaml --out RUN_DIR."""
    from lpt_train.cli.launching import launch as hand_over

    hand_over(preset, list(context.args))
