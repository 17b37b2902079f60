from __future__ import annotations

from typing import Any

import pytest

from lpt_synth.config import SFTMix
from lpt_synth.select.question import read_question
from lpt_synth.select.sft import right_pool, right_quota, turned_count, turned_pool, turned_quota


def _question(bench: Any) -> Any:
    node = bench.question()
    right, wrong = bench.short(node, "right"), bench.short(node, "w" * 500, option=1)
    bench.long(node, right, "stays right")
    bench.long(node, right, "goes wrong", option=1)
    bench.long(node, wrong, "turned right")
    bench.long(node, wrong, "stays wrong", option=2)
    return read_question(node)


def test_right_pool_holds_right_thoughts_short_and_continued(bench: Any) -> None:
    pool = right_pool(_question(bench), SFTMix(), 1)
    assert {(c.kind, c.length) for c in pool} == {("short_right", 5), ("right_right", 22)}


def test_turned_pool_is_ranked_by_the_added_text_alone(bench: Any) -> None:
    question = _question(bench)
    (candidate,) = turned_pool(question, SFTMix(), 1)
    assert (candidate.kind, candidate.length) == ("wrong_right", len("\nWait,turned right"))
    assert turned_count(question, SFTMix()) == 1


@pytest.mark.parametrize("gone", ["short_right", "right_right", "wrong_right"])
def test_a_kind_that_is_not_wanted_is_in_no_pool(bench: Any, gone: Any) -> None:
    mix = SFTMix(kinds=tuple(k for k in SFTMix().kinds if k != gone))
    question = _question(bench)
    kinds = {c.kind for c in (*right_pool(question, mix, 1), *turned_pool(question, mix, 1))}
    assert kinds == set(mix.kinds)
    assert turned_count(question, mix) == ("wrong_right" in mix.kinds)


@pytest.mark.parametrize(
    ("share", "pool", "quota"),
    [(0.1, 30, 3), (0.1, 31, 4), (0.1, 1, 1), (0.1, 0, 0), (0.07, 100, 7), (1, 9, 9)],
)
def test_the_share_kept_is_rounded_up_from_the_decimal_that_was_written(
    share: float, pool: int, quota: int
) -> None:
    assert right_quota(SFTMix(keep_right=share), pool) == quota


def test_the_cap_bounds_the_share() -> None:
    assert right_quota(SFTMix(keep_right=0.5, max_right=3), 100) == 3
    assert right_quota(SFTMix(keep_right=0.5, max_right=80), 100) == 50


@pytest.mark.parametrize(("ratio", "right", "quota"), [(1.0, 7, 7), (0.5, 7, 3), (0, 7, 0), (None, 7, None)])
def test_turned_examples_are_in_proportion_to_the_right_ones(
    ratio: float | None, right: int, quota: int | None
) -> None:
    assert turned_quota(SFTMix(turned_per_right=ratio), right) == quota


def test_without_right_kinds_there_is_nothing_to_be_in_proportion_to() -> None:
    assert turned_quota(SFTMix(kinds=("wrong_right",)), 0) is None
    assert turned_quota(SFTMix(kinds=("short_right", "wrong_right")), 0) == 0
