from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lpt_train.encoding import Encoder
from lpt_train.images import PixelPolicy
from lpt_train.lint import lint

Rows = list[dict[str, Any]]


def part(row: dict[str, Any], kind: str, field: str = "response") -> dict[str, Any]:
    return next(one for one in row[field] if one["kind"] == kind)


def user(row: dict[str, Any]) -> dict[str, Any]:
    """The text part of the user's turn."""
    return row["prompt"][1]["content"][1]


def add(kind: str, text: str, field: str = "response") -> Callable[[dict[str, Any]], None]:
    return lambda row: part(row, kind, field).update(text=part(row, kind, field)["text"] + text)


@pytest.fixture(scope="module")
def encoder(tiny_model_dir: Path) -> Encoder:
    from transformers import AutoProcessor

    return Encoder(AutoProcessor.from_pretrained(tiny_model_dir), pixels=PixelPolicy(limit=112))


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(["<think>", "</think>", "<answer>", "(A)", "A. x\n", "\n", "<|im_end|>"]), st.text()
    ),
    max_size=6,
).map("".join)
SEGMENTS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["format", "thought", "cue", "continuation", "answer"]),
            "text": TEXTS,
            "loss": st.booleans(),
        }
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=SEGMENTS, rejected=SEGMENTS, question=TEXTS, kind=st.sampled_from([0, 1, 2, 3]))
def test_no_text_makes_lint_raise(
    folder: Any, encoder: Encoder, chosen: Rows, rejected: Rows, question: str, kind: int
) -> None:
    row = folder.read("pairs.jsonl")[kind]
    row |= {"chosen": chosen, "rejected": rejected}
    user(row)["text"] = question
    report = lint(folder.write("hostile.jsonl", [row]), encoder=encoder, max_tokens=200)
    assert report.rows == 1
    assert report.text(most=None).isprintable() or "\n" in report.text()
    json.dumps(report.as_json())


def test_a_very_long_text_takes_no_time(folder: Any) -> None:
    begun = time.process_time()
    report = folder.change("sft.jsonl", lambda rows: add("thought", "a (" * 200_000)(rows[2]))
    assert time.process_time() - begun < 5
    assert report.errors == ()
