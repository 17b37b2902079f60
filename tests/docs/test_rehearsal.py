from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_readmes_first_command_goes_through_to_a_training_example(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "rehearsal.py", tmp_path / "rehearsal"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "<think> " in done.stdout
    assert (tmp_path / "rehearsal" / "trl" / "README.md").is_file()
