"""The benchmark's own parts at work, small and without peers, so that it cannot rot unseen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SPEED = Path(__file__).resolve().parent / "speed.py"


def speed(*arguments: str, to: Path) -> tuple[int, str, dict[str, Any]]:
    """(exit status, standard output, the JSON record) of the benchmark with these arguments."""
    command = [sys.executable, str(SPEED), *arguments, "--json", str(to)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert to.is_file(), done.stderr
    return done.returncode, done.stdout, json.loads(to.read_text())


@pytest.mark.slow
def test_a_small_benchmark_keeps_every_answer_and_asks_for_each_once(tmp_path: Path) -> None:
    status, printed, record = speed(
        "--rounds", "2", "--n", "300", "--clients", "bare,lpt", to=tmp_path / "record.json"
    )
    assert [[run["client"] for run in runs] for runs in record["rounds"]] == [
        ["bare", "lpt"],
        ["lpt", "bare"],
    ]
    runs = [run for runs in record["rounds"] for run in runs]
    assert [run["error"] for run in runs] == [""] * 4
    assert all(run["sent"] == run["kept"] == 300 for run in runs)
    ours = [run for run in runs if run["client"] == "lpt"]
    assert all(run["stored_bytes"] > 300 * 500 for run in ours)
    # The target is 0.6 ms; here starting up counts for much, and a loaded machine for more.
    assert all(run["cpu_s"] / 300 < 0.02 for run in ours)
    assert status == (0 if all(target["met"] for target in record["targets"]) else 1)
    assert len(record["targets"]) == 3
    assert printed.count("| met |") + printed.count("| MISSED |") == 3


@pytest.mark.slow
def test_refused_prompts_cost_one_request_each_and_no_other_answer(tmp_path: Path) -> None:
    status, printed, record = speed("--cases", "poison", "--clients", "lpt", to=tmp_path / "record.json")
    (run,) = record["cases"]["poison"]
    assert (run["error"], run["kept"], run["sent"]) == ("", 1_990, 2_000)
    assert status == 0
    assert "1990 kept, 2000 sent" in printed
