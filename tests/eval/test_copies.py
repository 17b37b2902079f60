from __future__ import annotations

import hashlib

import pytest
from PIL import Image

from lpt_core import ImageRef
from lpt_eval.benchmarks.data import Benchmark
from lpt_eval.copies import LONGEST, write_copies
from lpt_eval.folder import RunFolder


@pytest.fixture
def benchmark(tmp_path, make_item) -> Benchmark:
    """Four questions about three pictures: a large one, a small one, and one that is no picture."""
    items = []
    for name, size in (("large", (1600, 900)), ("small", (84, 84)), ("large", (1600, 900)), ("torn", None)):
        path = tmp_path / f"{name}.png"
        if size is None:
            path.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
        elif not path.exists():
            Image.new("RGB", size, "teal").save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        width, height = size or (1, 1)
        ref = ImageRef(path=path.name, sha256=digest, width=width, height=height)
        items.append(make_item(f"{name}{len(items)}").model_copy(update={"image": ref}))
    return Benchmark("toy", tuple(items), tmp_path, "toy")


def test_each_picture_is_copied_once_small_and_a_torn_one_stops_nothing(benchmark, tmp_path) -> None:
    folder, notes = RunFolder(tmp_path / "run"), []
    assert write_copies(benchmark, folder, notes.append) == 2
    large, small = (folder.picture(item.image.sha256) for item in benchmark.items[:2])
    for copy, size in ((large, (LONGEST, 180)), (small, (84, 84))):
        with Image.open(copy) as picture:
            assert picture.size == size
    assert sorted(folder.images.iterdir()) == sorted([large, small])
    assert len(notes) == 1
    assert "torn.png" in notes[0]
    assert write_copies(benchmark, folder, notes.append) == 0
