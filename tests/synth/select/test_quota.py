from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpt_synth.select.quota import Cut, Pool, question_hash


def _pool(sizes: list[int]) -> tuple[Pool, list[tuple[int, int]]]:
    """A pool of questions with these many candidates, and each question's hash with its number."""
    pool = Pool()
    questions = [(question_hash(1, "t", str(index)), size) for index, size in enumerate(sizes)]
    for hashed, size in questions:
        pool.add(hashed, bytes(size))
    return pool, questions


def test_an_empty_pool_gives_nothing_whatever_is_asked() -> None:
    for quota in (None, 0, 5):
        cut = Pool().cut(quota)
        assert cut.count(123, 10) == 0
        assert Pool().taken(cut).total() == 0


def test_every_question_gets_one_before_any_gets_two() -> None:
    pool, questions = _pool([5] * 10)
    cut = pool.cut(13)
    shares = sorted(cut.count(hashed, size) for hashed, size in questions)
    assert shares == [1] * 7 + [2] * 3


def test_fewer_places_than_questions() -> None:
    pool, questions = _pool([5] * 10)
    cut = pool.cut(3)
    winners = {hashed for hashed, size in questions if cut.count(hashed, size)}
    assert winners == set(sorted(hashed for hashed, _ in questions)[:3])
    assert sum(cut.count(hashed, size) for hashed, size in questions) == 3


def test_a_quota_of_nothing_takes_nothing() -> None:
    pool, questions = _pool([3, 4])
    assert sum(pool.cut(0).count(hashed, size) for hashed, size in questions) == 0


@given(st.lists(st.integers(0, 6), max_size=30), st.one_of(st.none(), st.integers(0, 100)))
def test_quotas_are_exact_and_told_by_the_cut_alone(sizes: list[int], quota: int | None) -> None:
    pool, questions = _pool(sizes)
    cut = pool.cut(quota)
    wanted = len(pool) if quota is None else min(quota, len(pool))
    assert sum(cut.count(hashed, size) for hashed, size in questions) == wanted
    assert pool.taken(cut).total() == wanted


@given(st.lists(st.integers(0, 6), max_size=30), st.integers(0, 100), st.randoms())
def test_order_of_questions_does_not_matter(sizes: list[int], quota: int, draw: random.Random) -> None:
    pool, questions = _pool(sizes)
    draw.shuffle(questions)
    other = Pool()
    for hashed, size in questions:
        other.add(hashed, bytes(size))
    assert other.cut(quota) == pool.cut(quota)


@pytest.mark.parametrize(("quota", "expected"), [(2, {0: 2}), (3, {0: 2, 1: 1}), (5, {0: 2, 1: 3})])
def test_labels_are_counted_by_depth(quota: int, expected: dict[int, int]) -> None:
    pool = Pool()
    pool.add(10, [0, 1])
    pool.add(20, [0, 1, 1])
    assert dict(pool.taken(pool.cut(quota))) == expected
    assert dict(pool.labels) == {0: 2, 1: 3}


def test_a_cut_at_a_depth_without_a_hash_takes_what_lies_above() -> None:
    assert [Cut(2).count(hashed, 5) for hashed in (0, 2**64 - 1)] == [2, 2]
