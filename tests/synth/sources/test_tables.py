"""JSON Lines, CSV, TSV and Parquet."""

from __future__ import annotations

import hashlib
import io
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lpt_core import DataError, MissingExtraError, StoreError


def png(colour: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (2, 2), colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def parquet(tmp_path):
    def write(columns, name="c.parquet"):
        path = tmp_path / name
        pq.write_table(pa.table(columns), path, row_group_size=3)
        return path

    return write


# Defect 37 of the authors' code: pandas turns these captions into nan.
WORDS = ["None", "NA", "null", "nan", "N/A", "-inf", "007", "1e5", "True"]


def test_csv_reads_text_as_text(read, file):
    lines = "".join(f"{word},{word},{word}.jpg\n" for word in WORDS)
    rows, problems = read(kind="table", captions=file("c.csv", "id,caption,image\n" + lines))
    assert [row.text for row in rows] == WORDS
    assert [row.source_id for row in rows] == WORDS
    assert not problems


def test_csv_of_a_spreadsheet(read, file, tmp_path):
    content = (
        "\ufeffid, caption ,image\r\n"
        'a,"A sign, that says ""PAN"",\r\nin two lines",sub/a.jpg\r\n'
        "\r\n"
        "b,Ünïcode,/abs/b.jpg\r\n"
    )
    rows, problems = read(kind="table", captions=file("c.CSV", content))
    assert not problems
    assert rows[0].text == 'A sign, that says "PAN",\r\nin two lines'
    assert [row.where.rsplit(":", 1)[1] for row in rows] == ["2", "5"]
    assert str(rows[0].image) == str(tmp_path / "sub" / "a.jpg")
    assert str(rows[1].image) == "/abs/b.jpg"


def test_tsv_with_other_columns_and_a_split(read, file, tmp_path):
    content = "name\tset\tdesc\tfile\nx\ttrain\ta, b\tx.png\ny\ttest\tc\ty.png\n"
    rows, problems = read(
        kind="table",
        captions=file("c.tsv", content),
        images=tmp_path,
        id_column="name",
        text_column="desc",
        image_column="file",
        split_column="set",
        split="train",
    )
    assert [(row.source_id, row.text, row.split) for row in rows] == [("x", "a, b", "train")]
    assert not problems


def test_without_an_id_column_the_row_number_is_the_id(read, file):
    content = "caption,image\na,a.jpg\n,b.jpg\nc,c.jpg\n"
    rows, _ = read(kind="table", captions=file("c.csv", content), id_column=None)
    assert [row.source_id for row in rows] == ["1", "3"]


def test_jsonl_takes_whole_numbers_as_ids(read, file):
    content = (
        '\ufeff{"id": 7, "caption": "a", "image": "a.jpg"}\n{"id": "8", "caption": "b", "image": "b.jpg"}'
    )
    rows, problems = read(kind="table", captions=file("c.jsonl", content))
    assert [row.source_id for row in rows] == ["7", "8"]
    assert not problems


def test_parquet_streams_rows_with_their_numbers(read, parquet):
    captions = parquet({"id": [1, 2, 3, 4], "caption": ["a", None, "NA", " d "], "image": list("abcd")})
    rows, problems = read(kind="table", captions=captions)
    assert [(row.source_id, row.text) for row in rows] == [("1", "a"), ("3", "NA"), ("4", "d")]
    assert rows[1].where == f"{captions} row 3"
    assert [(problem.kind, problem.where) for problem in problems] == [("caption_empty", f"{captions} row 2")]


def test_parquet_strings_that_are_not_utf_8_spoil_their_own_row_alone(read, parquet):
    raw = pa.array([b"good", b"b\xffd", "Ünï".encode()], pa.binary())
    strings = pa.StringArray.from_buffers(3, *raw.buffers()[1:])
    rows, problems = read(
        kind="table", captions=parquet({"caption": strings, "image": list("abc")}), id_column=None
    )
    assert [row.text for row in rows] == ["good", "Ünï"]
    assert [problem.kind for problem in problems] == ["row_not_utf8"]


def test_parquet_text_in_bytes_is_read_as_utf_8(read, parquet):
    captions = parquet({"caption": [b"caf\xc3\xa9", b"\xff"], "image": ["a", "b"]})
    rows, problems = read(kind="table", captions=captions, id_column=None)
    assert [row.text for row in rows] == ["café"]
    assert [problem.kind for problem in problems] == ["row_not_utf8"]


def test_images_inside_parquet_are_written_once_by_content(read, parquet, tmp_path):
    images = [{"bytes": png(n % 2), "path": f"{n}.png"} for n in range(4)]
    images += [{"bytes": None, "path": "there.png"}, {"bytes": b"nonsense", "path": None}, None]
    captions = parquet({"caption": [f"c{n}" for n in range(7)], "image": images})
    rows, problems = read(kind="table", captions=captions, id_column=None)
    expected = [tmp_path / "cache" / f"{hashlib.sha256(png(n)).hexdigest()}.png" for n in (0, 1)]
    assert [row.image for row in rows] == [*expected, *expected, tmp_path / "there.png"]
    assert [path.read_bytes() for path in expected] == [png(0), png(1)]
    assert sorted((tmp_path / "cache").iterdir()) == sorted(expected)
    assert [problem.kind for problem in problems] == ["image_unreadable", "image_unnamed"]


def test_shuffled_images_inside_are_written_for_the_rows_taken_alone(read, parquet, tmp_path):
    columns = {"id": list(range(40)), "caption": ["c"] * 40, "image": [png(n) for n in range(40)]}
    captions = parquet(columns)
    taken, problems = read(kind="table", captions=captions, shuffle=True, limit=5)
    assert not problems
    assert len(list((tmp_path / "cache").iterdir())) == 5
    assert [row.image.read_bytes() for row in taken] == [png(int(row.source_id)) for row in taken]
    everything, _ = read(kind="table", captions=captions, shuffle=True)
    assert everything[:5] == taken
    plain = {"id": list(range(40)), "caption": ["c"] * 40, "image": ["x.png"] * 40}
    same_order, _ = read(kind="table", captions=parquet(plain, "plain.parquet"), shuffle=True, limit=5)
    assert [row.source_id for row in same_order] == [row.source_id for row in taken]


def test_a_written_image_that_lost_its_end_is_written_again(read, parquet, tmp_path):
    captions = parquet({"caption": ["c"], "image": [png(1)]})
    rows, _ = read(kind="table", captions=captions, id_column=None)
    rows[0].image.write_bytes(b"")
    again, _ = read(kind="table", captions=captions, id_column=None)
    assert again[0].image.read_bytes() == png(1)


def test_a_cache_that_cannot_be_written_is_named(read, parquet, file):
    file("cache", "a file where the folder should be")
    with pytest.raises(StoreError, match="cannot be written"):
        read(kind="table", captions=parquet({"caption": ["c"], "image": [png(1)]}), id_column=None)


def test_parquet_without_pyarrow_says_what_to_install(read, parquet, monkeypatch):
    captions = parquet({"caption": ["c"], "image": ["a"]})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"lpt-synth\[parquet\]"):
        read(kind="table", captions=captions)


@pytest.mark.parametrize("cut", [0, 10, -4, -30])
def test_a_damaged_parquet_file_is_named(read, parquet, cut):
    captions = parquet({"caption": ["c"] * 50, "image": ["a"] * 50})
    captions.write_bytes(captions.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"c\.parquet cannot be read"):
        read(kind="table", captions=captions, id_column=None)
