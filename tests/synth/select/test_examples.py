from __future__ import annotations

from typing import Any

import pytest

from lpt_core import parse_answer
from lpt_synth.select.examples import preference_pair, response, sft_example


def _loss(segments: Any) -> list[tuple[str, str, bool]]:
    return [(segment.kind, segment.text, segment.loss) for segment in segments]


@pytest.fixture
def turned(bench: Any) -> Any:
    node = bench.question()
    short = bench.short(node, "It is blue.", 1)
    long = bench.long(node, short, " it is red.", cue="\nHmm,")
    worse = bench.long(node, short, " it is green.", 2, cue="\nHmm,")
    return node, short.trace, long.trace, worse.trace


def test_a_wrong_first_thought_and_the_tag_that_opens_it_bear_no_loss(turned: Any) -> None:
    node, _, long, _ = turned
    answer = node.presentation.render_answer(node.mcq, 0)
    assert _loss(response(node, long, "added")) == [
        ("format", "<think> ", False),
        ("thought", "It is blue.", False),
        ("cue", "\nHmm,", True),
        ("continuation", " it is red.", True),
        ("format", " </think> <answer> ", True),
        ("answer", answer, True),
        ("format", " </answer>", True),
    ]


def test_a_right_thought_bears_loss_throughout(bench: Any) -> None:
    node = bench.question()
    short = bench.short(node, "It is red.")
    long = bench.long(node, short, " yes.")
    for trace, kind in ((short.trace, "short_right"), (long.trace, "right_right")):
        example = sft_example(kind, node, bench.tree().caption.image, trace)
        assert all(segment.loss for segment in example.response)
        assert example.text == (
            f"<think> {trace.thought} </think> <answer> "
            f"{node.presentation.render_answer(node.mcq, 0)} </answer>"
        )


def test_the_answer_is_written_in_the_style_asked_for_whatever_the_model_wrote(bench: Any) -> None:
    for name in "abcdefgh":
        node = bench.question(name)
        trace = bench.short(node, "Red.", raw="**(a)** so there").trace
        text = sft_example("short_right", node, bench.tree().caption.image, trace).text
        read = parse_answer(text, node.presentation.shown(node.mcq))
        assert node.presentation.order[read.option] == 0
        assert "**" not in text


def test_a_rejected_response_bears_no_loss_and_a_chosen_one_that_of_its_sft_example(
    turned: Any, bench: Any
) -> None:
    node, short, long, worse = turned
    image = bench.tree().caption.image
    for rejected in (short, worse):
        pair = preference_pair("turned_over_wrong", node, image, long, rejected)
        assert pair.chosen == sft_example("wrong_right", node, image, long).response
        assert not any(segment.loss for segment in pair.rejected)


def test_ids_tell_kinds_and_sides_apart(turned: Any, bench: Any) -> None:
    node, short, long, worse = turned
    image = bench.tree().caption.image
    ids = {
        preference_pair("turned_over_wrong", node, image, long, short).id,
        preference_pair("turned_over_wrong", node, image, long, worse).id,
        preference_pair("right_over_wrong", node, image, long, short).id,
        preference_pair("right_over_wrong", node, image, short, long).id,
        sft_example("right_right", node, image, long).id,
        sft_example("wrong_right", node, image, long).id,
    }
    assert len(ids) == 6
