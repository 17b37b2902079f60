"""What each scorer makes of a real model: 240 thoughts of Qwen2.5-VL-7B-Instruct, recorded by the authors."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from lpt_eval.conformance.suite import Output, judged, kind_of

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "recorded" / "docci_recorded.json"

pytestmark = pytest.mark.skipif(not RECORDED.is_file(), reason=f"{RECORDED} is not here")


@pytest.fixture(scope="module")
def all_judged():
    outputs: list[Output] = []
    for image in json.loads(RECORDED.read_text(encoding="utf-8")).values():
        for mcq in image["mcqs"]:
            texts = tuple(text for _, text in mcq["presented_options"])
            outputs += [
                Output(
                    id=f"{mcq['mcq_id'][:8]} {number}",
                    form="think",
                    text=short["text"],
                    options=texts,
                    gold=texts.index(mcq["answer"]),
                )
                for number, short in enumerate(mcq["short"])
            ]
    return judged(outputs)


def test_what_becomes_of_them(all_judged) -> None:
    assert Counter(one.outcome for one in all_judged) == snapshot(Counter({"wrong": 82, "correct": 158}))


def test_how_many_each_scorer_counts_as_right(all_judged) -> None:
    assert Counter(
        name for one in all_judged for name, theirs in one.theirs.items() if theirs.right
    ) == snapshot(
        Counter(
            {
                "authors": 157,
                "mmstar": 158,
                "mme_realworld": 158,
                "vstar": 72,
                "mmlu_pro flexible": 57,
                "mmvp": 4,
            }
        )
    )


def test_how_they_differ(all_judged) -> None:
    counted = Counter(
        f"{name}: {kind}"
        for one in all_judged
        for name, theirs in one.theirs.items()
        if (kind := kind_of(one.ours, theirs))
    )
    assert counted == snapshot(
        Counter(
            {
                "cv_bench: unread": 82,
                "vstar: unread": 25,
                "mmvp: unread": 56,
                "mmlu_pro custom: unread": 82,
                "mmlu_pro flexible: unread": 25,
                "cv_bench: missed": 158,
                "vstar: missed": 86,
                "mmvp: missed": 154,
                "mmlu_pro custom: missed": 158,
                "mmlu_pro flexible: missed": 101,
                "authors: missed": 1,
                "mmvp: another": 4,
            }
        )
    )
