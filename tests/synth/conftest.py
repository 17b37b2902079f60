from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from lpt_core import (
    MCQ,
    Caption,
    ImageRef,
    Message,
    Presentation,
    Segment,
    Trace,
    Verdict,
)
from lpt_synth.types import CaptionTree, LongNode, MCQNode, ShortNode

Trees = Callable[..., list[CaptionTree]]
WORDS = ("the", "cat", "sat", "on", "a", "red", "mat", "beside", "two", "small", "blue", "jars")


def _trace(
    node: MCQNode, segments: tuple[Segment, ...], draw: random.Random, parent: str | None = None
) -> tuple[Trace, str | None]:
    """A trace with a random verdict, and which filter dropped it, if any."""
    option = draw.choice([node.mcq.gold, draw.randrange(4)])
    status = draw.choices(["found", "missing", "truncated"], [8, 1, 1])[0]
    found = status == "found"
    verdict = Verdict(
        status=status, option=option if found else None, correct=found and option == node.mcq.gold
    )
    trace = Trace.make(
        caption_id=node.mcq.caption_id,
        presentation=node.presentation,
        segments=segments,
        answer=draw.choice([f"({option})", f"option {option}"]) if found else status,
        verdict=verdict,
        parent=parent,
    )
    return trace, draw.choice([None] * 7 + ["banned_words"])


def _short(node: MCQNode, longs: int, draw: random.Random) -> ShortNode:
    text = " ".join(draw.choices(WORDS, k=draw.choice([1, 1, 3, 20])))
    thought = Segment(kind="thought", text=text)
    trace, dropped = _trace(node, (thought,), draw)
    short = ShortNode(trace, dropped)
    for _ in range(longs):
        added = " ".join(draw.choices(WORDS, k=draw.choice([1, 2, 30])))
        segments = (
            thought,
            Segment(kind="cue", text=".\nWait,"),
            Segment(kind="continuation", text=f" {added}"),
        )
        short.longs.append(LongNode(*_trace(node, segments, draw, trace.id)))
    return short


@pytest.fixture(scope="session")
def make_trees() -> Trees:
    """A builder of random captions with all that a run could have made of them; some of it unusable."""

    def make(
        seed: int = 0,
        captions: int = 2,
        questions: int = 3,
        shorts: int = 4,
        longs: int = 3,
        image: ImageRef | None = None,
    ) -> list[CaptionTree]:
        draw = random.Random(seed)
        trees: list[CaptionTree] = []
        for number in range(captions):
            shown = image or ImageRef(path=f"{number}.png", sha256=f"{number:064x}", width=4, height=3)
            caption = Caption.make(
                text=f"Caption {number} of {seed}.", image=shown, source="test", source_id=str(number)
            )
            tree = CaptionTree(caption)
            for index in range(questions):
                mcq = MCQ.make(
                    caption_id=caption.id,
                    question=f"Question {index}?",
                    options=("red", "blue", "None", "NA"),
                    gold=draw.randrange(4),
                )
                prompt = (Message.of("system", "Think."), Message.of("user", mcq.question, shown))
                node = MCQNode(mcq, Presentation.derive(mcq, seed), prompt)
                node.shorts = [_short(node, longs, draw) for _ in range(shorts)]
                tree.mcqs.append(node)
            trees.append(tree)
        return trees

    return make
