"""Pieces of which all sections are made: figures, tables, legends, badges, and how numbers are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

from lpt_eval.rendering import Table
from lpt_eval.report.markup import Markup, element, joined
from lpt_eval.report.material import colour, key
from lpt_eval.statistics import Interval

NONE = "–"


def per_cent(value: float | None, digits: int = 1) -> str:
    """A share as people write it."""
    return NONE if value is None or not isfinite(value) else f"{100 * value:.{digits}f}\u00a0%"


def points(value: float) -> str:
    """A difference of shares, with its sign."""
    return NONE if not isfinite(value) else f"{100 * value:+.1f}".replace("-", "−")


def within(interval: Interval, *, signed: bool = False) -> str:
    """An interval in per cent, or in points with their signs."""
    if not isfinite(interval.low):
        return NONE
    if signed:
        return f"{points(interval.low)} to {points(interval.high)}"
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}"


def equals(value: float | None) -> str:
    """A p-value, to be written after the p."""
    if value is None:
        return NONE
    return "< 0.0001" if value < 0.0001 else f"= {value:.4f}" if value < 0.01 else f"= {value:.2f}"


def badge(number: int) -> Markup:
    """The number of a run, in its colour."""
    return element("span", key(number), class_=f"badge {colour(number)}")


def section(identity: str, title: str, lead: str | Markup, *children: Markup | None) -> Markup:
    """A section with a heading that can be linked to."""
    return element(
        "section",
        element("h2", title),
        element("p", lead, class_="lead"),
        *children,
        id=identity,
        aria_label=title,
    )


def figure(title: str | None, note: str | Markup | None, *children: Markup | None) -> Markup:
    """A chart, what it shows, and the numbers behind it."""
    caption = element(
        "figcaption",
        element("h3", title) if title else None,
        element("p", note) if note else None,
    )
    return element("figure", caption, *children)


def numbers(table: Table, *, open_: bool = False) -> Markup:
    """A table behind a chart, folded away."""
    return element("details", element("summary", "Numbers"), html_table(table), open=open_)


def html_table(table: Table) -> Markup:
    """A table, its first column as headings of the rows."""
    head = element("tr", *(element("th", text, scope="col") for text in table.header))
    rows = [
        element(
            "tr",
            *(
                element("th" if not place else "td", text, scope=None if place else "row")
                for place, text in enumerate(cells)
            ),
            class_="rule" if number in table.rules else None,
        )
        for number, cells in enumerate(table.rows)
    ]
    body = element("table", element("thead", head), element("tbody", *rows))
    notes = [element("p", note, class_="note") for note in table.notes]
    scroll = element("div", body, class_="scroll", tabindex=0, role="region", aria_label=table.title)
    return joined(scroll, *notes)


def legend(entries: Iterable[tuple[str, str]]) -> Markup:
    """What the colours mean: a class and a word each."""
    items = [element("li", element("i", class_=kind), words) for kind, words in entries]
    return element("ul", *items, class_="legend")


def tabs(figures: Sequence[tuple[str, str, Markup]]) -> Markup:
    """Figures of several benchmarks, of which a script shows one at a time; without it all stand there.

    Args:
        figures: A benchmark's name, its title, and what is shown of it.
    """
    if len(figures) == 1:
        return figures[0][2]
    buttons = [
        element("button", title, type="button", data_show=name, aria_pressed="false")
        for name, title, _ in figures
    ]
    shown = [
        element("div", element("h3", title, class_="of"), body, data_of=name) for name, title, body in figures
    ]
    choice = element("div", *buttons, class_="chips", role="group", aria_label="Benchmark", hidden=True)
    return element("div", choice, *shown, class_="tabs")
