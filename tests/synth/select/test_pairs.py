from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from lpt_synth.select.pairs import KINDS, deal, groups, pair_count
from lpt_synth.select.question import read_question


def _texts(kind: Any, question: Any, seed: int = 1, limit: int = 100, ratio: float = 1.5) -> Any:
    pairs = deal(kind, groups(kind, question, ratio), seed, limit)
    return [(chosen.thought, rejected.thought) for chosen, rejected in pairs]


def test_each_kind_pairs_what_it_says(bench: Any) -> None:
    node = bench.question()
    right, wrong = bench.short(node, "right"), bench.short(node, "wrong", 1)
    bench.long(node, right, "long and right")
    bench.long(node, right, "spoiled", 2)
    bench.long(node, wrong, "turned")
    question = read_question(node)
    assert _texts("right_over_wrong", question) == [("right", "wrong")]
    assert _texts("short_over_spoiled", question) == [("right", "right\nWait,spoiled")]
    assert _texts("turned_over_wrong", question) == [("wrong\nWait,turned", "wrong")]
    assert _texts("compact_over_long", question) == [("right", "right\nWait,long and right")]


def test_a_turned_thought_is_set_against_its_own_short_thought_or_siblings_only(bench: Any) -> None:
    node = bench.question()
    for name in ("one", "two"):
        short = bench.short(node, name, 1)
        for index in range(3):
            bench.long(node, short, f"turned {index}")
        bench.long(node, short, "stayed wrong", 2)
    pairs = _texts("turned_over_wrong", read_question(node))
    assert len(pairs) == 6
    for chosen, rejected in pairs:
        assert rejected.startswith(chosen.split("\n")[0])
        assert rejected.endswith(("stayed wrong", chosen.split("\n")[0]))


@pytest.mark.parametrize(("added", "pairs"), [("1234", 1), ("123", 0)])
def test_compactness_wants_the_whole_thought_one_and_a_half_times_as_long(
    bench: Any, added: str, pairs: int
) -> None:
    node = bench.question()
    short = bench.short(node, "x" * 20)  # and six characters of cue
    bench.long(node, short, added)
    assert len(_texts("compact_over_long", read_question(node))) == pairs


def test_every_positive_is_used_once_and_negatives_equally_often(bench: Any) -> None:
    node = bench.question()
    for index in range(11):
        bench.short(node, f"right {index}")
    for index in range(4):
        bench.short(node, f"wrong {index}", 1)
    pairs = _texts("right_over_wrong", read_question(node))
    assert len({chosen for chosen, _ in pairs}) == len(pairs) == 11
    assert sorted(Counter(rejected for _, rejected in pairs).values()) == [2, 3, 3, 3]


@pytest.mark.parametrize("limit", range(5))
def test_the_first_pairs_are_dealt_evenly_too(bench: Any, limit: int) -> None:
    node = bench.question()
    for index in range(6):
        bench.short(node, f"right {index}")
        bench.short(node, f"wrong {index}", 1)
    question = read_question(node)
    pairs = _texts("right_over_wrong", question, limit=limit)
    assert pairs == _texts("right_over_wrong", question)[:limit]
    assert len({rejected for _, rejected in pairs}) == limit


def test_no_place_among_the_candidates_is_favoured(bench: Any) -> None:
    node = bench.question()
    for index in range(3):
        bench.short(node, f"right {index}")
        bench.short(node, f"wrong {index}", 1)
    question = read_question(node)
    first = Counter(_texts("right_over_wrong", question, seed)[0] for seed in range(900))
    assert len(first) == 9
    assert all(60 < count < 145 for count in first.values())


def test_counting_needs_no_dealing(make_trees: Any) -> None:
    for tree in make_trees(seed=5, captions=5):
        for node in tree.mcqs:
            question = read_question(node)
            for kind in KINDS:
                found = groups(kind, question, 1.5)
                assert pair_count(found) == len(deal(kind, found, 1, 10**6))
