from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lpt_core import PreferencePair, SFTExample
from lpt_synth.config import PairMix, PairQuota, SelectConfig, SFTMix
from lpt_synth.select import Selection, select

ALL = SelectConfig(sft=SFTMix(keep_right=1, turned_per_right=None))


def _select(trees: Any, config: SelectConfig = ALL, seed: int = 42) -> Selection:
    return select(lambda: iter(trees), config, seed)


def _ids(selection: Selection) -> set[str]:
    return {record.id for record in selection.records()}


def _traces(trees: Any) -> dict[str, Any]:
    """Every trace by id, with whether some copy of it can be used."""
    traces: dict[str, Any] = {}
    for tree in trees:
        for node in tree.mcqs:
            for short in node.shorts:
                usable = short.dropped is None and short.trace.verdict.status == "found"
                found = traces.setdefault(short.trace.id, [short.trace, False])
                found[1] |= usable
                for long in short.longs:
                    fine = usable and long.dropped is None and long.trace.verdict.status == "found"
                    found = traces.setdefault(long.trace.id, [long.trace, False])
                    found[1] |= fine
    return traces


def _text(segments: Any) -> str:
    return "".join(segment.text for segment in segments)


def _first_thoughts(trees: Any) -> set[tuple[str, str, bool]]:
    """Every usable short thought: its question, its text, and whether it is right."""
    return {
        (node.mcq.id, short.trace.thought, short.trace.verdict.correct)
        for tree in trees
        for node in tree.mcqs
        for short in node.shorts
        if short.dropped is None and short.trace.verdict.status == "found"
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(seed=st.integers(0, 10_000), shorts=st.integers(0, 6), longs=st.integers(0, 4))
def test_examples_are_sound_on_random_trees(make_trees: Any, seed: int, shorts: int, longs: int) -> None:
    trees = make_trees(seed=seed, shorts=shorts, longs=longs)
    traces, firsts = _traces(trees), _first_thoughts(trees)
    for record in _select(trees).records():
        if isinstance(record, SFTExample):
            trace, usable = traces[record.trace_id]
            assert usable
            assert trace.verdict.correct
            _check_loss(record, record.response, firsts, wrong_first=record.kind == "wrong_right")
        else:
            _check_pair(record, traces)
            _check_loss(record, record.chosen, firsts, wrong_first=record.kind == "turned_over_wrong")


def _check_loss(record: Any, response: Any, firsts: Any, *, wrong_first: bool) -> None:
    assert (record.mcq_id, response[1].text, not wrong_first) in firsts
    assert [segment.loss for segment in response[:2]] == [not wrong_first] * 2
    assert all(segment.loss for segment in response[2:])


def _check_pair(pair: PreferencePair, traces: Any) -> None:
    (chosen, fine), (rejected, fine_too) = traces[pair.chosen_trace_id], traces[pair.rejected_trace_id]
    assert fine
    assert fine_too
    assert chosen.verdict.correct
    assert rejected.verdict.correct == (pair.kind == "compact_over_long")
    assert not any(segment.loss for segment in pair.rejected)
    if pair.kind != "right_over_wrong":
        # The same thought opens both sides, byte for byte, in the same segments.
        begin = [(segment.kind, segment.text) for segment in pair.chosen[:2]]
        assert [(segment.kind, segment.text) for segment in pair.rejected[:2]] == begin
        assert _text(pair.rejected).startswith(_text(pair.chosen[:2]))
    if pair.kind == "compact_over_long":
        assert len(rejected.thought) >= 1.5 * len(chosen.thought)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), draw=st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(make_trees: Any, seed: int, draw: random.Random) -> None:
    config = SelectConfig(
        sft=SFTMix(keep_right=0.3), pairs=PairMix(right_over_wrong=PairQuota(max=4, per_question=2))
    )
    one = _select(make_trees(seed=seed), config)
    shuffled = make_trees(seed=seed)
    draw.shuffle(shuffled)
    for tree in shuffled:
        draw.shuffle(tree.mcqs)
        for node in tree.mcqs:
            draw.shuffle(node.shorts)
            for short in node.shorts:
                draw.shuffle(short.longs)
    two = _select(shuffled, config)
    assert _ids(one) == _ids(two)
    assert one.counts == two.counts


