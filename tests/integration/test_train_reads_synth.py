"""What synthesis writes, training reads: sets of really recorded models, without a fault."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpt_train.lint import lint
from lpt_train.rows import read_pairs, read_sft

pytestmark = pytest.mark.slow
Lpt = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folders(
    lpt: Lpt, replay: Callable[..., Any], recorded: Path, images: Path, tmp_path: Path
) -> tuple[Path, Path]:
    """A run's sets, and their export."""
    captions = recorded / "docci_descriptions.jsonlines"
    for line in (
        ("init", "c.yaml", "--recipe", "paper", "--captions", captions, "--images", images,
         "--base-url", replay().url, "--short-cots", "10", "--long-cots", "3"),
        ("run", "c.yaml", "--out", "run"),
        ("export", "run", "--format", "jsonl", "--to", "out"),
    ):  # fmt: skip
        made = lpt(*line)
        assert made.returncode == 0, made.stderr
    return tmp_path / "run" / "sets", tmp_path / "out"


def test_lint_finds_no_error_in_sets_of_recorded_models(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        for name in ("sft.jsonl", "pairs.jsonl"):
            report = lint(folder / name)
            # The replaying server translates (D) into the order shown, but not a bare D in a sentence.
            assert set(report.kinds) == {"thought_contradicts"}
            assert report.errors == ()
            assert report.rows > 50
            answers = report.statistics["answers"]
            assert isinstance(answers, dict)
            assert sum(int(str(count)) for count in answers.values()) == report.rows, (
                "every answer is one of the options that its prompt shows"
            )


def test_an_export_is_the_run_moved(folders: tuple[Path, Path]) -> None:
    sets, out = folders
    for read in (read_sft, read_pairs):
        name = "sft.jsonl" if read is read_sft else "pairs.jsonl"
        before, after = read(sets / name), read(out / name)
        assert [row.id for row in before] == [row.id for row in after]
        for row in after:
            assert Path(row.image.path).is_relative_to(out)
