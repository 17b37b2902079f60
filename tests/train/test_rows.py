from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lpt_core import DataError, ImagePart
from lpt_train.rows import holds_pairs, read_pairs, read_sft, scan_sft


@pytest.fixture
def copy(tiny_rows: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_rows, tmp_path / "copy"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_all_rows_are_read_with_images_that_open(tiny_rows: Path) -> None:
    examples = read_sft(tiny_rows / "sft.jsonl")
    pairs = read_pairs(tiny_rows / "pairs.jsonl")
    assert (len(examples), len(pairs)) == (24, 16)
    for record in [*examples, *pairs]:
        shown = [
            part.image for message in record.prompt for part in message.content if isinstance(part, ImagePart)
        ]
        assert shown == [record.image]
        assert Path(record.image.path).is_absolute()
        assert Path(record.image.path).is_file()


def test_an_absolute_path_stays(copy: Path, tmp_path: Path) -> None:
    row = lines(copy / "sft.jsonl")[0]
    row["image"]["path"] = "/elsewhere/x.png"
    (read,) = read_sft(write(tmp_path / "one.jsonl", row))
    assert read.image.path == "/elsewhere/x.png"


def test_an_unknown_column_fails_with_its_place(copy: Path) -> None:
    rows = lines(copy / "sft.jsonl")
    rows[1]["assistant_prefix"] = "<think> It"
    rows[2]["prompt"][0]["weight"] = 2
    path = write(copy / "sft.jsonl", *rows)
    with pytest.raises(DataError, match=rf"{path}:2:assistant_prefix") as caught:
        read_sft(path)
    assert f"{path}:3:prompt.0.weight" in str(caught.value)
    assert [problem.kind for problem in scan_sft(path).problems] == ["unknown_column"] * 2
    assert len(scan_sft(path).rows) == 22


@pytest.mark.parametrize(
    ("change", "kind", "where"),
    [
        ("not json", "not_json", ":1"),
        ("[1, 2]", "bad_value", ":1"),
        ('{"id": "a", "id": "b"}', "duplicate_key", ":1"),
        ({"text": "hello"}, "unknown_column", ":1:text"),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "not_json", ":1"),
        ("[" * 100_000, "not_json", ":1"),
    ],
)
def test_a_line_that_is_no_record_is_a_problem_of_its_kind(
    tmp_path: Path, change: object, kind: str, where: str
) -> None:
    path = write(tmp_path / "x.jsonl", change)
    problems = scan_sft(path).problems
    assert kind in {problem.kind for problem in problems}
    assert any(problem.where == f"{path}{where}" for problem in problems)


def test_a_value_of_another_kind_is_told_by_its_field(copy: Path) -> None:
    rows = lines(copy / "sft.jsonl")
    rows[0]["response"][0]["loss"] = "yes"
    del rows[1]["trace_id"]
    path = write(copy / "sft.jsonl", *rows)
    found = {(problem.kind, problem.where) for problem in scan_sft(path).problems}
    assert found == {
        ("bad_value", f"{path}:1:response.0.loss"),
        ("missing_column", f"{path}:2:trace_id"),
    }


def test_pairs_given_as_sft_are_recognised(tiny_rows: Path) -> None:
    with pytest.raises(DataError, match="this is PreferencePair, and SFTExample is wanted here"):
        read_sft(tiny_rows / "pairs.jsonl")
    assert holds_pairs(tiny_rows / "pairs.jsonl")
    assert not holds_pairs(tiny_rows / "sft.jsonl")


def test_blank_lines_and_a_byte_order_mark_are_no_rows_and_lines_keep_their_numbers(copy: Path) -> None:
    path = copy / "sft.jsonl"
    first, second, *_ = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"\xef\xbb\xbf" + first + b"\n  \n" + second + b"oops\n")
    scan = scan_sft(path)
    assert [row.line for row in scan.rows] == [1, 4]
    assert [problem.where for problem in scan.problems] == [f"{path}:5"]
    assert scan.lines == 3


def test_nothing_there_and_nothing_in_it_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_sft(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="holds no records"):
        read_pairs(write(tmp_path / "empty.jsonl"))


def test_many_problems_are_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="and 12 more"):
        read_sft(write(tmp_path / "x.jsonl", *["x"] * 20))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_no_bytes_raise_anything_but_problems(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "hostile.jsonl"
    path.write_bytes(data)
    scan = scan_sft(path)
    assert len(scan.rows) == 0
    assert len({problem.where.rsplit(":", 1)[0] for problem in scan.problems}) <= scan.lines
    assert not holds_pairs(path)


def test_the_first_record_tells_what_a_file_holds(tmp_path: Path) -> None:
    assert holds_pairs(write(tmp_path / "x.jsonl", "[" * 100_000, "", "oops", {"chosen": []}))
    assert not holds_pairs(write(tmp_path / "y.jsonl", {"response": []}, {"chosen": []}))
