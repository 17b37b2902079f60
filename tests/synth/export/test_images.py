from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lpt_core import ImageRef
from lpt_synth.export.images import ImageFolder


def test_each_image_is_stored_once_under_a_name_of_its_content(make_image: Any, tmp_path: Path) -> None:
    one, two = make_image("a.png", 1), make_image("b.png", 2)
    same = make_image("copy.png", 1)
    folder = ImageFolder(tmp_path)
    names = [folder.add(image) for image in (one, two, one, same)]
    assert names[0] == names[2] == names[3] == f"images/{one.sha256[:16]}.png"
    assert (tmp_path / names[0]).read_bytes() == Path(one.path).read_bytes()
    assert len(list((tmp_path / "images").iterdir())) == 2
    assert folder.extensions == {".png": 2}


@pytest.mark.parametrize(
    ("form", "extension"),
    [
        ("JPEG", ".jpg"),
        ("PNG", ".png"),
        ("WEBP", ".webp"),
        ("GIF", ".gif"),
        ("BMP", ".bmp"),
        ("TIFF", ".tif"),
    ],
)
def test_the_extension_follows_the_content_not_the_name(form: str, extension: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.HEIC"
    Image.new("RGB", (4, 4)).save(path, form)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    image = ImageRef(path=str(path), sha256=digest, width=4, height=4)
    assert ImageFolder(tmp_path).add(image) == f"images/{digest[:16]}{extension}"


def test_an_unknown_content_keeps_its_extension_in_small_letters(tmp_path: Path) -> None:
    path = tmp_path / "picture.HEIC"
    path.write_bytes(b"?" * 3_000_000)  # more than one chunk
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    image = ImageRef(path=str(path), sha256=digest, width=4, height=4)
    name = ImageFolder(tmp_path).add(image)
    assert name.endswith(".heic")
    assert (tmp_path / name).read_bytes() == path.read_bytes()
