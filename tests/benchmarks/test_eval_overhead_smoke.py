"""An evaluation's cost beside bare lmms-eval's: small, and by CPU time, which a busy machine spoils least."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_lpt_eval_costs_no_more_than_bare_lmms_eval(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    script = Path(__file__).with_name("eval_overhead.py")
    command = [sys.executable, script, "--rounds", "3", "--n", "100", "--no-pin", "--json", record]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1), done.stderr[-3000:]  # 1: it took more, however little
    told = json.loads(record.read_text())
    assert len(told["rounds"]) == 3
    assert told["lpt-eval over lmms-eval"]["cpu_ms"] <= 1.1
