"""Whatever a person gives to the command line: a sentence and an exit status, never a traceback."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Lpt = Callable[..., subprocess.CompletedProcess[str]]
ENDS = "\n".join(
    f'  {role}: {{base_url: "http://127.0.0.1:9/v1", model: m, patience_s: 0.2, max_attempts: 2}}'
    for role in ("asker", "thinker", "expander")
)
CONFIG = f"""\
source: {{kind: folder, captions: scenes}}
endpoints:
{ENDS}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    from PIL import Image

    (tmp_path / "scenes").mkdir()
    Image.new("RGB", (40, 30), "red").save(tmp_path / "scenes" / "a.png")
    (tmp_path / "scenes" / "a.txt").write_text("A red picture.")
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "junk.bin").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "odd.jsonl").write_text('{"x": 1}\n')
    (tmp_path / "latin.yaml").write_bytes("source: é".encode("latin-1"))
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("", 2, "Usage"),
        ("walk", 2, "No such command"),
        ("run", 2, "Missing"),
        ("run c.yaml", 2, "--out"),
        ("run nowhere.yaml --out run", 2, "nowhere.yaml cannot be read"),
        ("run scenes --out run", 2, "cannot be read"),
        ("run junk.bin --out run", 2, "junk.bin"),
        ("run latin.yaml --out run", 2, "latin.yaml"),
        ("run c.yaml --out junk.bin", 1, "is a file"),
        ("run c.yaml --out letters", 1, "is no run directory"),
        ("run c.yaml --out run --max-cost -1", 2, "max-cost"),
        ("run c.yaml --out run --max-cost much", 2, "max-cost"),
        ("plan nowhere.yaml --out run", 2, "cannot be read"),
        ("status nowhere", 2, "is no run directory"),
        ("status letters", 2, "is no run directory"),
        ("status junk.bin", 2, "is no run directory"),
        ("export nowhere --format trl --to out", 2, "is no run directory"),
        ("export letters --format csv --to out", 2, "csv"),
        ("show-recipe soup", 2, "no recipe 'soup'"),
        ("init new.yaml --captions scenes", 2, "--base-url"),
        ("init new.yaml --captions nowhere.jsonl --base-url http://h/v1", 1, "nowhere.jsonl"),
        ("init new.yaml --captions empty.jsonl --base-url http://h/v1", 1, "empty.jsonl"),
        ("init new.yaml --captions odd.jsonl --base-url http://h/v1", 1, "odd.jsonl"),
        ("init new.yaml --captions junk.bin --base-url http://h/v1", 1, "junk.bin"),
        ("init new.yaml --captions scenes --base-url ftp://h", 2, "not an http"),
        ("init new.yaml --captions scenes --base-url http://h/v1 --recipe soup", 2, "no recipe"),
        ("init new.yaml --captions scenes --base-url http://h/v1 --short-cots 0", 2, "short-cots"),
        ("init c.yaml --captions scenes --base-url http://h/v1", 2, "is there already"),
    ],
)
def test_misuse_ends_in_a_sentence(here: Path, lpt: Lpt, command: str, code: int, words: str) -> None:
    done = lpt(*command.split())
    said = done.stderr + done.stdout
    assert done.returncode == code, said
    assert words in said
    assert "Traceback" not in said
    assert not (here / "new.yaml").exists()


def test_an_endpoint_where_nobody_is_stops_the_run_with_its_address(here: Path, lpt: Lpt) -> None:
    done = lpt("run", "c.yaml", "--out", "run")
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert lpt("status", "run", "--json").returncode == 0


def test_a_store_that_is_damaged_is_said_so(here: Path, lpt: Lpt) -> None:
    lpt("run", "c.yaml", "--out", "run")
    for name in ("store.sqlite-wal", "store.sqlite-shm"):
        (here / "run" / name).unlink(missing_ok=True)
    (here / "run" / "store.sqlite").write_bytes(b"SQLite format 3\0" + bytes(range(1, 250)) * 40)
    for command in (("status", "run"), ("run", "c.yaml", "--out", "run")):
        done = lpt(*command)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "store.sqlite" in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr


def test_captions_that_went_away_are_said_so(here: Path, lpt: Lpt) -> None:
    lpt("run", "c.yaml", "--out", "run")
    shutil.rmtree(here / "scenes")
    done = lpt("status", "run")
    assert done.returncode == 1
    assert "scenes" in done.stderr
    assert "Traceback" not in done.stderr
