"""The section on the order of the options: letters that are liked for their own sake."""

from __future__ import annotations

from collections.abc import Sequence

from lpt_eval.rendering import Table
from lpt_eval.report.markup import Markup, element
from lpt_eval.report.material import Material, colour, key, title_of
from lpt_eval.report.order import OrderBias, order_bias
from lpt_eval.report.parts import badge, figure, numbers, per_cent, section, tabs, within
from lpt_eval.report.svg import SHARES, TO_HALF, Dot, Group, rows_chart

_HEADER = ("", "chosen", "share", "95 %", "right one there", "rows with it there", "accuracy", "95 %")

Found = Sequence[tuple[int, OrderBias]]


def ordering(material: Material) -> Markup | None:
    """Choice and accuracy by the letter's place, and what other orders of the options change."""
    figures: list[tuple[str, str, Markup]] = []
    for name in material.benchmarks:
        found = [
            (number, bias)
            for number, answers in enumerate(material.answers(name))
            if answers is not None and (bias := order_bias(answers)) is not None
        ]
        if found:
            figures.append((name, title_of(name), _benchmark(material, name, found)))
    if not figures:
        return None
    return section(
        "order",
        "Order of the options",
        "A model without a liking for letters chooses each about as often as the right option stands there, "
        "and is right as often wherever it stands. A run with --shuffles asks each question in other orders, "
        "too.",
        tabs(figures),
    )


def _benchmark(material: Material, name: str, found: Found) -> Markup:
    table = Table("Order of the options", _HEADER, tuple(_rows(material, found)))
    told = "; ".join(", ".join(row) for row in table.rows)
    highest = max(place.interval.high for _, bias in found for place in bias.places)
    chosen = rows_chart(
        f"c-chosen-{name}",
        f"{title_of(name)}: how often each letter is chosen",
        told,
        [Group(_title(material, number), _chosen(number, bias)) for number, bias in found],
        SHARES if highest > 0.5 else TO_HALF,
    )
    right = rows_chart(
        f"c-right-{name}",
        f"{title_of(name)}: accuracy by the letter of the right option",
        told,
        [Group(_title(material, number), _right(number, bias)) for number, bias in found],
        SHARES,
    )
    pair = element(
        "div",
        element("div", element("h4", "How often each letter is chosen"), chosen),
        element("div", element("h4", "Accuracy where the right option stands there"), right),
        class_="pair",
    )
    return figure(
        None,
        "The tick is the share of answers for which the right option stood at that letter; whiskers are 95 % "
        "intervals, in which several answers to a question count once.",
        pair,
        *(_turned(number, bias) for number, bias in found),
        numbers(table),
    )


def _title(material: Material, number: int) -> str:
    return f"{key(number)} {material.runs[number].name}"


def _chosen(number: int, bias: OrderBias) -> list[Dot]:
    return [
        Dot(
            place.letter,
            per_cent(place.share),
            place.share,
            place.interval.low,
            place.interval.high,
            colour(number),
            ((place.gold, "hollow"),),
        )
        for place in bias.places
    ]


def _right(number: int, bias: OrderBias) -> list[Dot]:
    return [
        Dot(
            place.letter,
            per_cent(place.right.value),
            place.right.value,
            place.right.interval.low,
            place.right.interval.high,
            colour(number),
        )
        for place in bias.places
        if place.right.answers
    ]


def _rows(material: Material, found: Found) -> list[tuple[str, ...]]:
    return [
        (
            f"{material.runs[number].name}, {place.letter}",
            str(place.chosen),
            per_cent(place.share),
            within(place.interval),
            per_cent(place.gold),
            str(place.right.answers),
            per_cent(place.right.value),
            within(place.right.interval) if place.right.answers else "–",
        )
        for number, bias in found
        for place in bias.places
    ]


def _turned(number: int, bias: OrderBias) -> Markup | None:
    turns = bias.turns
    if turns is None or not turns.questions:
        return None
    by_pass = ", ".join(per_cent(share.value) for share in turns.by_pass)
    words = (
        f" Over {turns.passes} orders of the options, the same option was answered in each to "
        f"{turns.same} of {turns.questions} questions ({per_cent(turns.same / turns.questions)}), "
        f"and the right one in each to {turns.right} ({per_cent(turns.right / turns.questions)}). "
        f"Accuracy by order: {by_pass}."
    )
    return element("p", badge(number), words, class_="turned")
