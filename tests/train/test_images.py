from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lpt_core import DataError, ImageRef
from lpt_train.images import Pictures, PixelPolicy, resized_size


@pytest.fixture(scope="module")
def processor(tiny_model_dir: Path) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(tiny_model_dir)


def saved(picture: Image.Image, path: Path, **options: Any) -> ImageRef:
    picture.save(path, **options)
    width, height = picture.size
    return ImageRef(
        path=str(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        width=width,
        height=height,
    )


@given(
    width=st.integers(1, 20_000),
    height=st.integers(1, 20_000),
    limit=st.integers(28, 2_000),
    rule=st.sampled_from(["area", "longer_side"]),
)
def test_no_image_is_made_larger_and_none_exceeds_the_limit(
    width: int, height: int, limit: int, rule: Any
) -> None:
    wide, tall = resized_size(width, height, PixelPolicy(rule=rule, limit=limit))
    assert 1 <= wide <= width or 1 <= tall <= height
    assert min(wide, tall) >= 1
    if rule == "area":
        assert wide * tall <= limit * limit or (wide, tall) == (width, height)
    else:
        assert max(wide, tall) <= limit or (wide, tall) == (width, height)


def test_the_paper_size_gives_the_grid_of_the_pre_resize(processor: Any) -> None:
    class Real:
        """The released model's bounds, which leave 512² alone."""

        class image_processor:  # noqa: N801
            patch_size, merge_size = 14, 2
            size = {"shortest_edge": 3136, "longest_edge": 12_845_056}  # noqa: RUF012

    pictures = Pictures(Real, PixelPolicy(rule="area", limit=512))
    _, tall, wide = pictures.grid_of(1024, 768)
    assert tall * wide // 4 == 336


@pytest.mark.parametrize("policy", [PixelPolicy(limit=60), PixelPolicy(rule="longer_side", limit=100)])
def test_the_header_tells_the_grid_that_the_pixels_make(
    processor: Any, tmp_path: Path, policy: PixelPolicy
) -> None:
    pictures = Pictures(processor, policy)
    for number, size in enumerate([(30, 200), (200, 30), (64, 64), (500, 375), (29, 41), (1, 28)]):
        image = saved(Image.new("RGB", size, (number, 0, 0)), tmp_path / f"{number}.png")
        made = pictures.tensors(image)
        assert tuple(made["image_grid_thw"][0].tolist()) == pictures.grid(image)
        time, tall, wide = pictures.grid(image)
        assert made["pixel_values"].shape[0] == time * tall * wide == 4 * pictures.tokens(image)


def test_an_image_is_kept_and_the_oldest_goes_first(processor: Any, tmp_path: Path) -> None:
    images = [saved(Image.new("RGB", (56, 56), (n, 0, 0)), tmp_path / f"{n}.png") for n in range(3)]
    one = 16 * 1176 * 4 + 24
    pictures = Pictures(processor, PixelPolicy(), max_bytes=2 * one)
    first = pictures.tensors(images[0])
    assert pictures.tensors(images[0]) is first
    second = pictures.tensors(images[1])
    pictures.tensors(images[0])
    pictures.tensors(images[2])
    assert pictures.tensors(images[0]) is first
    assert pictures.tensors(images[1]) is not second


def test_a_root_is_where_relative_paths_start(processor: Any, tmp_path: Path) -> None:
    image = saved(Image.new("RGB", (56, 56)), tmp_path / "x.png")
    moved = image.model_copy(update={"path": "x.png"})
    assert Pictures(processor, PixelPolicy(), tmp_path).grid(moved) == (1, 4, 4)


def test_what_is_wrong_with_an_image_is_said(processor: Any, tmp_path: Path) -> None:
    pictures = Pictures(processor, PixelPolicy())
    image = saved(Image.new("RGB", (56, 56)), tmp_path / "x.png")
    whole = (tmp_path / "x.png").read_bytes()

    def other(name: str, data: bytes | None) -> ImageRef:
        path = tmp_path / name
        digest = image.sha256
        if data is not None:
            path.write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
        return image.model_copy(update={"path": str(path), "sha256": digest})

    with pytest.raises(DataError, match="is not there"):
        pictures.grid(other("none.png", None))
    with pytest.raises(DataError, match="empty"):
        pictures.grid(other("empty.png", b""))
    with pytest.raises(DataError, match="not an image"):
        pictures.grid(other("text.png", b"a text"))
    with pytest.raises(DataError, match="cannot be read"):
        pictures.grid(image.model_copy(update={"path": "a\0b"}))
    with pytest.raises(DataError, match="cannot be read"):
        pictures.tensors(other("cut.png", whole[:60]))
    with pytest.raises(DataError, match="not the one that the record"):
        pictures.tensors(image.model_copy(update={"sha256": "0" * 64}))
    line = saved(Image.new("RGB", (3, 900)), tmp_path / "line.png")
    with pytest.raises(DataError, match="3 x 900 pixels cannot be used"):
        pictures.grid(line)
