from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lpt_core import ConfigError, DataError
from lpt_eval.folder import RunFolder
from lpt_eval.protocol import Protocol
from lpt_eval.records import Item

MakeItem = Callable[..., Item]
MakeRun = Callable[..., Path]


def test_what_is_written_is_what_is_read(tmp_path: Path, make_item: MakeItem, make_run: MakeRun) -> None:
    items = [make_item(str(number)) for number in range(4)]
    folder = RunFolder.existing(make_run(tmp_path / "run", {"toy": (items, ["+", "-", "t", "f"])}))
    assert folder.items("toy") == items
    outcomes = {row.source_id: row.outcome for row in folder.rows("toy")}
    assert outcomes == {"0": "correct", "1": "wrong", "2": "truncated", "3": "failed"}
    assert folder.info().expected("toy") == 4
    assert folder.rows("other") == []


def test_the_files_do_not_tell_in_which_order_answers_came(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    items = [make_item(str(number)) for number in range(6)]
    folder = RunFolder(make_run(tmp_path / "run", {"toy": (items, ["+-"] * 6)}))
    before = (folder.path / "rows" / "toy.jsonl").read_bytes()
    folder.write_rows("toy", reversed(folder.rows("toy")))
    assert (folder.path / "rows" / "toy.jsonl").read_bytes() == before


def test_a_torn_file_is_named_with_its_line(tmp_path: Path, make_item: MakeItem, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", {"toy": ([make_item("1"), make_item("2")], ["+", "+"])})
    path = run / "rows" / "toy.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"toy\.jsonl, line 2: not a record of Row"):
        RunFolder(run).rows("toy")


def test_a_folder_without_a_run_and_names_that_are_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run of lpt-eval"):
        RunFolder.existing(tmp_path)
    with pytest.raises(ConfigError, match="cannot be a benchmark's name"):
        RunFolder(tmp_path).rows("../secret")


def test_a_protocol_is_the_same_whatever_it_is_called(protocol: Protocol) -> None:
    assert protocol.model_copy(update={"name": "mine"}).fingerprint == protocol.fingerprint
    assert protocol.model_copy(update={"label_set": "corrected"}).fingerprint != protocol.fingerprint
    assert Protocol.model_validate_json(protocol.model_dump_json()).fingerprint == protocol.fingerprint
