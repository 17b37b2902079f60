"""The first sections: at a glance, scores, outcomes, differences."""

from __future__ import annotations

from lpt_eval.difference import BenchmarkDifference, PairDifference
from lpt_eval.paper import paper_numbers
from lpt_eval.records import OUTCOMES
from lpt_eval.rendering import Table
from lpt_eval.report.markup import Markup, element, joined
from lpt_eval.report.material import Material, colour, key, title_of
from lpt_eval.report.parts import (
    badge,
    equals,
    figure,
    html_table,
    legend,
    numbers,
    per_cent,
    points,
    section,
    within,
)
from lpt_eval.report.svg import SHARES, Bar, Dot, Group, nice_scale, rows_chart
from lpt_eval.summary import BenchmarkSummary
from lpt_eval.tables import difference_table, outcome_table, score_tables

_MARKED = {"Qwen2.5-VL-7B-Instruct": "paper-base", "LPT SFT + DPO": "paper-best"}
"""Rows of the paper that stand in the chart; the table has all of them."""


# ---- at a glance and scores --------------------------------------------------------------------------


def glance(material: Material) -> Markup:
    """A card for each benchmark."""
    cards = [_card(material, name) for name in material.benchmarks]
    return element("div", *cards, class_="cards")


def _card(material: Material, name: str) -> Markup:
    lines: list[Markup] = []
    for number, run in enumerate(material.summaries):
        one = run.benchmarks.get(name)
        if one is None:
            continue
        shown, _, unit = per_cent(one.score.value).partition("\u00a0")
        value = element("b", shown, element("small", f" {unit}"))
        told = element("span", f"95 %: {within(one.score.interval)}", class_="interval")
        lines.append(element("div", badge(number), value, told, class_="line"))
    there = next(run.benchmarks[name] for run in material.summaries if name in run.benchmarks)
    what = f"{there.items:,} questions · {there.metric} accuracy".replace(",", "\u202f")
    change = _changed(material, name) if len(material.runs) == 2 else None
    return element(
        "article", element("h3", title_of(name)), element("p", what), *lines, change, class_="card"
    )


def _changed(material: Material, name: str) -> Markup | None:
    found = [one for pair in _pairs(material) for one in pair.benchmarks if one.benchmark == name]
    if not found:
        return None
    one = found[0]
    words = f"{points(one.score.difference)} points from 1 to 2"
    detail = f"{within(one.score.interval, signed=True)} · p {equals(one.adjusted)} after Holm"
    return element("p", element("strong", words), element("span", detail), class_="change")


def scores(material: Material) -> Markup:
    """Accuracy beside chance and the paper."""
    groups = [
        Group(title_of(name), [dot for dot in _score_dots(material, name)]) for name in material.benchmarks
    ]
    papers = [row.name for row in paper_numbers().benchmarks if row.name in _MARKED]
    with_paper = any(name in row.scores for row in paper_numbers().benchmarks for name in material.benchmarks)
    entries = [("chance", "guessing")]
    if with_paper:
        entries += [(_MARKED[name], f"paper: {name}") for name in papers]
    tables = [html_table(table) for table in score_tables(material.summaries)]
    chart = rows_chart("c-scores", "Accuracy by benchmark and run", _spoken(material), groups, SHARES)
    note = (
        "Points with 95 % intervals: Wilson's where each question stands alone and weighs the same, else a "
        f"bootstrap over clusters ({material.draws:,} resamples, seed {material.seed}). "
        "What was not answered counts as wrong."
    ).replace(",000", "\u202f000")
    return section(
        "scores",
        "Scores",
        "How often each run is right, beside what guessing gives"
        + (" and what the paper printed." if with_paper else "."),
        figure(None, note, legend(entries), chart),
        *tables,
    )


def _score_dots(material: Material, name: str) -> list[Dot]:
    marks: list[tuple[float, str]] = []
    guess = [1 / len(item.mcq.options) for item in material.items(name).values()]
    if guess:
        marks.append((sum(guess) / len(guess), "chance"))
    for row in paper_numbers().benchmarks:
        if row.name in _MARKED and name in row.scores:
            marks.append((row.scores[name] / 100, _MARKED[row.name]))
    dots: list[Dot] = []
    for number, run in enumerate(material.summaries):
        if one := run.benchmarks.get(name):
            interval = one.score.interval
            dots.append(
                Dot(
                    run.name,
                    per_cent(one.score.value),
                    one.score.value,
                    interval.low,
                    interval.high,
                    colour(number),
                    tuple(marks),
                    key(number),
                )
            )
    return dots


def _spoken(material: Material) -> str:
    return " ".join(
        f"{title_of(name)}: {run.name} {per_cent(one.score.value)}."
        for name in material.benchmarks
        for run in material.summaries
        if (one := run.benchmarks.get(name))
    )


# ---- outcomes ----------------------------------------------------------------------------------------


