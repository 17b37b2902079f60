"""What a checkpoint says of itself: written whole, read again, or told why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lpt_core import CHECKPOINT_FILE, CheckpointRecord, DataError, PixelPolicy, StoreError

RECORD = CheckpointRecord(
    stage="dpo", step=3, model="m", pixels=PixelPolicy(), template="t", prompt="p", rows=2, data="d",
    course={"seed": 1}, versions={},
)  # fmt: skip


def test_what_was_written_is_read_and_nothing_else_lies_there(tmp_path: Path) -> None:
    RECORD.write(tmp_path)
    RECORD.write(tmp_path)
    assert CheckpointRecord.read(tmp_path) == RECORD
    assert [file.name for file in tmp_path.iterdir()] == [CHECKPOINT_FILE]
    written = json.loads((tmp_path / CHECKPOINT_FILE).read_text())
    assert written["pixels"] == {"rule": "area", "limit": 512}
    assert written["schema_version"] == 1


def test_a_folder_without_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is no checkpoint of lpt-train, or was not written to its end"):
        CheckpointRecord.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Invalid JSON"),
        ("{", "Invalid JSON"),
        ("[]", "object"),
        ("{}", "stage: Field required"),
        (RECORD.model_dump_json().replace('"step":3', '"step":-3'), "step: .*greater than or equal to 0"),
        (RECORD.model_dump_json().replace('"schema_version":1', '"schema_version":2'), "schema_version: "),
    ],
)
def test_one_that_cannot_be_read_is_told_with_the_field(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_FILE).write_text(text)
    with pytest.raises(DataError, match=rf"lpt_train\.json cannot be read: .*{words}"):
        CheckpointRecord.read(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"lpt_train\.json cannot be written: No such file"):
        RECORD.write(tmp_path / "none")
