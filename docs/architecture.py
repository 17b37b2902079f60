"""The picture of the house, drawn from the imports: what stands higher imports what stands lower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import grimp

UPPER = ("lpt_synth", "lpt_train", "lpt_eval")
CORE = "lpt_core"
WIDTH, GAP, PAD, LINE = 1120, 16, 12, 24
GREY, FILL = (
    "#808080",
    {"lpt_synth": "#3b7dd8", "lpt_train": "#d8743b", "lpt_eval": "#3f9e6b", CORE: "#8a63c9"},
)


@dataclass(frozen=True, slots=True)
class Storey:
    """Rooms of a package that do not import each other: modules, and folders of modules.

    Attributes:
        rooms: Their names, without the package's.
    """

    rooms: tuple[str, ...]


def storeys(graph: grimp.ImportGraph, package: str) -> list[Storey]:
    """A package's rooms, from the top to the bottom; rooms that import each other share a storey."""
    rooms = sorted(graph.find_children(package) - {f"{package}.__main__"})
    family = {room: {room, *graph.find_descendants(room)} for room in rooms}
    below = {
        room: {
            other
            for other in rooms
            if other != room
            and any(graph.find_modules_directly_imported_by(one) & family[other] for one in family[room])
        }
        for room in rooms
    }
    heights: dict[str, int] = {}
    left = set(rooms)
    while left:
        # A ring of rooms has no lowest one: then those go together that need the fewest of the others.
        needed = {room: len(below[room] & left) for room in left}
        fewest = min(needed.values())
        ready = {room for room in left if needed[room] == fewest}
        height = max(heights.values(), default=-1) + 1
        heights.update(dict.fromkeys(ready, height))
        left -= ready
    levels = sorted(set(heights.values()), reverse=True)
    return [
        Storey(tuple(room.rpartition(".")[2] for room in rooms if heights[room] == level)) for level in levels
    ]


def picture() -> str:
    """The house as SVG."""
    graph = grimp.build_graph(CORE, *UPPER, cache_dir=None)
    width = (WIDTH - GAP * (len(UPPER) - 1)) / len(UPPER)
    boxes = [_lines(storeys(graph, package), int(width / 7.2)) for package in UPPER]
    tall = PAD * 2 + LINE * (1 + max(map(len, boxes)))
    core = _lines(storeys(graph, CORE), int(WIDTH / 7.2))
    low = PAD * 2 + LINE * (1 + len(core))
    drawn: list[str] = []
    for place, (package, lines) in enumerate(zip(UPPER, boxes, strict=True)):
        x = place * (width + GAP)
        drawn += _box(x, 0, width, tall, package, lines)
        core_modules = {CORE, *graph.find_descendants(CORE)}
        used = sum(
            bool(graph.find_modules_directly_imported_by(one) & core_modules)
            for one in graph.find_descendants(package)
        )
        middle = x + width / 2
        drawn += [
            f'<path d="M{middle:.0f} {tall} v{LINE + 6} m-6 -8 l6 8 l6 -8" fill="none" stroke="{GREY}"'
            ' stroke-width="2"/>',
            _text(middle + 12, tall + 20, f"{used} modules import it", 12),
        ]
    drawn += _box(0, tall + LINE + 10, WIDTH, low, CORE, core)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 -2 {WIDTH + 4} {tall + low + LINE + 14}"'
        ' font-family="ui-monospace, monospace" role="img"><title>The packages and their rooms</title>'
        "<desc>In each package, what stands higher imports what stands lower.</desc>"
    )
    return "\n".join([head, *drawn, "</svg>"]) + "\n"


def _lines(floors: Sequence[Storey], letters: int) -> list[str]:
    """A storey a line; a long one goes on in the next."""
    lines: list[str] = []
    for floor in floors:
        line = ""
        for room in floor.rooms:
            if line and len(line) + len(room) + 3 > letters - 4:
                lines.append(line)
                line = f"  {room}"
            else:
                line = f"{line} · {room}" if line else room
        lines.append(line)
    return lines


def _box(x: float, y: float, width: float, height: float, package: str, lines: Sequence[str]) -> list[str]:
    colour = FILL[package]
    return [
        f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{height}" rx="8" fill="{colour}"'
        f' fill-opacity="0.1" stroke="{colour}" stroke-width="1.5"/>',
        _text(x + PAD, y + PAD + 14, package.replace("_", "-"), 16, colour),
        *(_text(x + PAD, y + PAD + 14 + LINE * n, line, 12) for n, line in enumerate(lines, 1)),
    ]


def _text(x: float, y: float, text: str, size: int, colour: str = GREY) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{colour}" xml:space="preserve">'
        f"{escape(text)}</text>"
    )
