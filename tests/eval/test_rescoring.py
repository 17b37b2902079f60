from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lpt_core import READER_VERSION, ConfigError, DataError
from lpt_eval.folder import RunFolder
from lpt_eval.journal import Answer, Journal
from lpt_eval.records import Item
from lpt_eval.rescoring import _keys, rescore  # pyright: ignore[reportPrivateUsage] # to fill a journal

MakeItem = Callable[..., Item]
MakeRun = Callable[..., Path]


@pytest.fixture
def old(tmp_path: Path, make_item: MakeItem, make_run: MakeRun) -> RunFolder:
    """A run of four questions, whose answers an older reader could not read."""
    items = [make_item(str(number)) for number in range(4)]
    folder = RunFolder(make_run(tmp_path / "run", {"toy": (items, ["+", "-", "x", "f"])}, reader=0))
    unread = {"outcome": "unextractable", "option": None, "place": None, "reader": 0}
    rows = [row if row.outcome == "failed" else row.model_copy(update=unread) for row in folder.rows("toy")]
    folder.write_rows("toy", rows)
    return folder


def files(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_what_changed_is_told_by_outcome_and_by_answer(old: RunFolder) -> None:
    (told,) = rescore(old.path)
    assert told.before == {"correct": 0, "wrong": 0, "unextractable": 3, "truncated": 0, "failed": 1}
    assert told.after == {"correct": 1, "wrong": 1, "unextractable": 1, "truncated": 0, "failed": 1}
    readings = {change.source_id: (change.before, change.after) for change in told.changes}
    assert readings == {"0": ("unextractable", "correct (B)"), "1": ("unextractable", "wrong (A)")}
    assert (told.recovered, told.missing) == (0, 0)
    assert {row.outcome for row in old.rows("toy")} == {"correct", "wrong", "unextractable", "failed"}
    assert old.info().reader == READER_VERSION


def test_scoring_again_changes_nothing_more(old: RunFolder) -> None:
    rescore(old.path)
    before = files(old.path)
    (told,) = rescore(old.path)
    assert (told.changes, told.before) == ((), told.after)
    assert files(old.path) == before


def test_another_folder_leaves_the_run_as_it_was(old: RunFolder, tmp_path: Path) -> None:
    old.images.mkdir()
    (old.images / "a.webp").write_bytes(b"small")
    before = files(old.path)
    rescore(old.path, tmp_path / "again")
    assert files(old.path) == before
    again = RunFolder.existing(tmp_path / "again")
    assert again.items("toy") == old.items("toy")
    assert (again.images / "a.webp").read_bytes() == b"small"
    assert not again.journal.exists()
    rescore(old.path)
    assert again.rows("toy") == old.rows("toy")


def test_a_folder_that_is_there_is_not_written_over(old: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there already"):
        rescore(old.path, tmp_path)
    assert old.info().reader == 0


def test_rows_that_were_never_written_come_from_the_journal(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    """As in a run that was killed: its journal is there, its rows are not."""
    items = [make_item(str(number)) for number in range(3)]
    folder = RunFolder(make_run(tmp_path / "run", {"toy": (items, ["+ ", " -", "  "])}, temperature=0.7))
    keys = dict(_keys(folder.info(), "toy", items))
    assert len(set(keys.values())) == 6
    said = [
        (keys[items[0].id, 0, 1], Answer(text="<answer>B</answer>", finish_reason="stop")),
        (keys[items[1].id, 0, 0], Answer(text="<answer>C</answer>", finish_reason="stop")),
        (keys[items[1].id, 0, 1], Answer(text="<answer>D</answer>", finish_reason="stop")),  # is in a row
        (keys[items[2].id, 0, 0], Answer.failure("503")),
    ]
    with Journal(folder.journal) as journal:
        journal.put(said)
    (told,) = rescore(folder.path)
    assert (told.recovered, told.missing, told.changes) == (2, 2, ())
    rows = {(row.source_id, row.sample): row.letter for row in folder.rows("toy")}
    assert rows == {("0", 0): "B", ("0", 1): "B", ("1", 0): "C", ("1", 1): "A"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"item_id": "unknown"}, "is of no item"), ({"protocol": "unknown"}, "under another protocol")],
)
def test_rows_of_another_run_are_refused(old: RunFolder, changes: dict[str, str], message: str) -> None:
    rows = [row.model_copy(update=changes) for row in old.rows("toy")]
    old.write_rows("toy", rows)
    with pytest.raises(DataError, match=message):
        rescore(old.path)
    assert old.rows("toy") == rows


LOADED = """
import sys
sys.argv = ["lpt-eval", "rescore", *{words!r}]
from lpt_eval.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
heavy = {{"torch", "transformers", "lmms_eval", "datasets", "vllm"}} & sys.modules.keys()
sys.stderr.write(f"{{code}} {{sorted(heavy)}}")
"""


def test_the_command_tells_what_changed_and_loads_no_model(old: RunFolder, tmp_path: Path) -> None:
    words = [str(old.path), "--out", str(tmp_path / "again")]
    code = LOADED.format(words=words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "0 []"
    assert "3 -> 1" in done.stdout
    assert "toy 0: unextractable -> correct (B)" in done.stdout
    assert done.stdout.endswith(f"2 answers are read otherwise; wrote {tmp_path / 'again'}\n")
