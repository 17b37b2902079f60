"""Charts as inline SVG that fits any width: across in per cent of it, down in pixels, texts of one size.

Colours are classes of the style sheet, so that they follow the reader's light or dark. Each chart has a title
and a description; the numbers themselves stand in a table beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from math import ceil, floor, isfinite, log10

from lpt_eval.report.markup import Attribute, Markup, clipped, element

_NARROW, _WIDE = 44, 52
"""The most characters of a line's words on a narrow screen, and on a wide one."""
_GROUP, _ROW, _AXIS = 30, 44, 24
_BAR = 14


@dataclass(frozen=True, slots=True)
class Scale:
    """What the width of a chart stands for.

    Attributes:
        low: At its left end.
        high: At its right end.
        ticks: Where a line is drawn, and what stands there.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def at(self, value: float) -> str:
        """Where a value lies, in per cent of the width; what is outside lies at the end."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(1.0, max(0.0, share)):.2f}%"


SHARES = Scale(0.0, 1.0, tuple((tick / 4, f"{25 * tick}\u00a0%") for tick in range(5)))
"""From nothing to all."""

TO_HALF = Scale(0.0, 0.5, tuple((tick / 10, f"{10 * tick}\u00a0%") for tick in range(6)))
"""From nothing to a half."""


def nice_scale(values: Sequence[float], *, unit: str = "", signed: bool = False, most: int = 5) -> Scale:
    """A scale with round ticks that has zero and all values.

    Args:
        values: What has to be on it; what is not finite is left out.
        unit: Written after each tick.
        signed: Whether the ticks have a sign.
        most: Steps at most.
    """
    known = [value for value in values if isfinite(value)]
    low, high = min([0.0, *known]), max([0.0, *known])
    if low == high:
        high = low + 1.0
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    ticks = tuple((place * step, _tick(place * step, unit, signed)) for place in range(first, last + 1))
    return Scale(first * step, last * step, ticks)


def _tick(value: float, unit: str, signed: bool) -> str:
    text = f"{value:+g}" if signed and value else f"{value:g}"
    return text.replace("-", "−") + unit


