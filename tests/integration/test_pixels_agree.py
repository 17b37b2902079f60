"""Training shows the pixels that synthesis showed: two packages that cannot import each other agree."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

import lpt_synth.images as shown
from lpt_core import ImageRef, PixelPolicy
from lpt_synth.config import PixelPolicy as ShownPolicy
from lpt_train.images import Pictures


def test_the_default_policies_agree() -> None:
    assert PixelPolicy().model_dump().items() <= ShownPolicy().model_dump().items()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16", "P"])
@pytest.mark.parametrize("turn", [1, 6])
def test_pixels_agree(tmp_path: Path, mode: str, turn: int) -> None:
    path = tmp_path / "x.png"
    exif = Image.Exif()
    exif[0x0112] = turn
    gradient = Image.linear_gradient("L").resize((90, 61))
    picture = gradient.convert("I").point(lambda level: level * 256) if mode == "I;16" else gradient
    picture.convert(mode).save(path, exif=exif)
    policy = ShownPolicy(limit=40, format="png")
    then = Image.open(io.BytesIO(shown.encode_image(path, policy))).convert("RGB")
    image = shown.inspect_image(path, where="here", max_pixels=10_000)
    assert isinstance(image, ImageRef)
    now = Pictures(SimpleNamespace(image_processor=None), PixelPolicy(limit=40)).picture(image)
    assert now.size == then.size
    assert now.tobytes() == then.tobytes()
