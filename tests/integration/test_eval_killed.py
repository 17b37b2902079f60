"""Runs that are killed outright, at T > 0 with several samples, and go on to what they would have been."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lpt_eval.folder import RunFolder
from lpt_eval.journal import Journal
from lpt_synth.lab.student import shipped_student
from lpt_synth.lab.world import World, write_held_out

pytestmark = pytest.mark.slow

DRAWN = ("--temperature", "1", "--samples", "2", "--seed", "7", "--max-tokens", "40", "--max-failures", "1")


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("lab")
    write_held_out(folder, World(split="test"), 4, per_scene=2)
    return f"mcq_file={folder}"


def content(run: Path) -> dict[str, Any]:
    """All that a run's folder says, but for how long it took."""
    files = {path.relative_to(run): path for path in run.rglob("*") if path.is_file()}
    found: dict[str, Any] = {
        str(name): path.read_bytes() for name, path in files.items() if "journal" not in name.name
    }
    found["rows/mcq_file.jsonl"] = [
        row.model_copy(update={"seconds": None}) for row in RunFolder(run).rows("mcq_file")
    ]
    return found


def journaled(run: Path) -> int:
    if not (run / "journal.sqlite").exists():
        return 0
    with Journal(run / "journal.sqlite") as journal:
        return len(journal)


def test_a_run_against_a_server(scripted, lpt_eval, task, tmp_path) -> None:
    """Killed by the server in the middle of an answer; what was answered is not asked again."""
    victim: list[int] = []
    numbers = count()

    def say(body: dict[str, Any]) -> str:
        if next(numbers) == 16 + 6:
            os.kill(victim[0], signal.SIGKILL)
        drawn = hashlib.sha256(json.dumps([body["seed"], body["messages"]]).encode()).hexdigest()
        return f"<think>{drawn}</think> <answer>({'ABCD'[int(drawn, 16) % 4]})</answer>"

    scripted.say = say
    how = ["run", "served", "--server", scripted.url, "--task", task, *DRAWN, "--concurrency", "2"]
    assert lpt_eval(*how, "--out", tmp_path / "whole").status == 0
    assert len(scripted.bodies) == 16
    scripted.bodies.clear()

    first = subprocess.Popen([sys.executable, "-m", "lpt_eval", *map(str, how), "--out", tmp_path / "run"])
    victim.append(first.pid)
    assert first.wait(300) == -signal.SIGKILL
    assert RunFolder(tmp_path / "run").rows("mcq_file") == []
    kept = journaled(tmp_path / "run")
    assert 4 <= kept <= 7
    scripted.bodies.clear()
    ended = lpt_eval(*how, "--out", tmp_path / "run")
    assert ended.status == 0
    assert f"{kept} of 16 answers are in the journal" in ended.out
    assert len(scripted.bodies) == 16 - kept
    assert content(tmp_path / "run") == content(tmp_path / "whole")
    texts = [row.text for row in RunFolder(tmp_path / "run").rows("mcq_file")]
    assert len(set(texts)) == 16


def test_a_run_of_a_model_in_the_process(lpt_eval, task, tmp_path) -> None:
    """Killed between two batches; the samples that follow are those that would have followed."""
    run = tmp_path / "run"
    with shipped_student() as student:
        how = ["run", student, "--device", "cpu", "--task", task, *DRAWN, "--batch-size", "3"]
        command = [sys.executable, "-m", "lpt_eval", *map(str, how), "--out", run]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
            assert first.stdout is not None
            assert any(line.startswith("6 of 16 answers") for line in first.stdout)
            first.kill()
        assert first.returncode == -signal.SIGKILL
        assert RunFolder(run).rows("mcq_file") == []
        kept = journaled(run)
        assert 6 <= kept < 16
        ended = lpt_eval(*how, "--out", run)
        assert ended.status == 0
        assert f"{kept} of 16 answers are in the journal" in ended.out
        assert lpt_eval(*how, "--out", tmp_path / "whole").status == 0
    assert content(run) == content(tmp_path / "whole")
    texts = [row.text for row in RunFolder(run).rows("mcq_file")]
    assert sum(a != b for a, b in zip(texts[::2], texts[1::2], strict=True)) >= 2
