from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lpt_core import DataError
from lpt_core.image_files import EXTENSIONS, decoded, header_size, read_bytes, sniff_extension

KINDS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp", "GIF": "gif", "TIFF": "tif"}


def saved(kind: str, picture: Image.Image | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    (picture or Image.linear_gradient("L").resize((16, 12)).convert("RGB")).save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(("kind", "extension"), KINDS.items())
def test_six_formats_are_told_by_their_bytes_whatever_the_name(
    tmp_path: Path, kind: str, extension: str
) -> None:
    data = saved(kind)
    path = tmp_path / "picture.of_any_name"
    path.write_bytes(data)
    assert sniff_extension(data[:12]) == extension
    assert f".{extension}" in EXTENSIONS
    assert header_size(path) == decoded(read_bytes(path), path).size == (16, 12)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_turned_image_is_seen_upright(tmp_path: Path, kind: str, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    halves = Image.new("RGB", (64, 32), "blue")
    halves.paste("red", (0, 0, 32, 32))
    path = tmp_path / "x"
    path.write_bytes(saved(kind, halves, exif=exif))
    upright = decoded(path.read_bytes(), path)
    assert header_size(path) == upright.size == ((32, 64) if turn > 4 else (64, 32))
    # Where the red half went, by the definition of the tag.
    left, right, top, bottom = (8, 16), (56, 16), (16, 8), (16, 56)
    spot = (left, right, right, left, top, top, bottom, bottom)[turn - 1]
    red, _, blue = upright.getpixel(spot)
    assert red > 200
    assert blue < 60


def test_transparent_is_white_and_sixteen_bits_are_scaled() -> None:
    clear = saved("PNG", Image.new("RGBA", (4, 4), (255, 0, 0, 0)))
    assert decoded(clear, Path("clear")).getpixel((0, 0)) == (255, 255, 255)
    deep = saved("PNG", Image.new("I;16", (4, 4), 32_768))
    assert decoded(deep, Path("deep")).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"I am no picture", "not an image"),
        (b"%PDF-1.7", "not an image"),
        (saved("PNG")[:60], "cannot be read"),
        (saved("JPEG")[:300], "cannot be read"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as told:
        decoded(data, Path("somewhere/x.jpg"))
    assert "somewhere/x.jpg" in str(told.value)


@pytest.mark.parametrize("look", [header_size, read_bytes])
def test_a_file_that_is_not_there_is_named_with_what_to_do(tmp_path: Path, look: Any) -> None:
    with pytest.raises(DataError, match=r"none\.png is not there[\s\S]*move both together"):
        look(tmp_path / "none.png")
    for path in (tmp_path, tmp_path / "a\0b"):
        with pytest.raises(DataError, match="cannot be read"):
            look(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([saved(kind) for kind in KINDS]),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), max_size=8),
    st.integers(0, 1500),
)
def test_no_bytes_raise_anything_else(
    tmp_path: Path, data: bytes, changes: list[tuple[int, int]], end: int
) -> None:
    mutable = bytearray(data)
    for place, value in changes:
        mutable[place % len(mutable)] = value
    path = tmp_path / "x"
    path.write_bytes(mutable[: end or None])
    for look in (header_size, lambda path: decoded(path.read_bytes(), path)):
        try:
            look(path)
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017 - either is right


def test_importing_it_needs_no_pillow() -> None:
    program = "import sys, lpt_core.image_files; assert 'PIL' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
