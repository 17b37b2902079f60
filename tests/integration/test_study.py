"""The loop of all four packages, short: what is synthesised makes the lab's student measurably better."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STUDY = Path(__file__).resolve().parents[2] / "docs" / "study" / "study.py"


@pytest.mark.slow
def test_learning_from_long_thoughts_makes_the_student_better(tmp_path: Path) -> None:
    size = ("--seeds", "1", "--captions", "60", "--scenes", "75", "--arms", "sft")
    done = subprocess.run(
        [sys.executable, STUDY, "--out", tmp_path / "study", *size],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
    base, tuned = found["arms"]
    assert (base["name"], tuned["name"]) == ("base", "sft")
    assert found["questions"] == 300
    assert tuned["unreadable"] < 0.05
    assert tuned["words"] > 2 * base["words"]  # it looks again
    [claim] = found["claims"]
    assert claim["difference"] > 0, done.stdout
