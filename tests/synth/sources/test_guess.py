"""What a source is, told by looking at it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lpt_core import DataError
from lpt_synth.sources import guess_columns, guess_kind

DOCCI = '\n{"example_id": "a", "image_file": "a.jpg", "description": "x", "split": "train"}\n'


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("docci_descriptions.jsonlines", DOCCI, "docci"),
        ("renamed.jsonl", DOCCI, "docci"),
        ("docci_descriptions.jsonlines", '{"id": 1, "caption": "x", "image": "y"}', "table"),
        ("empty.jsonl", "", "table"),
        ("c.csv", "caption,image\n", "table"),
        ("c.TSV", "caption\timage\n", "table"),
    ],
)
def test_files(file, name, content, kind):
    assert guess_kind(str(file(name, content))) == kind


@pytest.mark.parametrize("marker", ["dataset_info.json", "dataset_dict.json", "state.json"])
def test_directories(file, marker, tmp_path):
    file("pictures/a.jpg", b"")
    assert guess_kind(str(tmp_path / "pictures")) == "folder"
    assert guess_kind(str(file(f"saved/{marker}", "{}").parent)) == "hub"


def test_an_id_of_the_hub():
    assert guess_kind("google/docci") == "hub"


@pytest.mark.parametrize(
    "name", ["nowhere.jsonl", "data/captions.jsonl", "/no/such/folder", "./no/such", "word"]
)
def test_what_is_not_there(name):
    with pytest.raises(DataError, match="does not exist"):
        guess_kind(name)


def test_a_file_of_another_kind(file):
    with pytest.raises(DataError, match=r"\.jsonl"):
        guess_kind(str(file("captions.json", "[]")))


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("a.csv", "id,caption,image\n", ("caption", "image", "id")),
        ("b.csv", "Description,FILE_NAME,extra\n", ("Description", "FILE_NAME", None)),
        ("c.tsv", "text\timage_path\timage_id\n", ("text", "image_path", "image_id")),
        ("d.jsonl", f"not json\n{DOCCI}", ("description", "image_file", "example_id")),
        ("e.csv", "text,caption,image_path,image\n", ("caption", "image", None)),
    ],
)
def test_columns(file, name, content, columns):
    assert guess_columns(file(name, content)) == columns


def test_columns_of_parquet(tmp_path):
    pq.write_table(pa.table({"image": ["a"], "caption": ["b"]}), tmp_path / "c.parquet")
    assert guess_columns(tmp_path / "c.parquet") == ("caption", "image", None)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            "id,words,image\n",
            "holds the caption cannot be told from the names: 'id', 'words', 'image'",
        ),
        ("b.jsonl", '{"caption": "x"}\n', "holds the image cannot be told from the names: 'caption'"),
        ("c.jsonl", "[]\n", "cannot be told from the names: none"),
    ],
)
def test_columns_that_cannot_be_told_are_listed(file, name, content, message):
    with pytest.raises(DataError, match=message):
        guess_columns(file(name, content))
