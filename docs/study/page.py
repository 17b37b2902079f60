"""The page and the picture of a study, from its results; nothing on them is typed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("study.json")
EXPLANATION = Path(__file__).parents[1] / "explanation"
WIDTH, ROW, LEFT, RIGHT = 720, 46, 250, 60
GREY, BLUE = "#808080", "#3b7dd8"  # to be read on white and on black


def record() -> dict[str, Any]:
    """The results of the study that the documentation tells of."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def pages(found: dict[str, Any]) -> dict[str, str]:
    """The page and its picture, by the name of the file."""
    return {"lab-study.md": markdown(found), "lab-study.svg": picture(found)}


def write(found: dict[str, Any]) -> None:
    """Put page and picture among the explanations."""
    for name, text in pages(found).items():
        (EXPLANATION / name).write_text(text, encoding="utf-8")


def table(found: dict[str, Any]) -> str:
    """The rows of the paper's table, as Markdown."""
    lines = ["| | right | each seed | no answer read | words |", "|---|---|---|---|---|"]
    for arm in found["arms"]:
        seeds = ", ".join(f"{share:.1%}" for share in arm["by_seed"]) if len(arm["by_seed"]) > 1 else ""
        lines.append(
            f"| {arm['title']} | **{arm['right']:.1%}** | {seeds} | {arm['unreadable']:.1%} "
            f"| {arm['words']:.0f} |"
        )
    return "\n".join(lines)


def markdown(found: dict[str, Any]) -> str:
    """The whole page."""
    lines = [
        "# The loop, measured in the lab",
        "",
        "From pictures to compared models by the four packages' own commands: `just study` runs it, and this",
        "page is made from what came of it. The [world](lab.md) is of coloured shapes, the student has two",
        "million weights, the teacher is a program that knows the scene. So it tells whether the machinery",
        "works and teaches; how much a large model gains on photographs it cannot tell.",
        "",
        f"{found['seeds']} seeds, each with {found['captions']} pictures of its own for the synthesis, and",
        f"with trainings of its own; all are asked the same {found['questions']} questions about",
        f"{found['pictures']} pictures that no training has seen, once each, greedily.",
        f"It took {found['minutes']:.0f} minutes on two cores.",
        "",
        table(found),
        "",
        "![right answers by arm](lab-study.svg)",
        "",
        "## Which of the paper's claims hold here",
        "",
        "Differences on the same questions, the seeds averaged; 95 % intervals from a bootstrap over",
        "pictures, p from the exact randomisation test by picture. They tell how sure the difference is for",
        "these trainings; the differences of the single seeds stand beside them.",
        "",
        "| claim | difference | 95 % | p | each seed | here it |",
        "|---|---|---|---|---|---|",
    ]
    for one in found["claims"]:
        seeds = (
            ", ".join(f"{100 * value:+.1f}" for value in one["by_seed"]) if len(one["by_seed"]) > 1 else ""
        )
        lines.append(
            f"| {one['claim']} | {100 * one['difference']:+.1f} | {100 * one['low']:+.1f} … "
            f"{100 * one['high']:+.1f} | {_p(one['p'])} | {seeds} | {verdict(one)} |"
        )
    lines += ["", "## By kind of question", "", *_kinds(found["arms"]), "", *_limits()]
    return "\n".join(lines) + "\n"


def verdict(one: dict[str, Any]) -> str:
    """Whether a claim holds, by its interval."""
    if one["low"] > 0:
        return "**holds**"
    return "**does not hold**" if one["high"] < 0 else "is not decided"


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _kinds(arms: Sequence[dict[str, Any]]) -> list[str]:
    kinds = sorted({kind for arm in arms for kind in arm["kinds"]})
    lines = [
        "| | " + " | ".join(kind.replace("_", " ") for kind in kinds) + " |",
        "|---" * (len(kinds) + 1) + "|",
    ]
    for arm in arms:
        cells = (f"{arm['kinds'][kind]:.0%}" if kind in arm["kinds"] else "" for kind in kinds)
        lines.append(f"| {arm['title']} | " + " | ".join(cells) + " |")
    return lines


def _limits() -> list[str]:
    return [
        "## What this cannot tell",
        "",
        '- The student was taught to look from place to place when it is told to ("Look closely."), as a',
        "  large model can reason when it is told to; what is learnt here is to do so without being told. A",
        "  model that cannot look at all is not made to by a few hundred examples.",
        "- The teacher reads the scene and errs only where it is made to; a language model that reads a",
        "  caption errs in ways of its own.",
        "- All questions are of the kinds that were trained on. Whether long thoughts about pictures help",
        "  with text alone (the paper's MMLU-Pro) is not asked: the student knows this world's words alone.",
        "- All arms of SFT have one rate and one number of epochs, chosen for this student in a few trials",
        "  on long thoughts, some of which were measured on part of the same questions. At that rate its own",
        "  short thoughts do it harm; at another they might do less.",
    ]


# ---- the picture -------------------------------------------------------------------------------------


def picture(found: dict[str, Any]) -> str:
    """Right answers by arm: the mean as a bar's end, each seed as a dot."""
    arms, height = found["arms"], ROW * len(found["arms"]) + 50
    drawn = [_text(LEFT, height - 12, "0 %"), _text(WIDTH - RIGHT, height - 12, "100 % right", "end")]
    for place, arm in enumerate(arms):
        y = 20 + ROW * place
        drawn += [
            _text(LEFT - 12, y + 17, arm["title"], "end"),
            f'<rect x="{LEFT}" y="{y}" width="{_x(arm["right"]) - LEFT:.1f}" height="24" rx="3" fill="{BLUE}"'
            ' opacity="0.75"/>',
            *(
                f'<circle cx="{_x(share):.1f}" cy="{y + 12}" r="4" fill="none" stroke="{GREY}"/>'
                for share in arm["by_seed"]
                if len(arm["by_seed"]) > 1
            ),
            _text(
                max(_x(one) for one in [arm["right"], *arm["by_seed"]]) + 10, y + 17, f"{arm['right']:.1%}"
            ),
        ]
    spoken = "; ".join(f"{arm['title']}: {arm['right']:.1%}" for arm in arms)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'role="img"><title>Right answers by arm</title><desc>{escape(spoken)}</desc>'
    )
    return "\n".join([head, *drawn, "</svg>"]) + "\n"


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="13" fill="{GREY}" text-anchor="{anchor}">{escape(text)}</text>'
    )
