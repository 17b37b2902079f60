"""Lint of prompts: each planted fault is found, and nothing in sound ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpt_train.images import PixelPolicy
from lpt_train.lint import lint

Row = dict[str, Any]


def _other_order(rows: list[Row]) -> None:
    rows[3]["presentation"]["order"] = [1, 0, 2, 3]


def _other_image(rows: list[Row]) -> None:
    rows[3]["image"]["sha256"] = "0" * 64


def _open(rows: list[Row]) -> None:
    rows[3]["prompt"].append({"role": "assistant", "content": [{"type": "text", "text": "<think>"}]})


def _again(rows: list[Row]) -> None:
    rows[3] = rows[2]


def _other_question(rows: list[Row]) -> None:
    rows[3]["presentation"]["mcq_id"] = "f" * 32


def _column(rows: list[Row]) -> None:
    rows[3]["mcq"]["hint"] = "look left"


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (_other_order, "options_differ"),
        (_other_image, "image_differs"),
        (_open, "prompt_open"),
        (_again, "duplicate_id"),
        (_other_question, "bad_value"),
        (_column, "unknown_column"),
        (None, None),
    ],
)
def test_a_planted_fault_is_found_at_its_line(
    plant: Callable[[list[Row]], None] | None, kind: str | None, tiny_prompts: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_prompts.parent / "images", tmp_path / "images")
    rows = [json.loads(line) for line in tiny_prompts.read_text().splitlines()]
    if plant:
        plant(rows)
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = lint(path)
    kinds = {problem.kind for problem in report.problems}
    assert (kind in kinds) if kind else not kinds
    assert all(problem.where.startswith(f"{path}:4") for problem in report.problems)


def test_prompts_are_measured_in_tokens(tiny_model_dir: Path, tiny_prompts: Path) -> None:
    from lpt_train.encoding import Encoder
    from lpt_train.model import load_processor

    encoder = Encoder(load_processor(str(tiny_model_dir)), pixels=PixelPolicy(limit=84))
    report = lint(tiny_prompts, encoder=encoder, max_tokens=100)
    assert {problem.kind for problem in report.problems} == {"too_long"}
    assert len(report.problems) == 24