def outcomes(material: Material) -> Markup:
    """What became of every answer."""
    groups: list[Group] = []
    for name in material.benchmarks:
        bars = [
            Bar(run.name, _bounds(one), _parts(one), key(number), colour(number))
            for number, run in enumerate(material.summaries)
            if (one := run.benchmarks.get(name))
        ]
        groups.append(Group(title_of(name), bars))
    kinds = [*OUTCOMES, "missing"]
    chart = rows_chart("c-outcomes", "Outcomes by benchmark and run", _told(material), groups, SHARES)
    table = outcome_table(material.summaries)
    return section(
        "outcomes",
        "What became of the answers",
        "Only an answer that was given and could be read counts; no letter is ever guessed. A model that "
        "breaks the format or runs out of tokens is told apart from one that is wrong.",
        figure(
            None,
            "At the right of each line: accuracy with failures counted as wrong, and, where there are any, "
            "accuracy among what was answered: how much of a difference is one of format.",
            legend((kind, kind) for kind in kinds),
            chart,
            numbers(_with_wilson(table, material)),
        ),
    )


def _parts(one: BenchmarkSummary) -> tuple[tuple[float, str], ...]:
    every = max(1, one.expected)
    counted = [(one.outcomes[outcome] / every, str(outcome)) for outcome in OUTCOMES]
    return (*counted, (one.missing / every, "missing"))


def _bounds(one: BenchmarkSummary) -> str:
    if one.failure_share == 0 or one.answered is None:
        return per_cent(one.accuracy)
    return f"{per_cent(one.accuracy)} … {per_cent(one.answered)}"


def _told(material: Material) -> str:
    return " ".join(
        f"{run.name}, {title_of(name)}: "
        + ", ".join(f"{one.outcomes[outcome]} {outcome}" for outcome in OUTCOMES)
        + f", {one.missing} missing."
        for run in material.summaries
        for name, one in run.benchmarks.items()
    )


def _with_wilson(table: Table, material: Material) -> Table:
    """The table of outcomes with the interval of the lower bound beside it."""
    found = [
        within(run.benchmarks[name].metrics["micro"].interval)
        for run in material.summaries
        for name in (name for name in material.benchmarks if name in run.benchmarks)
    ]
    rows = tuple(
        (*cells[:9], interval, *cells[9:]) for cells, interval in zip(table.rows, found, strict=True)
    )
    header = (*table.header[:9], "95 % interval", *table.header[9:])
    return Table(table.title, header, rows, table.notes, table.rules)


# ---- differences -------------------------------------------------------------------------------------


def _pairs(material: Material) -> tuple[PairDifference, ...]:
    return material.comparison.pairs if material.comparison else ()


def differences(material: Material) -> Markup | None:
    """How each further run differs from the first."""
    made = material.comparison
    if made is None:
        return None
    figures: list[Markup] = []
    for number, pair in enumerate(made.pairs, 1):
        bounds = [bound for one in pair.benchmarks for bound in _ends(one)]
        scale = nice_scale([100 * value for value in (*bounds, pair.average.difference)], signed=True)
        rows = [_difference_dot(one, number) for one in pair.benchmarks]
        if len(pair.benchmarks) > 1:
            average = pair.average
            rows.append(
                _dot(
                    "average of benchmarks",
                    average.difference,
                    (average.interval.low, average.interval.high),
                    "all",
                )
            )
        chart = rows_chart(
            f"c-difference-{number}",
            f"{pair.second} less {pair.first}, in points",
            " ".join(
                f"{title_of(one.benchmark)}: {points(one.score.difference)} points."
                for one in pair.benchmarks
            ),
            [Group("", rows)],
            scale,
            zero=True,
        )
        moved = element("ul", *(_moved(one, number) for one in pair.benchmarks), class_="moved")
        table = numbers(difference_table(pair, made))
        title = joined(
            badge(number),
            f" {pair.second} ",
            element("span", "against", class_="quiet"),
            " ",
            badge(0),
            f" {pair.first}",
        )
        figures.append(element("figure", element("figcaption", element("h3", title)), chart, moved, table))
    return section(
        "differences",
        "Differences",
        "Paired, question by question. An interval that holds zero says that these questions cannot tell the "
        "two apart; “detectable” in the table is the smallest difference that they would have shown four "
        "times in five.",
        *figures,
    )


def _ends(one: BenchmarkDifference) -> tuple[float, float, float]:
    found = one.score
    return found.difference, found.interval.low, found.interval.high


def _difference_dot(one: BenchmarkDifference, number: int) -> Dot:
    found = one.score
    return _dot(
        title_of(one.benchmark), found.difference, (found.interval.low, found.interval.high), colour(number)
    )


def _dot(label: str, value: float, ends: tuple[float, float], kind: str) -> Dot:
    shown = f"{points(value)} ({points(ends[0])} to {points(ends[1])})"
    return Dot(label, shown, 100 * value, 100 * ends[0], 100 * ends[1], kind)


def _moved(one: BenchmarkDifference, number: int) -> Markup:
    """Gains and losses, which lead to the examples."""

    def link(count: int, what: str) -> Markup:
        return element(
            "button",
            f"{count} {what}",
            type="button",
            class_=f"jump {what}",
            data_benchmark=one.benchmark,
            data_change=f"{what}-{number}",
        )

    tested = f"McNemar: p {equals(one.mcnemar)} · by cluster, after Holm: p {equals(one.adjusted)}"
    return element(
        "li",
        element("span", title_of(one.benchmark), class_="name"),
        link(len(one.gained), "gained"),
        link(len(one.lost), "lost"),
        element("span", tested, class_="quiet"),
    )
