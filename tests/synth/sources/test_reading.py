"""DOCCI's files, and what all sources share: splits, limit, shuffle, flat memory."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path

import pytest

from lpt_core import ConfigError, DataError
from lpt_synth.config import DocciSource, TableSource
from lpt_synth.sources import guess_kind, read_source

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "recorded" / "docci_descriptions.jsonlines"


def docci_line(number: int, split: str = "train", **changes: object) -> str:
    name = f"{split}_{number:05}"
    row = {
        "example_id": name,
        "split": split,
        "image_file": f"{name}.jpg",
        "description": f"caption {number}",
    }
    return json.dumps(row | changes) + "\n"


@pytest.fixture
def docci(tmp_path, file):
    (tmp_path / "images").mkdir()

    def make(lines):
        captions = file("docci_descriptions.jsonlines", "".join(lines))
        return {"kind": "docci", "captions": captions, "images": tmp_path / "images"}

    return make


def test_docci_rows_of_the_split(docci, read, tmp_path):
    source = docci([docci_line(0), docci_line(1, "test"), "\n", docci_line(2)])
    rows, problems = read(**source)
    assert [row.source_id for row in rows] == ["train_00000", "train_00002"]
    assert rows[0].text == "caption 0"
    assert rows[0].image == tmp_path / "images" / "train_00000.jpg"
    assert (rows[1].where, rows[1].source, rows[1].split) == (f"{source['captions']}:4", "docci", "train")
    assert not problems
    everything, _ = read(**source, split=None)
    assert [row.split for row in everything] == ["train", "test", "train"]


def test_the_real_file(read, tmp_path):
    if not RECORDED.is_file():
        pytest.skip("shared/recorded is not there")
    assert guess_kind(str(RECORDED)) == "docci"
    rows, problems = read(kind="docci", captions=RECORDED, images=tmp_path)
    assert [row.source_id for row in rows] == ["train_00000", "train_00001", "train_00002"]
    assert rows[0].text.startswith("A medium view of a colorful cartoon style sculpture")
    assert not problems


def test_a_split_that_is_not_there_is_named_with_those_that_are(docci, read):
    source = docci([docci_line(0), docci_line(1, "qual_dev")])
    with pytest.raises(DataError, match=r"no rows of split 'test'; its splits are: 'qual_dev', 'train'\."):
        read(**source, split="test")


def test_bad_rows_of_another_split_are_nobodys_business(docci, read):
    rows, problems = read(**docci([docci_line(0), docci_line(1, "test", description="")]))
    assert len(rows) == 1
    assert not problems


def test_limit_counts_usable_rows_and_reads_no_further(docci, read):
    lines = [docci_line(0, description=" "), docci_line(1), docci_line(2), "not json\n"]
    rows, problems = read(**docci(lines), limit=2)
    assert [row.text for row in rows] == ["caption 1", "caption 2"]
    assert [problem.kind for problem in problems] == ["caption_empty"]


def test_shuffle_depends_on_seed_and_ids_alone(docci, read):
    lines = [docci_line(number) for number in range(60)]
    in_order = [row.source_id for row in read(**docci(lines), shuffle=True)[0]]
    assert in_order != sorted(in_order)
    assert sorted(in_order) == [f"train_{number:05}" for number in range(60)]
    random.Random(1).shuffle(lines)
    assert [row.source_id for row in read(**docci(lines), shuffle=True)[0]] == in_order
    assert [row.source_id for row in read(**docci(lines), shuffle=True, limit=7)[0]] == in_order[:7]
    assert [row.source_id for row in read(**docci(lines), shuffle=True, seed=1)[0]] != in_order
    # Rows that are added do not change the order of the others.
    more = [row.source_id for row in read(**docci([*lines, docci_line(60)]), shuffle=True)[0]]
    assert [name for name in more if name != "train_00060"] == in_order


def test_the_first_of_two_rows_with_an_id_is_used_and_a_bad_row_holds_none(docci, read):
    lines = [docci_line(0, description=""), docci_line(0, description="b"), docci_line(0, description="c")]
    rows, problems = read(**docci(lines))
    assert [row.text for row in rows] == ["b"]
    assert [problem.kind for problem in problems] == ["caption_empty", "id_duplicate"]
    assert ":2 already" in problems[1].message


def test_a_folder_of_images_that_is_not_there_is_named_at_once(docci, read, tmp_path):
    source = docci([docci_line(0)]) | {"images": tmp_path / "nowhere"}
    with pytest.raises(DataError, match="nowhere is not a folder"):
        read(**source)


def test_a_split_without_its_column_is_a_mistake_of_the_configuration(read, file):
    captions = file("c.csv", "id,caption,image\n1,x,x.jpg\n")
    with pytest.raises(ConfigError, match="split_column"):
        read(kind="table", captions=captions, split="train")


@pytest.mark.parametrize("shuffle", [False, True])
def test_memory_stays_flat_over_many_rows(tmp_path, file, shuffle):
    count, text = 20_000, "x" * 1000
    captions = file(
        "big.jsonl",
        "".join(json.dumps({"id": n, "caption": text, "image": "x.jpg"}) + "\n" for n in range(count)),
    )
    source = TableSource(kind="table", captions=captions, shuffle=shuffle, limit=100 if shuffle else None)
    tracemalloc.start()
    try:
        rows = sum(1 for _ in read_source(source, seed=1, cache=tmp_path, report=pytest.fail))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == (100 if shuffle else count)
    assert peak < 10 * 2**20, "the texts alone are 20 MB"


def test_rows_stream(tmp_path, docci):
    config = DocciSource(**docci([docci_line(0), docci_line(1), "not json"]))
    rows = read_source(config, seed=1, cache=tmp_path, report=pytest.fail)
    assert [next(rows).text, next(rows).text] == ["caption 0", "caption 1"]
