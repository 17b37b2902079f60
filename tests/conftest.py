"""Shared by all tests; imports nothing of LPT, so that isolated runs of one package can use it."""

from __future__ import annotations

from pathlib import Path

import pytest

RECORDED = Path(__file__).resolve().parents[2] / "shared" / "recorded"


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of really recorded model outputs; the test is skipped where it is absent."""
    if not (RECORDED / "docci_recorded.json").is_file():
        pytest.skip(f"the recorded model outputs are not at {RECORDED}")
    return RECORDED
