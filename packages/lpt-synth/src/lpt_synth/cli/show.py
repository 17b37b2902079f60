"""What a person sees: progress while a run works, tables when it has ended."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lpt_synth.jobs import RunReport
from lpt_synth.merge import MergeReport
from lpt_synth.meter import Meter, StageMeter
from lpt_synth.plan import Plan
from lpt_synth.prefix_cache import told

_NAMES = {
    "ask": "questions",
    "reformat": "reformatting",
    "think": "short thoughts",
    "expand": "continuations",
    "judge": "verdicts",
}
_REFRESH_S = 0.25
_NOTICES_S = 0.25
_FIRST_LINE_S, _EARLY_LINES_S, _LINE_EVERY_S = 2.0, 5.0, 15.0
_EARLY_S = 60.0  # for so long, lines come more often


@contextmanager
def showing(meter: Meter, *, quiet: bool = False) -> Generator[None]:
    """Show a run's counters while the block runs: a live table, or a line now and then off a terminal."""
    console = Console(stderr=True)
    if quiet:
        yield
    elif console.is_terminal:
        with Live(console=console, refresh_per_second=4, get_renderable=lambda: _panel(meter)):
            yield
    else:
        with _lines(meter):
            yield


@contextmanager
def _lines(meter: Meter) -> Generator[None]:
    done = threading.Event()

    def speak() -> None:
        told, due = 0, _FIRST_LINE_S
        while not done.wait(_NOTICES_S):
            for notice in meter.notices[told:]:
                told += 1
                _say(notice)
            if meter.seconds >= due:
                _say(_line(meter))
                due = meter.seconds + (_EARLY_LINES_S if meter.seconds < _EARLY_S else _LINE_EVERY_S)

    thread = threading.Thread(target=speak, name="lpt-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        _say(_line(meter))


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _line(meter: Meter) -> str:
    parts = [
        f"{_NAMES[name]} {stage.stored + stage.answered}/{stage.wanted}"
        + (f" ({stage.failed} failed)" if stage.failed else "")
        for name, stage in meter.stages.items()
        if stage.wanted
    ]
    return f"[{_clock(meter.seconds)}] {', '.join(parts) or 'starting'} | {_totals(meter)}"


def _totals(meter: Meter) -> str:
    of = f"/{meter.captions}" if meter.captions is not None else ""
    parts = [
        f"captions {meter.captions_done}{of}",
        f"{meter.answered / max(meter.seconds, 1e-9):.1f} answers/s",
        f"{_short(meter.input_tokens)} tokens in, {_short(meter.output_tokens)} out",
    ]
    if meter.phase:
        parts.append(meter.phase)
    if meter.priced:
        parts.append(f"cost {meter.cost:.2f}")
    under_way, done, total = (sum(column) for column in zip((0, 0, 0), *meter.batches.values(), strict=True))
    if under_way:
        parts.append(f"batches under way {under_way} ({done:,} of {total:,} answered)")
    left = meter.seconds_left
    if left is not None and not meter.phase and meter.captions_done != meter.captions:
        parts.append(f"about {_clock(left)} left")
    return ", ".join(parts)


def _panel(meter: Meter) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for name, stage in meter.stages.items():
        if stage.wanted:
            table.add_row(_NAMES[name], _bar(stage), _counts(stage))
    rows: list[RenderableType] = [table, Text(f"{_clock(meter.seconds)}  {_totals(meter)}", style="dim")]
    rows += [Text(notice, style="yellow") for notice in meter.notices[-3:]]
    return Group(*rows)


def _bar(stage: StageMeter) -> ProgressBar:
    return ProgressBar(total=max(stage.wanted, 1), completed=stage.stored + stage.answered, width=30)


def _counts(stage: StageMeter) -> Text:
    text = Text(f"{stage.stored + stage.answered:,} of {stage.wanted:,}")
    if stage.stored:
        text.append(f"  {stage.stored:,} from the store", style="dim")
    if stage.failed:
        text.append(f"  {stage.failed:,} failed", style="red")
    return text


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _short(count: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.1f}{unit}"
    return f"{count:.0f}"


# ---- at the end ------------------------------------------------------------------------------------


def show_result(report: RunReport, out: Path, *, again: str, then: str = "") -> None:
    """How a run ended, and what it made.

    Args:
        report: How it ended.
        out: Its directory.
        again: The command that goes on with it.
        then: What comes next when it is done; "" where more is shown anyway.
    """
    console = console_for_people()
    for problem in report.result.problems[:10]:
        console.print(Text(f"skipped {problem}", style="yellow"))
    if len(report.result.problems) > 10:
        console.print(f"… and {len(report.result.problems) - 10} more; `lpt-synth status {out}` has them all")
    if report.sets is not None:
        _funnel(console, report.sets["funnel"])
        console.print(
            f"{report.sets['sft']} SFT examples and {report.sets['pairs']} preference pairs in {out}/sets"
        )
    for model, counts in report.prefix_cache.items():
        console.print(told(model, *counts))
    result = report.result
    if result.done:
        if then:
            console.print(f"done. next: {then}")
        return
    if result.stopped == "error":
        console.print(Text(f"stopped: {result.error}", style="red"))
    elif result.stopped == "max_cost":
        console.print("stopped: the next request could have cost more than --max-cost allows")
    elif result.stopped == "interrupted":
        console.print("stopped by request")
    else:
        console.print(f"incomplete: {result.incomplete} captions have answers that failed")
    console.print(f"nothing that was answered is lost; to go on: {again}")


def show_merge(report: MergeReport, out: Path) -> None:
    """What a merge brought together, and what to do next."""
    console = console_for_people()
    _funnel(console, report.sets["funnel"])
    console.print(
        f"{report.shards} shards merged: {report.sets['sft']} SFT examples and {report.sets['pairs']} "
        f"preference pairs in {out}/sets"
    )
    if report.contradictions:
        console.print(
            f"{report.contradictions} samples had other answers in later shards; the first were kept"
        )
    for folder in report.unfinished:
        console.print(Text(f"not run to its end: {folder}", style="yellow"))
    if report.done:
        console.print(f"done. next: lpt-synth export {out} --format trl --to DIR")
    else:
        console.print(f"incomplete; what is missing is asked by: lpt-synth run {out}/config.yaml --out {out}")


def show_status(state: Mapping[str, Any]) -> None:
    """A run's state for people."""
    console = console_for_people()
    _funnel(console, [[step["step"], step["label"], step["count"]] for step in state["funnel"]])
    console.print(
        f"{state['sft']} SFT examples, {state['pairs']} preference pairs (sets: {state['sets']}); "
        f"{state['requests_sent']} requests sent, {_short(state['input_tokens'])} tokens in, "
        f"{_short(state['output_tokens'])} out, cost {state['cost']:.2f}"
    )
    for row in state["prefix_cache"]:
        console.print(told(row["model"], row["tokens"], row["cached"]))
    for row in state["asked_again"]:
        console.print(f"asked again: {row['requests']} requests of {row['stage']}, because {row['reason']}")
    for problem in state["problems"]:
        console.print(Text(f"skipped {problem}", style="yellow"))
    left = state["incomplete_captions"]
    console.print("complete" if state["complete"] else f"incomplete: {left} captions are not finished")


def console_for_people() -> Console:
    """Standard output; wide where it is no terminal, so that nothing is cut in a log."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=140)


def _funnel(console: Console, steps: list[list[Any]]) -> None:
    """The funnel with bars, each against the widest count of its stage."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(justify="right")
    table.add_column()
    table.add_column()
    widest: dict[str, int] = {}
    for key, _, count in steps:
        stage = key.split(".")[0]
        widest[stage] = max(widest.get(stage, 1), count)
    for key, label, count in steps:
        bar = "█" * max(1, round(24 * count / widest[key.split(".")[0]]))
        lost = ".dropped." in key or ".rejected." in key or key.endswith(".failed")
        table.add_row(f"{count:,}", Text(label), Text(bar, style="red" if lost else "cyan"))
    console.print(table)


def show_plan(plan: Plan) -> None:
    """What would still be asked, and its price."""
    table = Table(box=None)
    for name in ("stage", "stored", "requests to send", "samples", "tokens in", "tokens out", "cost"):
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for name, stage in plan.stages.items():
        if stage.stored or stage.requests:
            cost = "no price" if stage.cost is None else f"{stage.cost:.2f}"
            table.add_row(
                _NAMES[name],
                f"{stage.stored:,}",
                f"{stage.requests:,.0f}",
                f"{stage.samples:,.0f}",
                _short(stage.input_tokens),
                _short(stage.output_tokens),
                cost,
            )
    console = console_for_people()
    console.print(table)
    costs = [stage.cost for stage in plan.stages.values() if stage.cost is not None]
    total = f"; about {sum(costs):.2f} in all" if costs else ""
    console.print(f"{plan.captions} captions{total}. Requests that follow from others are expected values.")