@pytest.mark.parametrize("keep", [0.05, 0.1, 0.5, 1])
def test_quotas_and_counts_are_exact(make_trees: Any, keep: float) -> None:
    pairs = PairMix(
        right_over_wrong=PairQuota(max=7), short_over_spoiled=PairQuota(max=0), compact_ratio=1.01
    )
    config = SelectConfig(sft=SFTMix(keep_right=keep, turned_per_right=0.5), pairs=pairs)
    selection = _select(make_trees(seed=3, captions=6, shorts=6), config)
    counts, kinds = selection.counts, Counter(record.kind for record in selection.records())
    right = counts.sft_pool["short_right"] + counts.sft_pool["right_right"]
    kept = -(-right * int(keep * 100) // 100)
    assert kinds["short_right"] + kinds["right_right"] == kept
    assert kinds["wrong_right"] == min(kept // 2, counts.sft_pool["wrong_right"])
    assert kinds["right_over_wrong"] == 7
    assert kinds["short_over_spoiled"] == 0 < counts.pair_pool["short_over_spoiled"]
    assert kinds["turned_over_wrong"] == counts.pair_pool["turned_over_wrong"] > 0
    assert kinds == Counter({**counts.sft, **counts.pairs})


def test_per_question_caps_every_question(make_trees: Any) -> None:
    config = SelectConfig(pairs=PairMix(right_over_wrong=PairQuota(per_question=1)))
    selection = _select(make_trees(seed=3, captions=6, shorts=6), config)
    per = Counter(pair.mcq_id for pair in selection.pairs() if pair.kind == "right_over_wrong")
    assert set(per.values()) == {1}
    assert (
        len(per)
        == selection.counts.pairs["right_over_wrong"]
        < selection.counts.pair_pool["right_over_wrong"]
    )


def test_a_kind_that_is_off_gives_nothing(make_trees: Any) -> None:
    off = PairQuota(enabled=False)
    config = SelectConfig(
        pairs=PairMix(
            right_over_wrong=off, short_over_spoiled=off, turned_over_wrong=off, compact_over_long=off
        )
    )
    selection = _select(make_trees(), config)
    assert list(selection.pairs()) == []
    assert set(selection.counts.pairs.values()) == {0}
    assert list(selection.sft())


def test_the_iterators_give_the_same_records_in_the_order_of_the_captions(make_trees: Any) -> None:
    trees = make_trees(seed=9, captions=4)
    selection = _select(trees)
    records = list(selection.records())
    assert [r for r in records if isinstance(r, SFTExample)] == list(selection.sft())
    assert [r for r in records if isinstance(r, PreferencePair)] == list(selection.pairs())
    mcqs = [node.mcq.id for tree in trees for node in tree.mcqs]
    places = [mcqs.index(record.mcq_id) for record in records]
    assert places == sorted(places)
    assert [r.id for r in records] == [r.id for r in _select(trees).records()]


def test_no_record_comes_twice(make_trees: Any) -> None:
    trees = make_trees(seed=9, captions=4, shorts=8)
    ids = [record.id for record in _select([*trees, trees[0]]).records()]
    assert len(ids) == len(set(ids))
    texts = [(r.mcq_id, _text(r.response)) for r in _select(trees).sft()]
    assert len(texts) == len(set(texts))


def test_a_subset_of_captions_draws_in_the_same_order_within_each_question(make_trees: Any) -> None:
    trees = make_trees(seed=4, captions=8, shorts=6)

    def shares(chosen: Any) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for example in _select(chosen, SelectConfig(sft=SFTMix(keep_right=0.4))).sft():
            if example.kind != "wrong_right":
                found.setdefault(example.mcq_id, []).append(example.id)
        return found

    whole, part = shares(trees), shares(trees[:3])
    common = whole.keys() & part.keys()
    assert common
    for mcq in common:
        few, many = sorted((whole[mcq], part[mcq]), key=len)
        assert many[: len(few)] == few


def test_another_seed_selects_others(make_trees: Any) -> None:
    trees = make_trees(captions=6)
    config = SelectConfig(sft=SFTMix(keep_right=0.2))
    assert _ids(_select(trees, config, 1)) != _ids(_select(trees, config, 2))


def test_nothing_in_nothing_out() -> None:
    selection = _select([])
    assert list(selection.records()) == []
    assert selection.counts.questions == 0
    assert all(count == 0 for _, _, count in selection.counts.funnel())


def test_captions_without_questions_and_questions_without_thoughts(make_trees: Any) -> None:
    trees = [*make_trees(seed=1, questions=0), *make_trees(seed=2, shorts=0)]
    selection = _select(trees, SelectConfig())
    assert list(selection.records()) == []
    assert selection.counts.questions == 6


def test_the_funnel_has_every_kind_with_its_pool_and_what_was_taken(make_trees: Any) -> None:
    counts = _select(make_trees(), SelectConfig()).counts
    lines = {(stage, name): count for stage, name, count in counts.funnel()}
    assert lines["sft", "short_right.pool"] == counts.sft_pool["short_right"] > 0
    assert lines["pairs", "turned_over_wrong.taken"] == counts.pairs["turned_over_wrong"]
    assert len(lines) == len(counts.funnel())
