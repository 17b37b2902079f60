"""Pieces of HTML: everything that is text is escaped here, and nothing else writes tags around data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

Cell = str | int | float


class Markup(str):
    """A string that is HTML already."""

    __slots__ = ()


def text(value: Cell) -> Markup:
    """A value as HTML: numbers with separators, HTML as it is, any other text escaped."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, int):
        return Markup(f"{value:,}")
    return Markup(escape(f"{value:,.1f}" if isinstance(value, float) else value))


def tag(name: str, *content: Cell, **attributes: str | int | None) -> Markup:
    """An element. Attributes: ``class_`` is class, underscores are hyphens; None leaves one out."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{said}>{''.join(map(text, content))}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    """Pieces of HTML after one another."""
    return Markup("".join(map(text, parts)))


def table(head: Sequence[Cell], rows: Iterable[Sequence[Cell]], caption: str) -> Markup:
    """A table whose first column names its rows; it scrolls by itself where it is too wide."""
    top = joined(
        tag("th", cell, scope="col", class_="n" if place else None) for place, cell in enumerate(head)
    )
    body = joined(
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell, class_="n") for cell in row[1:]))
        for row in rows
    )
    whole = tag("table", tag("caption", caption), tag("thead", tag("tr", top)), tag("tbody", body))
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def behind(summary: str, *content: Cell) -> Markup:
    """What stands behind a chart, closed at first."""
    return tag("details", tag("summary", summary), *content)


def bar(parts: Sequence[tuple[str, float]], whole: float) -> Markup:
    """Parts side by side, each (class, size), against ``whole``; a picture, whose numbers stand in text."""
    at, rects = 0.0, list[str]()
    for name, size in parts:
        width = 1000 * size / whole if whole else 0
        if width > 0:
            rects.append(f'<rect class="{escape(name)}" x="{at:.1f}" width="{width:.1f}" height="10"/>')
        at += width
    return Markup(
        '<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rest" width="1000" height="10"/>{"".join(rects)}</svg>'
    )


def share(part: float, whole: float) -> str:
    """A share in per cent; a dash where there is nothing to have a share of."""
    return f"{100 * part / whole:.1f} %" if whole else "–"
