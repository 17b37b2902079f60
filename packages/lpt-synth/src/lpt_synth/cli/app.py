"""The commands of ``lpt-synth``. Heavy imports lie inside them, so that ``--help`` is instant."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lpt_synth.cli import many

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Captions in, training sets out: questions, short thoughts and long perceptual thoughts.",
)

ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The configuration.")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The directory of a run.")]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="The I-th of N parts, in RUN_DIR.shard-I-of-N; see merge."),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="RUN_DIR", help="The run's directory.")]


class Format(StrEnum):
    """What sets can be exported for."""

    trl = "trl"
    llama_factory = "llama-factory"
    jsonl = "jsonl"
    prompts = "prompts"


class Level(StrEnum):
    """How hard the lab's scenes are to see."""

    easy = "easy"
    medium = "medium"
    hard = "hard"


class Split(StrEnum):
    """The lab's splits, which share no layout."""

    train = "train"
    validation = "validation"
    test = "test"


def _version(wanted: bool) -> None:
    if wanted:
        from lpt_synth import __version__

        typer.echo(f"lpt-synth {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def init(
    config: ConfigArgument,
    captions: Annotated[str, typer.Option(help="DOCCI's file, a table, a folder, or a datasets id.")],
    base_url: Annotated[str, typer.Option(help="An OpenAI-compatible endpoint, up to and including /v1.")],
    recipe: Annotated[str, typer.Option(help="paper, released or default.")] = "default",
    images: Annotated[Path | None, typer.Option(help="The folder of the images.")] = None,
    asker: Annotated[str | None, typer.Option(help="Model that writes the questions.")] = None,
    thinker: Annotated[str | None, typer.Option(help="Vision-language model that thinks briefly.")] = None,
    expander: Annotated[str | None, typer.Option(help="Reasoning model that thinks harder.")] = None,
    asker_url: Annotated[str | None, typer.Option(help="Its endpoint, if not --base-url.")] = None,
    thinker_url: Annotated[str | None, typer.Option(help="Its endpoint, if not --base-url.")] = None,
    expander_url: Annotated[str | None, typer.Option(help="Its endpoint, if not --base-url.")] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="NAME of the environment variable that holds the key.")
    ] = None,
    short_cots: Annotated[int | None, typer.Option(min=1, help="Short thoughts per question.")] = None,
    long_cots: Annotated[int | None, typer.Option(min=1, help="Continuations per short thought.")] = None,
    cue: Annotated[list[str] | None, typer.Option(help='What begins a continuation: "Wait,".')] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many captions.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a configuration that runs."""
    from lpt_synth.init import InitOptions, write_config

    options = InitOptions(
        recipe=recipe,
        captions=captions,
        images=images,
        base_url=base_url,
        models={"asker": asker, "thinker": thinker, "expander": expander},
        urls={"asker": asker_url, "thinker": thinker_url, "expander": expander_url},
        api_key_env=api_key_env,
        short_cots=short_cots,
        long_cots=long_cots,
        cues=cue or (),
        limit=limit,
    )
    write_config(config, options, force=force)
    typer.echo(f"wrote {config}\nnext: lpt-synth plan {config} --out RUN_DIR")


@app.command()
def run(
    config: ConfigArgument,
    out: OutOption,
    shard: ShardOption = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="Stop cleanly before this run has spent more.")
    ] = None,
    sequential: Annotated[
        bool, typer.Option("--sequential", help="One request at a time, in order: for debugging.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only the end.")] = False,
) -> None:
    """Ask, think, think harder, select. Stopped or killed, the same line goes on where it was."""
    from lpt_synth.cli.show import show_result, showing
    from lpt_synth.jobs import as_shard
    from lpt_synth.jobs import run as run_job
    from lpt_synth.meter import Meter
    from lpt_synth.settings import load_config

    settings, folder = as_shard(load_config(config), out, shard)
    meter = Meter()
    with showing(meter, quiet=quiet):
        report = run_job(settings, folder, max_cost=max_cost, sequential=sequential, meter=meter)
    again, then = f"lpt-synth run {config} --out {out}", f"lpt-synth export {out} --format trl --to DIR"
    if shard is not None:
        again, then = f"{again} --shard {shard}", f"lpt-synth merge {out}, when all shards are done"
    show_result(report, folder, again=again, then=then)
    raise typer.Exit(0 if report.result.done else 1)


@app.command()
def plan(
    config: ConfigArgument,
    out: OutOption,
    shard: ShardOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Price what is not yet in the store. Asks nobody, changes nothing."""
    from lpt_synth.cli.show import show_plan
    from lpt_synth.jobs import as_shard
    from lpt_synth.jobs import plan as plan_job
    from lpt_synth.settings import load_config

    made = plan_job(*as_shard(load_config(config), out, shard))
    if as_json:
        typer.echo(json.dumps(made.as_json(), indent=2))
    else:
        show_plan(made)


