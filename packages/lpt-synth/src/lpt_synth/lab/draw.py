"""Drawing a scene with Pillow: 84 x 84 pixels, nine cells of 28."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import TYPE_CHECKING

from lpt_core import derived_int
from lpt_synth.lab.scene import CELL, DIFFICULTIES, SIDE, Scene, Thing

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw as Pen

COVERED = 0.05
"""Share of a shape that must lie behind another for a caption to say so."""

_LIGHTER, _WARMER = 18, 18  # how far the ground changes from its middle to its edge, of 255
_FINE = 4  # drawn four times as large, then reduced, which makes smooth edges
_RGB = {
    "red": (214, 40, 40),
    "orange": (244, 140, 20),
    "yellow": (245, 222, 50),
    "green": (46, 160, 67),
    "blue": (40, 90, 220),
    "purple": (140, 60, 180),
    "white": (245, 245, 245),
    "pink": (250, 150, 200),
}

Point = tuple[float, float]


def draw_scene(scene: Scene, *, seed: int = 0) -> Image:
    """The picture of a scene, RGB, ``SIDE`` pixels square; the same pixels for the same scene and seed."""
    from PIL import Image

    difficulty = DIFFICULTIES[scene.level]
    chance = random.Random(derived_int(seed, "lab-draw", scene.layout, scene.number))
    image = _ground(chance.randint(56, 76))
    for thing in scene.things:
        red, green, blue = _stray(_RGB[thing.colour], difficulty.tint, chance)
        mask, marks, corner = _cut(thing)
        image.paste((red, green, blue), corner, mask)
        image.paste((red // 3, green // 3, blue // 3), corner, marks)
    image = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return _noisy(image, difficulty.noise, chance) if difficulty.noise else image


def overlaps(scene: Scene) -> tuple[tuple[Thing, Thing], ...]:
    """Pairs (in front, behind) of which the first hides at least ``COVERED`` of the second."""
    from PIL import ImageChops

    masks = [_whole_mask(thing) for thing in scene.things]
    areas = [mask.histogram()[255] for mask in masks]
    return tuple(
        (scene.things[front], scene.things[behind])
        for behind in range(len(masks))
        for front in range(behind + 1, len(masks))
        if ImageChops.multiply(masks[front], masks[behind]).histogram()[255] >= COVERED * areas[behind]
    )


def _ground(grey: int) -> Image:
    """A dark ground, lighter to the right and warmer to the bottom.

    As in photographs, where one looks shows in what is seen there. On an even ground the tower of a
    Qwen2.5-VL could not tell one place from another: it knows of positions only how far apart two are.
    """
    from PIL import Image as Images
    from PIL import ImageChops

    down = Images.linear_gradient("L").resize((SIDE * _FINE, SIDE * _FINE))
    right = down.transpose(Images.Transpose.ROTATE_90)

    def ramp(towards: Image, change: float) -> Image:
        return towards.point([round(grey / 2 + change * (value / 127.5 - 1)) for value in range(256)])

    light = ramp(right, _LIGHTER)
    return Images.merge("RGB", [ImageChops.add(light, ramp(down, sign * _WARMER)) for sign in (1, 0, -1)])


def _stray(colour: tuple[int, int, int], tint: int, chance: random.Random) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, value + chance.randint(-tint, tint))) for value in colour)
    return red, green, blue


def _noisy(image: Image, deviation: float, chance: random.Random) -> Image:
    """The image with noise of a normal distribution, the same for all channels of a pixel."""
    from PIL import Image, ImageChops

    normal = NormalDist(128, deviation)
    table = [min(255, max(0, round(normal.inv_cdf((byte + 0.5) / 256)))) for byte in range(256)]
    grain = Image.frombytes("L", image.size, chance.randbytes(image.width * image.height)).point(table)
    return ImageChops.add(image, Image.merge("RGB", (grain, grain, grain)), scale=1, offset=-128)


def _middle(thing: Thing) -> Point:
    row, column = divmod(thing.cell, 3)
    return (column + 0.5) * CELL + thing.dx, (row + 0.5) * CELL + thing.dy


def _whole_mask(thing: Thing) -> Image:
    """Where a thing is in the picture, as 0 and 255."""
    from PIL import Image, ImageDraw

    mask = Image.new("L", (SIDE, SIDE), 0)
    _outline(ImageDraw.Draw(mask), thing.shape, _middle(thing), thing.radius)
    return mask


def _cut(thing: Thing) -> tuple[Image, Image, tuple[int, int]]:
    """Of a thing, drawn fine: where it is, where it is dark (0 and 255), and its upper left corner."""
    from PIL import Image, ImageChops, ImageDraw

    half = (int(thing.radius) + 2) * _FINE
    x, y = (value * _FINE for value in _middle(thing))
    left, top = round(x) - half, round(y) - half
    middle, radius = (x - left, y - top), thing.radius * _FINE
    mask = Image.new("L", (2 * half, 2 * half), 0)
    _outline(ImageDraw.Draw(mask), thing.shape, middle, radius)
    marks = Image.new("L", mask.size, 0)
    _PATTERNS[thing.pattern](ImageDraw.Draw(marks), thing.shape, middle, radius)
    return mask, ImageChops.multiply(marks, mask), (left, top)


def _plain(pen: Pen, shape: str, middle: Point, radius: float) -> None:
    """No marks."""


def _striped(pen: Pen, shape: str, middle: Point, radius: float) -> None:
    x, y = middle
    for step in range(round(-2 * radius), round(2 * radius), 4 * _FINE):
        ends = [(x - radius, y + step - radius), (x + radius, y + step + radius)]
        pen.line(ends, fill=255, width=round(1.6 * _FINE))


def _dotted(pen: Pen, shape: str, middle: Point, radius: float) -> None:
    x, y = middle
    steps = range(-4 * _FINE * (int(radius) // (4 * _FINE)), round(radius) + 1, 4 * _FINE)
    for down in steps:
        for right in steps:
            pen.ellipse(_around((x + right, y + down), 1.1 * _FINE), fill=255)


def _ringed(pen: Pen, shape: str, middle: Point, radius: float) -> None:
    _outline(pen, shape, middle, radius * 0.7)
    _outline(pen, shape, middle, radius * 0.4, fill=0)


_PATTERNS: Mapping[str, Callable[[Pen, str, Point, float], None]] = {
    "plain": _plain,
    "striped": _striped,
    "dotted": _dotted,
    "ringed": _ringed,
}


def _around(centre: Point, radius: float) -> tuple[float, float, float, float]:
    x, y = centre
    return x - radius, y - radius, x + radius, y + radius


def _outline(pen: Pen, shape: str, middle: Point, radius: float, fill: int = 255) -> None:
    x, y = middle
    if shape == "circle":
        pen.ellipse(_around(middle, radius), fill=fill)
    elif shape == "square":
        pen.rectangle(_around(middle, radius * 0.85), fill=fill)
    elif shape == "cross":
        arm = radius * 0.36
        pen.rectangle((x - radius, y - arm, x + radius, y + arm), fill=fill)
        pen.rectangle((x - arm, y - radius, x + arm, y + radius), fill=fill)
    else:
        pen.polygon(_corners(shape, middle, radius), fill=fill)


def _corners(shape: str, middle: Point, radius: float) -> list[Point]:
    turns = {
        "triangle": [(step / 3, 1.0) for step in range(3)],
        "diamond": [(step / 4, 1.0) for step in range(4)],
        "star": [(step / 10, 0.42 if step % 2 else 1.0) for step in range(10)],
    }[shape]
    x, y = middle
    return [
        (
            x + radius * reach * math.sin(2 * math.pi * turn),
            y - radius * reach * math.cos(2 * math.pi * turn),
        )
        for turn, reach in turns
    ]
