"""Line plots as PNG, drawn with Pillow: curves over steps in panels, one below the other."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_WIDTH, _HEIGHT = 960, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 230, 34, 34
_INK, _GRID = "#333333", "#e2e2e2"
# Okabe and Ito's colours, which are told apart without red and green.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c8c8c")


@dataclass(frozen=True, slots=True)
class Curve:
    """A named series of (step, value)."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves that share their axes."""

    title: str
    curves: Sequence[Curve]


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float

    def place(self, value: float, start: float, end: float) -> float:
        """Where a value lies between two pixels."""
        return start + (value - self.low) / (self.high - self.low) * (end - start)


def draw(panels: Sequence[Panel]) -> bytes:
    """The panels as one PNG; the same curves give the same bytes. Points that are no numbers are left out."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (_WIDTH, _HEIGHT * len(panels)), "white")
    brush = ImageDraw.Draw(picture)
    for number, panel in enumerate(panels):
        _panel(brush, panel, number * _HEIGHT)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _panel(brush: ImageDraw, panel: Panel, above: int) -> None:
    curves = [(curve.name, [p for p in curve.points if all(map(isfinite, p))]) for curve in panel.curves]
    curves = [(name, points) for name, points in curves if points]
    brush.text((_LEFT, above + 10), panel.title, fill=_INK)
    if not curves:
        return
    steps = _axis([step for _, points in curves for step, _ in points])
    values = _axis([value for _, points in curves for _, value in points])
    left, right = _LEFT, _WIDTH - _RIGHT
    top, bottom = above + _TOP, above + _HEIGHT - _BOTTOM
    for tick in _ticks(values):
        y = values.place(tick, bottom, top)
        brush.line((left, y, right, y), fill=_GRID)
        brush.text((left - 6, y), f"{tick:.4g}", fill=_INK, anchor="rm")
    for tick in _ticks(steps):
        x = steps.place(tick, left, right)
        brush.line((x, bottom, x, bottom + 4), fill=_INK)
        brush.text((x, bottom + 8), f"{tick:.6g}", fill=_INK, anchor="mt")
    brush.rectangle((left, top, right, bottom), outline=_INK)
    for number, (name, points) in enumerate(curves):
        colour = _COLOURS[number % len(_COLOURS)]
        line = [(steps.place(s, left, right), values.place(v, bottom, top)) for s, v in points]
        for x, y in line if len(line) == 1 else ():
            brush.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
        brush.line(line, fill=colour, width=2)
        y = top + 8 + 16 * number
        brush.line((right + 12, y, right + 32, y), fill=colour, width=3)
        brush.text((right + 40, y), name, fill=_INK, anchor="lm")


def _axis(values: Sequence[float]) -> _Axis:
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-300):
        margin = abs(low) * 0.05 or 1.0
        return _Axis(low - margin, high + margin)
    return _Axis(low, high)


def _ticks(axis: _Axis) -> list[float]:
    """Round numbers inside an axis, three to seven of them."""
    span = axis.high - axis.low
    unit = 10.0 ** floor(log10(span / 4))
    step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= 6)
    return [step * number for number in range(ceil(axis.low / step), floor(axis.high / step) + 1)]
