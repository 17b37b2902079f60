"""The demonstration as a person sees it: what happens, one trace in colour, where everything lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from lpt_core import SFTExample
from lpt_synth.cli.show import console_for_people, show_result, showing
from lpt_synth.export.records import sft_examples
from lpt_synth.lab.demo import Demo, prepare
from lpt_synth.lab.world import World

if TYPE_CHECKING:
    from PIL.Image import Image

_WIDTH = 28  # of a picture in a terminal, in characters; each shows two pixels, one above the other
_STYLES = {
    "format": "dim",
    "thought": "yellow",
    "cue": "bold magenta",
    "continuation": "cyan",
    "answer": "bold green",
}


def run_demo(demo: Demo, world: World, captions: int, *, quiet: bool = False) -> bool:
    """Prepare, run, export, report, and show.

    Returns:
        Whether it is done; False where it was stopped or something failed.

    Raises:
        LptError: It cannot begin, or not go on.
    """
    from lpt_synth.jobs import export, run
    from lpt_synth.meter import Meter
    from lpt_synth.report import report as write_report
    from lpt_synth.rundir import RunDir
    from lpt_synth.settings import load_config

    console = console_for_people()
    console.print(
        f"{captions} pictures of coloured shapes, each with a dense caption. A simulated teacher (a program) "
        "writes questions from the captions;\na student of 1.8 M parameters looks at the pictures and thinks "
        "briefly; the teacher, which knows the caption, goes on from its thoughts."
    )
    if prepare(demo, world, captions):
        console.print(f"{demo.config} was changed and is used as it is; remove it for the original.")
    meter = Meter()
    with showing(meter, quiet=quiet):
        report = run(load_config(demo.config), demo.run, meter=meter)
    show_result(report, demo.run, again=f"lpt-synth run {demo.config} --out {demo.run}")
    if not report.result.done or report.sets is None:
        return False
    exported = (
        export(RunDir(demo.run), "trl", demo.trl) if report.sets["sft"] or report.sets["pairs"] else None
    )
    write_report(RunDir(demo.run), demo.report, title="lpt-synth demo")
    example = _finest(demo.run / "sets")
    if example is not None:
        _show_example(console, example)
    _show_places(console, demo, told=exported is not None)
    return True


def _finest(sets: Path) -> SFTExample | None:
    """A wrong thought that was turned right, of middling length; any other where there is none."""
    examples = sorted(sft_examples(sets), key=lambda one: (len(one.text), one.id))
    turned = [one for one in examples if one.kind == "wrong_right"]
    return (turned or examples)[len(turned or examples) // 2] if examples else None


def _show_example(console: Console, example: SFTExample) -> None:
    what = {
        "wrong_right": "a wrong first thought, turned right; it bears no loss in training",
        "right_right": "a right first thought, confirmed",
        "short_right": "a right short thought",
    }[example.kind]
    question = Text(example.prompt[-1].text.strip(), style="bold")
    response = Text.assemble(*((part.text, _STYLES[part.kind]) for part in example.response))
    legend = Text.assemble(
        *((f"{name}  ", _STYLES[kind]) for kind, name in (("thought", "short thought"), ("cue", "cue"))),
        ("continuation  ", _STYLES["continuation"]),
        ("answer", _STYLES["answer"]),
    )
    picture = _picture(Path(example.image.path)) if console.color_system == "truecolor" else Text()
    parts = [*([picture, Text()] if picture else []), question, Text(), response, Text(), legend]
    console.print(Panel(Group(*parts), title=f"One training example: {what}", title_align="left"))


def _picture(path: Path) -> Text:
    """A picture in coloured half blocks; empty where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            image = file.convert("RGB").resize((_WIDTH, _WIDTH), Image.Resampling.BOX)
    except OSError:
        return Text()
    lines = [_line(image, row) for row in range(0, _WIDTH, 2)]
    return Text("\n").join(lines)


def _line(image: Image, row: int) -> Text:
    line = Text()
    for column in range(image.width):
        upper, lower = (_hex(image, column, row + down) for down in (0, 1))
        line.append("▀", f"{upper} on {lower}")
    return line


def _hex(image: Image, column: int, row: int) -> str:
    pixel = image.getpixel((column, row))
    red, green, blue = pixel if isinstance(pixel, tuple) else (0, 0, 0)
    return f"#{int(red):02x}{int(green):02x}{int(blue):02x}"


def _show_places(console: Console, demo: Demo, *, told: bool) -> None:
    rows = [
        (demo.report, "the run as a page: figures, and every thought; open it in a browser"),
        (demo.config, "the configuration, an ordinary one"),
        (demo.world, "pictures and captions"),
        (demo.student, "the student: a folder for transformers, TRL or vLLM"),
        (demo.run / "sets", "SFT examples and preference pairs as LPT's records"),
        *([(demo.trl, "the same for TRL, with a dataset card")] if told else []),
    ]
    wide = max(len(str(path)) for path, _ in rows)
    for path, what in rows:
        console.print(Text.assemble((f"{path!s:<{wide}}  ", "bold"), what))
    console.print(
        f"next: change {demo.config} and say `lpt-synth run {demo.config} --out {demo.run}`: only what the "
        "change touches is asked again\n"
        "      your own pictures: `lpt-synth init --help`, docs/how-to/your-own-captions.md"
    )
