"""The sections on how models think: length of thought, thought and answer."""

from __future__ import annotations

from collections.abc import Sequence

from lpt_eval.rendering import Table
from lpt_eval.report.agreement import AGREEMENTS, agreements
from lpt_eval.report.lengths import Lengths, Spread, lengths_of
from lpt_eval.report.markup import Markup, element
from lpt_eval.report.material import Material, colour, key, title_of
from lpt_eval.report.parts import (
    NONE,
    figure,
    legend,
    numbers,
    per_cent,
    section,
    tabs,
    within,
)
from lpt_eval.report.svg import SHARES, Bar, Dot, Group, Line, Point, nice_scale, panel, rows_chart


def runs_legend(material: Material) -> Markup | None:
    """Which colour is which run, where there are several."""
    if len(material.runs) == 1:
        return None
    return legend(
        (f"round {colour(number)}", f"{key(number)} {run.name}") for number, run in enumerate(material.runs)
    )


# ---- length of thought -------------------------------------------------------------------------------


def thinking(material: Material) -> Markup | None:
    """Accuracy against the length of the thought, by difficulty."""
    studies = [(name, lengths_of(material.answers(name))) for name in material.benchmarks]
    figures = [
        (name, title_of(name), _lengths(material, name, found))
        for name, found in studies
        if found is not None
    ]
    if not figures:
        return None
    return section(
        "thinking",
        "Length of thought",
        "Whether longer thoughts are better ones, told apart by how hard the question is. Hard questions "
        "invite long thoughts: without that split, length would seem to harm. None of this shows what causes "
        "what.",
        tabs(figures),
    )


def _lengths(material: Material, name: str, found: Lengths) -> Markup:
    edges = [str(edge) for edge in found.edges]
    panels = [
        element("div", element("h4", level), _panel(material, name, found, level, place, edges))
        for place, level in enumerate(found.difficulty.names)
    ]
    return element(
        "div",
        figure(
            "Right answers by length",
            f"Columns: fifths of all thoughts by length in {found.unit}. Whiskers: 95 %, Wilson. "
            f"{found.difficulty.rule}",
            runs_legend(material),
            element("div", *panels, class_="panels"),
            numbers(_cells(material, found)),
        ),
        _spreads(material, name, found),
    )


def _panel(
    material: Material, name: str, found: Lengths, level: str, place: int, edges: Sequence[str]
) -> Markup:
    lines: list[Line] = []
    told: list[str] = []
    for number, run in enumerate(material.runs):
        points = [
            Point(column, cell.value, cell.interval.low, cell.interval.high)
            for column in range(len(edges) - 1)
            if (cell := found.cells.get((number, level, column)))
        ]
        lines.append(Line(colour(number), points))
        shares = ", ".join(per_cent(point.value, 0) for point in points)
        told.append(f"{run.name}: {shares or 'no answers'}.")
    title = f"{title_of(name)}, {level}: right answers by length of thought"
    return panel(f"c-length-{name}-{place}", title, " ".join(told), lines, edges)


def _cells(material: Material, found: Lengths) -> Table:
    header = ("run, level", f"{found.unit}", "answers", "questions", "right", "accuracy", "95 % interval")
    rows: list[tuple[str, ...]] = []
    for (number, level, column), cell in sorted(
        found.cells.items(), key=lambda one: (one[0][0], found.difficulty.names.index(one[0][1]), one[0][2])
    ):
        low = found.edges[column] + (column > 0)
        span = f"{low}–{found.edges[column + 1]}"
        counts = str(cell.answers), str(cell.questions), str(cell.right)
        label = f"{material.runs[number].name}, {level}"
        rows.append((label, span, *counts, per_cent(cell.value), within(cell.interval)))
    notes = [
        f"{material.runs[number].name}: {count} answers have no thought and are not in the chart."
        for number, count in sorted(found.thoughtless.items())
        if count
    ]
    return Table("Right answers by length of thought", header, tuple(rows), tuple(notes))


def _spreads(material: Material, name: str, found: Lengths) -> Markup:
    groups: list[Group] = []
    every = [spread.high for spread in found.spreads.values()]
    rows: list[tuple[str, ...]] = []
    for level in found.difficulty.names:
        dots: list[Dot] = []
        for number, run in enumerate(material.runs):
            right, wrong = (found.spreads.get((number, level, of)) for of in (True, False))
            shown = f"{_middle(right)} right · {_middle(wrong)} not"
            for spread, words in ((right, "right"), (wrong, "not right")):
                if spread:
                    quartiles = f"{spread.low:g}–{spread.high:g}"
                    label = f"{run.name}, {level}, {words}"
                    rows.append((label, str(spread.count), f"{spread.middle:g}", quartiles))
            if main := right or wrong:
                marks = ((wrong.middle, "hollow"),) if right and wrong else ()
                dots.append(
                    Dot(run.name, shown, main.middle, main.low, main.high, colour(number), marks, key(number))
                )
        if dots:
            groups.append(Group(level, dots))
    table = Table(f"Length of thoughts in {found.unit}", ("", "answers", "median", "quartiles"), tuple(rows))
    chart = rows_chart(
        f"c-spread-{name}",
        f"{title_of(name)}: length of thoughts by difficulty",
        "; ".join(", ".join(row) for row in rows),
        groups,
        nice_scale(every),
    )
    return figure(
        "How long the thoughts are",
        f"Median and quartiles in {found.unit} of the thoughts that led to a right answer; the tick is the "
        "median of the others.",
        chart,
        numbers(table),
    )


def _middle(spread: Spread | None) -> str:
    return NONE if spread is None else f"{spread.middle:g}"


# ---- thought and answer ------------------------------------------------------------------------------


_KINDS = {
    "both right": "correct",
    "both wrong": "wrong",
    "answer right": "saved",
    "thought right": "spoilt",
    "neither": "neither",
    "unclear": "unclear",
}


def agreeing(material: Material) -> Markup | None:
    """Whether the thought's last word is the answer."""
    groups: list[Group] = []
    rows: list[tuple[str, ...]] = []
    for name in material.benchmarks:
        bars: list[Bar] = []
        for number, answers in enumerate(material.answers(name)):
            if answers is None:
                continue
            items = {item.id: item for item in answers.items}
            counted = agreements(answers.rows.values(), items)
            total = counted.total()
            if not total:
                continue
            told = total - counted["unclear"]
            agree = counted["both right"] + counted["both wrong"]
            run = material.runs[number].name
            parts = tuple((counted[one] / total, _KINDS[one]) for one in AGREEMENTS)
            shown = f"{per_cent(agree / told if told else None)} agree"
            bars.append(Bar(run, shown, parts, key(number), colour(number)))
            cells = (str(counted[one]) for one in AGREEMENTS)
            rows.append((f"{run}: {title_of(name)}", str(total), *cells))
        if bars:
            groups.append(Group(title_of(name), bars))
    if not groups:
        return None
    table = Table("Thought and answer", ("", "answers", *AGREEMENTS.values()), tuple(rows))
    chart = rows_chart(
        "c-agreement", "Thought and answer", "; ".join(", ".join(row) for row in rows), groups, SHARES
    )
    return section(
        "agreement",
        "Thought and answer",
        "Does the model answer what its thought concludes? The last four sentences of the thought are read "
        "from the end, first by the reader that reads answers, then for the words of exactly one option; a "
        "sentence that denies something or names several options is left unclear.",
        figure(
            None,
            "At the right of each line: how often both agree, among thoughts whose end names one option.",
            legend((_KINDS[one], words) for one, words in AGREEMENTS.items()),
            chart,
            numbers(table),
        ),
    )