@app.command()
def status(
    run_dir: RunArgument,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tell what a run has made, what each step took, and why anything was asked again."""
    from lpt_synth.cli.show import show_status
    from lpt_synth.rundir import RunDir
    from lpt_synth.status import status as state

    made = state(RunDir(run_dir))
    if as_json:
        typer.echo(json.dumps(made, indent=2, ensure_ascii=False))
    else:
        show_status(made)


@app.command()
def export(
    run_dir: RunArgument,
    format: Annotated[Format, typer.Option(help="Who is to read it.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A new directory.")],
) -> None:
    """Write the training sets for a trainer, with a dataset card."""
    from lpt_synth.jobs import export as export_job
    from lpt_synth.rundir import RunDir

    report = export_job(RunDir(run_dir), format.value, to)
    rows = f"{report.sft} SFT examples, {report.pairs} pairs"
    if format is Format.prompts:
        rows = f"{report.prompts} questions"
    typer.echo(f"wrote {to}: {rows}, {report.images} images")


@app.command()
def report(
    run_dir: RunArgument,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The file.  [default: RUN_DIR/report.html]")
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="What it is called.  [default: the directory's name]")
    ] = None,
    images_mb: Annotated[float, typer.Option(min=0, help="The most that small pictures may take.")] = 16,
) -> None:
    """Write one HTML file with a run's figures and a gallery of its thoughts; it opens anywhere."""
    from lpt_synth.report import report as report_job
    from lpt_synth.rundir import RunDir

    made = report_job(RunDir(run_dir), out, title=title, image_bytes=round(images_mb * 1e6))
    without = f", {made.without} pictures left out" if made.without else ""
    typer.echo(
        f"wrote {made.to} ({made.size / 1e6:.1f} MB): {made.thoughts} thoughts, {made.pairs} pairs{without}"
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The demonstration's folder.")] = Path(
        "lpt-demo"
    ),
    captions: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 40,
    level: Annotated[Level, typer.Option(help="How hard they are to see.")] = Level.medium,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another world.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, only the end.")] = False,
) -> None:
    """The whole pipeline in a small world: no GPU, no key. Stopped or killed, the same line goes on."""
    from lpt_synth.cli.demo import run_demo
    from lpt_synth.lab.demo import Demo
    from lpt_synth.lab.world import World

    world = World(split="train", level=level.value, seed=seed)
    raise typer.Exit(0 if run_demo(Demo(out), world, captions, quiet=quiet) else 1)


@app.command(name="lab-questions")
def lab_questions(
    to: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    split: Annotated[Split, typer.Option(help="Whose layouts the scenes have.")] = Split.test,
    scenes: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 250,
    per_scene: Annotated[int, typer.Option(min=1, max=10, help="Questions about each.")] = 4,
    level: Annotated[Level, typer.Option(help="How hard they are to see.")] = Level.medium,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another world.")] = 0,
) -> None:
    """Write questions about pictures of the demo's world that no run has seen, for an evaluation."""
    from lpt_synth.lab.world import World, write_held_out

    world = World(split=split.value, level=level.value, seed=seed)
    count = write_held_out(to, world, scenes, per_scene=per_scene)
    typer.echo(f"wrote {to}: {count} questions about {scenes} pictures")


app.command()(many.merge)
app.command()(many.slurm)


@app.command(name="show-recipe")
def show_recipe(name: Annotated[str, typer.Argument(help="paper, released or default.")]) -> None:
    """Print what a recipe fills in."""
    from importlib import resources

    from lpt_synth.settings import load_recipe

    load_recipe(name)
    file = resources.files("lpt_synth.recipes") / f"{name}.yaml"
    typer.echo(file.read_text(encoding="utf-8"), nl=False)
