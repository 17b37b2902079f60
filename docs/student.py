"""The page about the lab's student, from the record beside its weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lpt_synth.lab.student import STUDENT, shipped_student
from lpt_synth.lab.student.school import RECORD

WIDTH, HEIGHT, EDGE = 720, 260, 46
GREY = "#808080"  # to be read on white and on black


def record() -> dict[str, Any]:
    """What is known of how the shipped student was made."""
    with shipped_student() as folder:
        return json.loads((folder / RECORD).read_text(encoding="utf-8"))


def page(known: dict[str, Any]) -> str:
    """Settings, time, scores, curve."""
    how, tests = known["schooling"], known["test"]
    tower = [row for row in known["curve"] if "tower_step" in row][-1]
    lines = [
        f"# {STUDENT}",
        "",
        "How the [lab's student](../explanation/lab.md) was made, and what it knows. Made from the record",
        "beside its weights.",
        "",
        f"On one core of a busy machine with two: {known['seconds'] / 60:.0f} minutes for",
        f"{how['tower_steps']} steps of the tower and {how['steps']} of the language model, of "
        f"{how['batch']} lessons each,",
        f"over {how['scenes']:,} training scenes. The settings, all of them the script's defaults:",
        "",
        "```json",
        json.dumps(how),
        "```",
        "",
        "At the end of its schooling the tower knew of the cells of training scenes "
        + ", ".join(f"the {name} in {tower[name]:.1%}" for name in ("shape", "colour", "size", "pattern"))
        + ".",
        "",
        "![loss and validation accuracy](lab-student.svg)",
        "",
        f"On {known['questions']} questions about test scenes, answered greedily, weights as shipped:",
        "",
        "| | " + " | ".join(tests) + " |",
        "|---|" + "---|" * len(tests),
        "| **right** | " + " | ".join(f"**{one['right']:.1%}**" for one in tests.values()) + " |",
        "| an answer could be read | "
        + " | ".join(f"{one['readable']:.1%}" for one in tests.values())
        + " |",
    ]
    kinds = sorted({kind for one in tests.values() for kind in one["kinds"]})
    for kind in kinds:
        shares = (one["kinds"].get(kind) for one in tests.values())
        cells = ("" if share is None else f"{share:.0%}" for share in shares)
        lines.append(f"| {kind.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def curve(known: dict[str, Any]) -> str:
    """Loss of training and share of validation questions that are right, over the steps, as SVG."""
    rows = known["curve"]
    loss = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    right = [(row["step"], row["right"]) for row in rows if "right" in row]
    steps, highest = max(step for step, _ in loss), max(value for _, value in loss)

    def at(step: float, share: float) -> str:
        x = EDGE + (WIDTH - 2 * EDGE) * step / steps
        return f"{x:.1f},{HEIGHT - EDGE - (HEIGHT - 1.5 * EDGE) * share:.1f}"

    drawn = [
        _line([at(step, value / highest) for step, value in loss], "#3b7dd8"),
        _line([at(step, value) for step, value in right], "#d8743b"),
        *(
            f'<circle cx="{(p := at(*one).split(","))[0]}" cy="{p[1]}" r="4" fill="#d8743b"/>'
            for one in right
        ),
        _line([at(0, 1), at(0, 0), at(steps, 0), at(steps, 1)], GREY),
        _text(EDGE, HEIGHT - 28, "0", GREY),
        _text(WIDTH - EDGE, HEIGHT - 28, f"{steps} steps", GREY, "end"),
        _text(EDGE + 6, 34, f"loss, up to {highest:.2f} nats a token", "#3b7dd8"),
        _text(WIDTH - EDGE - 6, 34, "right in validation, up to 100 %", "#d8743b", "end"),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    return "\n".join([head, *drawn, "</svg>"]) + "\n"


def _line(points: Sequence[str], colour: str) -> str:
    return f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" font-size="13" fill="{colour}" text-anchor="{anchor}">{text}</text>'
