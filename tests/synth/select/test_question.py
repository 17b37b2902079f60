from __future__ import annotations

from typing import Any

import pytest

from lpt_core import DataError, Segment, Trace
from lpt_synth.select.question import read_question


def test_dropped_and_unread_thoughts_are_not_used(bench: Any) -> None:
    node = bench.question()
    kept = bench.short(node, "kept")
    bench.short(node, "dropped", dropped="tags_in_thought")
    bench.short(node, "unread", option=None)
    bench.long(node, kept, "kept too")
    bench.long(node, kept, "dropped", dropped="banned_words")
    bench.long(node, kept, "unread", option=None)
    question = read_question(node)
    assert [thought.text for thought in question.right] == ["kept"]
    assert [long.text for long in question.right[0].longs] == ["kept\nWait,kept too"]
    assert question.wrong == []


def test_continuations_of_an_unusable_thought_are_not_used(bench: Any) -> None:
    node = bench.question()
    for option, dropped in ((0, "tags_in_thought"), (None, None)):
        bench.long(node, bench.short(node, f"s{option}", option, dropped), "right")
    question = read_question(node)
    assert question.right == question.wrong == []


def test_the_same_text_and_answer_count_once_with_the_continuations_of_both(bench: Any) -> None:
    node = bench.question()
    one, two = bench.short(node, "same", raw="(A)"), bench.short(node, "same", raw="A")
    assert one.trace.id != two.trace.id
    bench.long(node, one, "first")
    bench.long(node, one, "both")
    bench.long(node, two, "both")
    bench.long(node, two, "second")
    question = read_question(node)
    (kept,) = question.right
    assert kept.trace.id == min(one.trace.id, two.trace.id)
    assert {long.text[10:] for long in kept.longs} == {"first", "both", "second"}
    assert dict(question.duplicates) == {"short_right": 1, "right_right": 1}


def test_the_same_text_with_another_answer_is_no_duplicate(bench: Any) -> None:
    node = bench.question()
    bench.short(node, "same", 0)
    bench.short(node, "same", 1)
    question = read_question(node)
    assert (len(question.right), len(question.wrong)) == (1, 1)
    assert not question.duplicates


def test_a_continuation_whose_whole_text_is_a_short_thought_counts_once(bench: Any) -> None:
    node = bench.question()
    short = bench.short(node, "a")
    bench.short(node, "a\nWait,b")
    bench.long(node, short, "b")
    question = read_question(node)
    assert sorted(thought.text for thought in question.right) == ["a", "a\nWait,b"]
    assert all(not thought.longs for thought in question.right)
    assert dict(question.duplicates) == {"right_right": 1}


def test_a_continuation_of_another_thought_is_an_error_that_names_both(bench: Any) -> None:
    node = bench.question()
    short = bench.short(node, "a thought")
    long = bench.long(node, short, "more")
    strange = Trace.make(
        caption_id=long.trace.caption_id,
        presentation=node.presentation,
        segments=(Segment(kind="thought", text="A thought"), *long.trace.segments[1:]),
        answer="",
        verdict=long.trace.verdict,
        parent=short.trace.id,
    )
    long.trace = strange
    with pytest.raises(DataError, match=f"{strange.id} .* {short.trace.id}"):
        read_question(node)
