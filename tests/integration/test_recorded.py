"""The acceptance on real captions and really recorded model outputs: counts, faults, kills, secrets."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Lpt = Callable[..., subprocess.CompletedProcess[str]]
EXPLAIN = Path(__file__).with_name("explain_recorded.py")
KILLS = 20
IN_FLIGHT = 8  # for each of three endpoints, in the run that is killed


def init(lpt: Lpt, recorded: Path, images: Path, url: str, name: str = "c.yaml") -> None:
    made = lpt(
        "init", name, "--recipe", "paper", "--captions", recorded / "docci_descriptions.jsonlines",
        "--images", images, "--base-url", url, "--short-cots", "10", "--long-cots", "3", "--cue", "Wait,",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr


def export_all(lpt: Lpt, run: Path, to: Path) -> dict[str, bytes]:
    """Every file of every export, by its name."""
    for form in ("trl", "llama-factory", "jsonl"):
        made = lpt("export", run, "--format", form, "--to", to / form)
        assert made.returncode == 0, made.stderr
    files = sorted(path for path in to.rglob("*") if path.is_file())
    return {str(path.relative_to(to)): path.read_bytes() for path in files}


@pytest.fixture
def faultless(
    lpt: Lpt, replay: Callable[..., Any], recorded: Path, images: Path, tmp_path: Path
) -> dict[str, bytes]:
    """The exports of a run without faults."""
    init(lpt, recorded, images, replay().url, "faultless.yaml")
    done = lpt("run", "faultless.yaml", "--out", "faultless")
    assert done.returncode == 0, done.stderr + done.stdout
    return export_all(lpt, tmp_path / "faultless", tmp_path / "faultless-out")


# ---- 1. real input ---------------------------------------------------------------------------------


def test_recorded_models_give_the_recorded_counts(
    lpt: Lpt, replay: Callable[..., Any], recorded: Path, images: Path, tmp_path: Path
) -> None:
    server = replay()
    init(lpt, recorded, images, server.url)
    done = lpt("run", "c.yaml", "--out", "run")
    assert done.returncode == 0, done.stderr + done.stdout
    state = json.loads(lpt("status", "run", "--json").stdout)
    assert (state["captions"], state["mcqs"]) == (3, 24)
    assert state["short_cots"] == {"requested": 240, "parsed": 240, "correct": 158}
    assert state["long_cots"]["requested"] == 720
    assert (state["failed"], state["complete"]) == (0, True)
    assert server.served() == 3 + 24 + 240
    # The thinker and the expander were probed; the server refuses such questions, and that is counted too.
    assert state["requests_sent"] == server.served() + 2

    # The server gives a few thoughts other continuations than were recorded; each has its reason.
    explained = subprocess.run(
        [sys.executable, EXPLAIN, tmp_path / "run", recorded / "docci_recorded.json"],
        capture_output=True,
        text=True,
    )
    assert explained.returncode == 0, explained.stdout + explained.stderr
    moved = [json.loads(line) for line in explained.stdout.splitlines()[:-1]]
    assert len(moved) <= 24
    for status, recorded_count in (("parsed", 682), ("correct", 665)):
        change = sum(_count(row["got"], status) - _count(row["recorded"], status) for row in moved)
        assert state["long_cots"][status] == recorded_count + change


def _count(readings: list[list[Any]], what: str) -> int:
    return sum(right if what == "correct" else status == "found" for status, right in readings)


# ---- 2. faults -------------------------------------------------------------------------------------


def test_faults_change_no_byte(
    lpt: Lpt,
    replay: Callable[..., Any],
    recorded: Path,
    images: Path,
    tmp_path: Path,
    faultless: dict[str, bytes],
) -> None:
    server = replay("--fault-rate", "0.3")
    init(lpt, recorded, images, server.url)
    done = lpt("run", "c.yaml", "--out", "run")
    assert done.returncode == 0, done.stderr + done.stdout
    state = json.loads(lpt("status", "run", "--json").stdout)
    assert (state["failed"], state["complete"]) == (0, True)
    stats = server.stats()
    assert sum(stats["faults"].values()) > 50
    assert stats["repeated"] == 0
    served = sum(stats["served"].values())
    assert served == 3 + 24 + 240
    # All that was sent is accounted for: what was answered, what failed on purpose, and the two probes.
    assert state["requests_sent"] == served + sum(stats["faults"].values()) + 2
    assert export_all(lpt, tmp_path / "run", tmp_path / "out") == faultless


# ---- 3. kill -9 ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kill_9_loses_nothing_and_pays_nothing_twice(
    lpt: Lpt,
    replay: Callable[..., Any],
    recorded: Path,
    images: Path,
    tmp_path: Path,
    faultless: dict[str, bytes],
) -> None:
    server = replay("--latency-ms", "400")
    init(lpt, recorded, images, server.url)
    text = (tmp_path / "c.yaml").read_text()
    (tmp_path / "c.yaml").write_text(re.sub(r"(model: .*)", rf"\1\n    concurrency: {IN_FLIGHT}", text))
    draw, lost, kills = random.Random(7), 0, 0
    while kills < KILLS:
        child = subprocess.Popen(
            [sys.executable, "-m", "lpt_synth", "run", "c.yaml", "--out", "run", "--quiet"],
            cwd=tmp_path,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        begun, before = time.monotonic(), server.served()
        # At a random moment: sometimes before the first request, mostly with requests under way.
        while server.served() == before and time.monotonic() - begun < draw.choice([0.5, 10, 10, 10]):
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.7))
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        time.sleep(0.5)  # what the server was answering at the kill is answered, to nobody
        kills += 1
        served, stored = server.served(), calls_stored(tmp_path / "run")
        assert served - stored - lost <= 3 * IN_FLIGHT, "more was lost than can have been in flight"
        lost = served - stored
    done = lpt("run", "c.yaml", "--out", "run")
    assert done.returncode == 0, done.stderr + done.stdout
    stats = server.stats()
    assert sum(stats["served"].values()) == 3 + 24 + 240 + lost
    assert stats["repeated"] == lost, "only what was in flight at a kill was asked again"
    assert calls_stored(tmp_path / "run") == 3 + 24 + 240
    assert export_all(lpt, tmp_path / "run", tmp_path / "out") == faultless


def calls_stored(run: Path) -> int:
    if not (run / "store.sqlite").exists():
        return 0
    connection = sqlite3.connect(run / "store.sqlite")
    try:
        return connection.execute("SELECT count(*) FROM calls").fetchone()[0]
    except sqlite3.OperationalError:
        return 0  # killed before the tables were made
    finally:
        connection.close()


# ---- 6. secrets ------------------------------------------------------------------------------------


def test_a_key_is_found_in_no_file_and_no_message(
    lpt: Lpt, replay: Callable[..., Any], recorded: Path, images: Path, tmp_path: Path
) -> None:
    key = "sk-test-1f8e2b7c9d"
    server = replay("--fault-rate", "0.3")
    init(lpt, recorded, images, server.url)
    text = (tmp_path / "c.yaml").read_text()
    (tmp_path / "c.yaml").write_text(re.sub(r"(model: .*)", r"\1\n    api_key_env: LPT_TEST_KEY", text))
    outputs = [lpt("run", "c.yaml", "--out", "run")]
    assert outputs[0].returncode == 2, "the variable is not set"
    assert "LPT_TEST_KEY" in outputs[0].stderr + outputs[0].stdout
    for command in (
        ("plan", "c.yaml", "--out", "run"),
        ("run", "c.yaml", "--out", "run"),
        ("status", "run", "--json"),
        ("export", "run", "--format", "trl", "--to", "out"),
    ):
        outputs.append(lpt(*command, env={"LPT_TEST_KEY": key}))
        assert outputs[-1].returncode == 0, outputs[-1].stderr
    assert not any(key in output.stdout + output.stderr for output in outputs)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [str(path) for path in files if key.encode() in path.read_bytes()] == []