@dataclass(frozen=True, slots=True)
class Dot:
    """A line of a chart of points.

    Attributes:
        label: Before it, above the line.
        shown: At its end, above the line: the value in words.
        value: Where the point lies; None for none.
        low: Where its interval begins; None for none.
        high: Where that ends.
        colour: Class of the style sheet.
        marks: Other places on the line: each a value and a class.
        key: A number in a badge before the label.
    """

    label: str
    shown: str
    value: float | None
    low: float | None = None
    high: float | None = None
    colour: str = "run-0"
    marks: tuple[tuple[float, str], ...] = ()
    key: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of a chart of stacked bars.

    Attributes:
        label: Above it, at its beginning.
        shown: Above it, at its end.
        parts: Shares of 1 that add up to no more than 1, each with a class.
        key: A number in a badge before the label.
        colour: Of the badge.
    """

    label: str
    shown: str
    parts: tuple[tuple[float, str], ...]
    key: str = ""
    colour: str = "run-0"


@dataclass(frozen=True, slots=True)
class Group:
    """Lines under a heading of their own; no heading where it is empty."""

    title: str
    rows: Sequence[Dot | Bar]


def rows_chart(
    identity: str, title: str, desc: str, groups: Sequence[Group], scale: Scale, *, zero: bool = False
) -> Markup:
    """A chart of lines one below the other: points with intervals, or stacked bars.

    Args:
        identity: Unique in the page.
        title: What the chart shows, for those who do not see it.
        desc: What it says.
        groups: Its lines.
        scale: Of its width.
        zero: Whether the line at zero is drawn strong.
    """
    parts: list[Markup] = []
    y = 0.0
    for group in groups:
        if group.title:
            parts.append(_text("0%", y + 16, clipped(group.title, _NARROW), class_="group"))
            y += _GROUP
        for row in group.rows:
            parts.append(_row(row, y, scale))
            y += _ROW
        y += 8
    return _chart(identity, title, desc, y + _AXIS, (*_axis(scale, y, zero=zero), *parts))


def _row(row: Dot | Bar, y: float, scale: Scale) -> Markup:
    taken = len(row.shown) + (3 if row.key else 0)
    narrow, wide = (clipped(row.label, max(10, most - taken)) for most in (_NARROW, _WIDE))
    labels = [("label", wide)] if wide == narrow else [("label narrow", narrow), ("label wide", wide)]
    badge = None
    if row.key:
        circle = element("circle", cx=8, cy=y + 8, r=8, class_="fill")
        letter = element("text", row.key, x=8, y=y + 12, class_="badge")
        badge = element("g", circle, letter)
    texts = (
        badge,
        *(element("text", label, x=23 if row.key else 0, y=y + 12, class_=kind) for kind, label in labels),
        _text("100%", y + 12, row.shown, class_="value", anchor="end"),
    )
    drawn = _dot(row, y + 25, scale) if isinstance(row, Dot) else _bar(row, y + 18, scale)
    return element("g", *texts, *drawn, class_=row.colour)


def _dot(row: Dot, y: float, scale: Scale) -> list[Markup]:
    drawn = [element("line", x1="0%", x2="100%", y1=y, y2=y, class_="track")]
    if row.low is not None and row.high is not None and isfinite(row.low) and isfinite(row.high):
        low, high = scale.at(row.low), scale.at(row.high)
        drawn.append(element("line", x1=low, x2=high, y1=y, y2=y, class_="whisker"))
    for value, kind in row.marks:
        if isfinite(value):
            at = scale.at(value)
            drawn.append(element("line", x1=at, x2=at, y1=y - 6, y2=y + 6, class_=f"mark {kind}"))
    if row.value is not None and isfinite(row.value):
        drawn.append(element("circle", cx=scale.at(row.value), cy=y, r=5, class_="dot"))
    return drawn


def _bar(row: Bar, y: float, scale: Scale) -> list[Markup]:
    ends = [0.0, *accumulate(share for share, _ in row.parts)]
    drawn: list[Markup] = [element("rect", x="0%", width="100%", y=y, height=_BAR, class_="trough", rx=3)]
    for (begin, end), (share, kind) in zip(pairwise(ends), row.parts, strict=True):
        if share <= 0:
            continue
        size: dict[str, Attribute] = {"x": scale.at(begin), "width": f"{100 * share:.2f}%"}
        drawn.append(element("rect", y=y, height=_BAR, class_=f"part {kind}", **size))
        if share >= 0.13:
            middle = scale.at((begin + end) / 2)
            words = f"{100 * share:.0f} %"
            drawn.append(_text(middle, y + 11, words, class_=f"inside on-{kind}", anchor="middle"))
    return drawn


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a line: its column from 0, its value, and its interval."""

    column: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined by a line, in one colour."""

    colour: str
    points: Sequence[Point] = field(default_factory=list[Point])


def panel(identity: str, title: str, desc: str, lines: Sequence[Line], edges: Sequence[str]) -> Markup:
    """A small chart of shares by column.

    Args:
        identity: Unique in the page.
        title: What it shows.
        desc: What it says.
        lines: One a run.
        edges: What stands between the columns; one more than there are columns.
    """
    height, columns = 160.0, max(1, len(edges) - 1)

    def y(value: float) -> float:
        return 8 + (height - 16) * (1 - value)

    parts: list[Markup] = []
    for tick in (0.0, 0.5, 1.0):
        parts.append(element("line", x1="0%", x2="100%", y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(_text("-8", y(tick) + 4, f"{100 * tick:.0f} %", class_="tick", anchor="end"))
    for place, edge in enumerate(edges):
        anchor = "start" if place == 0 else "end" if place == columns else "middle"
        parts.append(_text(f"{100 * place / columns:.2f}%", height + 12, edge, class_="tick", anchor=anchor))
    for number, line in enumerate(lines):
        # Side by side within a column, so that intervals do not cover each other.
        shift = (number - (len(lines) - 1) / 2) * min(0.16, 0.7 / max(1, len(lines)))
        parts.append(
            _line(line, [f"{100 * (p.column + 0.5 + shift) / columns:.2f}%" for p in line.points], y)
        )
    return _chart(identity, title, desc, height + 18, parts)


def _line(line: Line, across: Sequence[str], y: Callable[[float], float]) -> Markup:
    drawn: list[Markup] = []
    placed = list(zip(across, line.points, strict=True))
    for (x1, one), (x2, two) in pairwise(placed):
        drawn.append(element("line", x1=x1, x2=x2, y1=y(one.value), y2=y(two.value), class_="join"))
    for x, point in placed:
        drawn.append(element("line", x1=x, x2=x, y1=y(point.low), y2=y(point.high), class_="whisker thin"))
        drawn.append(element("circle", cx=x, cy=y(point.value), r=4, class_="dot"))
    return element("g", *drawn, class_=line.colour)


def _axis(scale: Scale, bottom: float, *, zero: bool) -> list[Markup]:
    drawn: list[Markup] = []
    for value, words in scale.ticks:
        at = scale.at(value)
        kind = "grid strong" if zero and value == 0 else "grid"
        anchor = {"0.00%": "start", "100.00%": "end"}.get(at, "middle")
        drawn.append(element("line", x1=at, x2=at, y1=0, y2=bottom, class_=kind))
        drawn.append(_text(at, bottom + 15, words, class_="tick", anchor=anchor))
    return drawn


def _text(x: str, y: float, words: str, *, class_: str, anchor: str = "start") -> Markup:
    return element("text", words, x=x, y=y, class_=f"{class_} {anchor}")


def _chart(identity: str, title: str, desc: str, height: float, parts: Sequence[Markup]) -> Markup:
    named = {"aria_labelledby": f"{identity}-t", "aria_describedby": f"{identity}-d"}
    return element(
        "svg",
        element("title", title, id=f"{identity}-t"),
        element("desc", desc, id=f"{identity}-d"),
        *parts,
        width="100%",
        height=height,
        role="img",
        class_="chart",
        **named,
    )
