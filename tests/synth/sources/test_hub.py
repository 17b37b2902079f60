"""Data sets of the `datasets` library."""

from __future__ import annotations

import hashlib
import io
import sys

import pytest
from PIL import Image

from lpt_core import DataError, MissingExtraError

datasets = pytest.importorskip("datasets")


def jpeg(colour: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (8, 8), colour).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def make(count: int = 4) -> datasets.Dataset:
    columns = {
        "key": [f"k{n}" for n in range(count)],
        "caption": [f"caption {n}" for n in range(count)],
        "image": [{"bytes": jpeg(n), "path": None} for n in range(count)],
    }
    return datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())


def test_a_saved_split_with_images_inside(read, tmp_path):
    where = str(tmp_path / "saved")
    datasets.DatasetDict(train=make(), test=make(1)).save_to_disk(where)
    rows, problems = read(kind="hub", captions=where, id_column="key")
    assert not problems
    assert [row.source_id for row in rows] == ["k0", "k1", "k2", "k3"]
    assert (rows[1].text, rows[1].where, rows[1].split) == ("caption 1", f"{where} row 2", "train")
    # The very bytes that are in the data set: nothing was decoded on the way.
    assert rows[1].image == tmp_path / "cache" / f"{hashlib.sha256(jpeg(1)).hexdigest()}.jpg"
    assert rows[1].image.read_bytes() == jpeg(1)
    assert len(read(kind="hub", captions=where, split="test")[0]) == 1


def test_shuffled_images_are_written_for_the_rows_taken_alone(read, tmp_path):
    where = str(tmp_path / "saved")
    make(30).save_to_disk(where)
    rows, _ = read(kind="hub", captions=where, id_column="key", shuffle=True, limit=3)
    assert len(list((tmp_path / "cache").iterdir())) == 3
    assert [row.image.read_bytes() for row in rows] == [jpeg(int(row.source_id[1:])) for row in rows]


def test_a_split_that_is_not_there_is_named_with_those_that_are(read, tmp_path):
    datasets.DatasetDict(train=make(1), dev=make(1)).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"no split 'test'; its splits are: 'train', 'dev'\."):
        read(kind="hub", captions=str(tmp_path / "saved"), split="test")
    alone = datasets.Dataset.from_dict({"caption": ["x"], "image": ["x.jpg"]}, split="dev")
    alone.save_to_disk(tmp_path / "alone")
    with pytest.raises(DataError, match=r"no split 'train'; its splits are: 'dev'\."):
        read(kind="hub", captions=str(tmp_path / "alone"))
    rows, _ = read(kind="hub", captions=str(tmp_path / "alone"), split="dev")
    assert (rows[0].source_id, rows[0].split) == ("1", "dev")


def test_paths_in_the_image_column(read, tmp_path):
    data = datasets.Dataset.from_dict(
        {"caption": ["a", "b", None], "image": ["a.jpg", "/abs/b.jpg", "c.jpg"]}
    )
    data.save_to_disk(tmp_path / "saved")
    rows, problems = read(kind="hub", captions=str(tmp_path / "saved"), images=tmp_path)
    assert [str(row.image) for row in rows] == [str(tmp_path / "a.jpg"), "/abs/b.jpg"]
    assert [(p.kind, p.where) for p in problems] == [("caption_empty", f"{tmp_path / 'saved'} row 3")]


def test_a_saved_output_format_changes_nothing(read, tmp_path):
    make(2).with_format("numpy").save_to_disk(tmp_path / "saved")
    rows, problems = read(kind="hub", captions=str(tmp_path / "saved"), id_column="key")
    assert [row.text for row in rows] == ["caption 0", "caption 1"]
    assert not problems


def test_columns_that_are_not_there(read, tmp_path):
    make(1).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"no column 'text'; its columns are: 'key', 'caption', 'image'\."):
        read(kind="hub", captions=str(tmp_path / "saved"), text_column="text")


def test_a_directory_of_something_else(read, file, tmp_path):
    file("other/a.jpg", b"")
    with pytest.raises(DataError, match="cannot be read as a data set"):
        read(kind="hub", captions=str(tmp_path / "other"))
    make(2).save_to_disk(tmp_path / "saved")
    for arrow in (tmp_path / "saved").glob("*.arrow"):
        arrow.write_bytes(arrow.read_bytes()[:200])
    with pytest.raises(DataError, match="saved"):
        read(kind="hub", captions=str(tmp_path / "saved"))


def test_an_id_that_cannot_be_reached_says_what_to_do(read):
    with pytest.raises(DataError, match="owner/nobody-has-this") as caught:
        read(kind="hub", captions="owner/nobody-has-this")
    assert "save_to_disk" in caught.value.remedy


def test_neither_a_directory_nor_an_id(read):
    with pytest.raises(DataError, match="no directory that exists, and no id"):
        read(kind="hub", captions="./not/there at all")


def test_without_datasets_it_says_what_to_install(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"lpt-synth\[hub\]"):
        read(kind="hub", captions="owner/name")
