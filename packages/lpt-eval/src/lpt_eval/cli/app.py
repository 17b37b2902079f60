"""The commands of ``lpt-eval``. Heavy imports lie inside them, so that ``--help`` is instant."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Models in, numbers one can believe out: the paper's benchmarks, and your own questions.",
)


class Form(StrEnum):
    """Which way a model is asked to answer."""

    think = "think"
    direct = "direct"
    native = "native"


class Engine(StrEnum):
    """What runs a model in this process."""

    transformers = "transformers"
    vllm = "vllm"


class Dtype(StrEnum):
    """What a model computes in."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


def _version(wanted: bool) -> None:
    if wanted:
        from lpt_eval import __version__

        typer.echo(f"lpt-eval {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    model: Annotated[str, typer.Argument(help="A model's folder, a hub id, or a served model's name.")],
    task: Annotated[
        list[str], typer.Option("--task", metavar="NAME[=WHERE]", help="A benchmark, and where it lies.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="RUN_DIR", help="The run's folder.")],
    protocol: Annotated[
        str | None, typer.Option(help="Words, sampling, pixels; see tasks. [default: the task's own]")
    ] = None,
    form: Annotated[Form, typer.Option(help="How an answer is asked for; see tasks.")] = Form.think,
    pixels: Annotated[
        str | None, typer.Option(metavar="RULE-LIMIT", help="area-512, longer_side-512 or none.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The most tokens of an answer.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="0 is greedy.")] = None,
    top_p: Annotated[float | None, typer.Option(min=0, max=1, help="Nucleus of sampling.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the draws.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each question.")] = 1,
    shuffles: Annotated[int, typer.Option(min=1, help="Orders of the options in which it is asked.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first questions.")] = None,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="An OpenAI-compatible server; MODEL is its name there.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="The environment variable with the server's key.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests to the server at once.")] = 32,
    engine: Annotated[
        Engine | None, typer.Option(help="What runs MODEL in this process. [default: transformers]")
    ] = None,
    engine_arg: Annotated[
        list[str] | None,
        typer.Option(
            "--engine-arg", metavar="NAME=VALUE", help="An argument of vLLM's LLM, as max_model_len=4096."
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Answers computed at once. [default: 16, with vllm 256]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[Dtype, typer.Option(help="What the model computes in.")] = Dtype.auto,
    revision: Annotated[str | None, typer.Option(help="Of the model.")] = None,
    max_failures: Annotated[
        float, typer.Option(min=0, max=1, help="Share without an answer above which the exit status is 1.")
    ] = 0.1,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only the end.")] = False,
) -> None:
    """Ask a model benchmarks and score it. Stopped or killed, the same line goes on where it was."""
    from lpt_eval.cli.running import Changes, run_command
    from lpt_eval.models.options import reached

    changes = Changes(
        protocol=protocol,
        form=form.value,
        pixels=pixels,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        samples=samples,
        shuffles=shuffles,
        limit=limit,
    )
    how = reached(
        model,
        server=server,
        engine=engine and engine.value,
        engine_args=engine_arg or (),
        revision=revision,
        api_key_env=api_key_env,
        concurrency=concurrency,
        device=device,
        dtype=dtype.value,
        batch_size=batch_size,
    )
    within = run_command(how, task, changes, out, max_failures=max_failures, quiet=quiet)
    raise typer.Exit(0 if within else 1)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR RUN_DIR ...", help="The first is the base.")],
    allow_unlike: Annotated[
        bool, typer.Option("--allow-unlike", help="Compare what they share, though asked otherwise.")
    ] = False,
    all_orders: Annotated[
        bool,
        typer.Option("--all-orders", help="Count all orders of the options, not the questions' own alone."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Tables in Markdown.")] = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="Tables in LaTeX, with booktabs.")] = False,
    max_failures: Annotated[
        float, typer.Option(min=0, max=1, help="Share without an answer above which the exit status is 1.")
    ] = 0.1,
    draws: Annotated[int, typer.Option(min=100, help="Resamples for the intervals.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
) -> None:
    """Tell how runs differ from the first, how sure that is, and on which questions."""
    from lpt_eval.cli.comparing import compare_command

    wanted = {"json": as_json, "markdown": as_markdown, "latex": as_latex}
    whole = compare_command(
        runs,
        formats=[name for name, asked in wanted.items() if asked],
        allow_unlike=allow_unlike,
        max_failures=max_failures,
        all_orders=all_orders,
        draws=draws,
        seed=seed,
    )
    raise typer.Exit(0 if whole else 1)


@app.command()
def rescore(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The run's folder.")],
    out: Annotated[
        Path | None, typer.Option(metavar="RUN_DIR", help="A new folder; the run stays as it is.")
    ] = None,
) -> None:
    """Read a run's answers again and tell what changed. Needs neither the model nor the pictures."""
    from lpt_eval.cli.again import rescore_command

    rescore_command(run, out)


@app.command()
def conformance(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN_DIR]", help="A run, instead of the suite's own outputs.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Run outputs through lmms-eval's stock scorers, the authors' and ours, and tell where they differ."""
    from lpt_eval.cli.conforming import conformance_command

    raise typer.Exit(0 if conformance_command(run, as_json=as_json) else 1)


@app.command()
def tasks(
    task: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show how this one is asked, to the word.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Under this one. [default: the task's own]")] = None,
    form: Annotated[Form, typer.Option(help="In this one.")] = Form.think,
) -> None:
    """What can be asked, under which protocols and in which forms."""
    from lpt_eval.cli.listing import listed, shown

    typer.echo(listed() if task is None else shown(task, protocol, form.value), nl=False)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR ...", help="The first is the base.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page to write.")] = Path(
        "report.html"
    ),
    allow_unlike: Annotated[
        bool, typer.Option("--allow-unlike", help="Show side by side what was asked otherwise.")
    ] = False,
    examples: Annotated[int, typer.Option(min=0, help="Questions shown of each benchmark; 0 for all.")] = 300,
    draws: Annotated[int, typer.Option(min=100, help="Resamples for the intervals.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
) -> None:
    """Write one HTML file of runs, to be looked at: charts, tables, and examples with pictures."""
    from lpt_eval.report import write_report

    size = write_report(runs, out, allow_unlike=allow_unlike, examples=examples, draws=draws, seed=seed)
    typer.echo(f"wrote {out} ({size / 1e6:.1f} MB)")
