from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
CAPTIONS = 8


def demo(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lpt_synth", "demo", "--out", str(folder), "--captions", str(CAPTIONS)]
    return subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert "Traceback" not in err
    return out


def files(folder: Path) -> dict[str, str]:
    """What each file of a folder holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def sent(folder: Path) -> int:
    status = subprocess.run(
        [sys.executable, "-m", "lpt_synth", "status", str(folder / "run"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    state = json.loads(status.stdout)
    assert state["complete"]
    return state["requests_sent"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A demonstration that went through, and what it said at the end."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    return folder, finished(demo(folder))


def test_it_ends_in_sets_and_a_summary(done: tuple[Path, str]) -> None:
    folder, said = done
    examples = [
        json.loads(line) for line in (folder / "run" / "sets" / "sft.jsonl").read_text("utf-8").splitlines()
    ]
    assert examples
    assert (folder / "run" / "sets" / "pairs.jsonl").stat().st_size
    assert {segment["kind"] for one in examples for segment in one["response"]} >= {
        "thought",
        "cue",
        "continuation",
        "answer",
    }
    for expected in ("One training example", "short thoughts that are right", str(folder / "trl"), "next:"):
        assert expected in said
    assert str(folder / "report.html") in said
    assert "Every line of the funnel" in (folder / "report.html").read_text("utf-8")
    card = (folder / "trl" / "README.md").read_text("utf-8")
    assert "simulated teacher" in card
    assert "lab-student-v1" in card


def test_it_shows_progress_within_ten_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    process = demo(tmp_path / "demo")
    assert process.stderr is not None
    line = process.stderr.readline()
    took = time.monotonic() - began
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert line.strip()
    assert took < 10


def test_run_again_it_asks_nothing(done: tuple[Path, str]) -> None:
    folder, _ = done
    before, asked = files(folder / "run" / "sets"), sent(folder)
    finished(demo(folder))
    assert sent(folder) == asked
    assert files(folder / "run" / "sets") == before


def test_killed_half_way_it_goes_on_and_ends_the_same(done: tuple[Path, str], tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = demo(folder, "--quiet")
    deadline = time.monotonic() + 200
    while not _thoughts(folder):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (folder / "run" / "sets").exists()
    finished(demo(folder))
    whole = done[0]
    # The cards and the copies of the configuration name folders; the sets name pictures by their path.
    assert _sets(folder) == _sets(whole)
    assert sent(folder) >= sent(whole)


def test_another_seed_is_another_world(done: tuple[Path, str], tmp_path: Path) -> None:
    finished(demo(tmp_path / "demo", "--seed", "1", "--level", "easy"))
    assert _sets(tmp_path / "demo") != _sets(done[0])


def test_a_changed_configuration_is_kept(done: tuple[Path, str]) -> None:
    folder, _ = done
    config = folder / "demo.yaml"
    original = config.read_text("utf-8")
    changed = original.replace("max_tokens: 256", "max_tokens: 128")
    assert changed != original
    config.write_text(changed, encoding="utf-8")
    try:
        assert "was changed" in finished(demo(folder))
        assert config.read_text("utf-8") == changed
    finally:
        config.write_text(original, encoding="utf-8")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    process = demo(tmp_path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "is no demonstration" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def _sets(folder: Path) -> list[str]:
    text = [(folder / "run" / "sets" / name).read_text("utf-8") for name in ("sft.jsonl", "pairs.jsonl")]
    return [one.replace(str(folder), "DEMO") for one in text]


def _thoughts(folder: Path) -> int:
    """How many short thoughts are in the store, seen from outside while the run goes on."""
    try:
        with closing(sqlite3.connect(f"file:{folder}/run/store.sqlite?mode=ro", uri=True)) as store:
            count = "SELECT count(*) FROM outcomes JOIN requests USING (key) WHERE stage = 'think'"
            return store.execute(count).fetchone()[0]
    except sqlite3.OperationalError:  # not there yet
        return 0
