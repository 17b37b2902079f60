from __future__ import annotations

import pytest

from lpt_core import MCQ, Caption, ImageRef, Message, Presentation, Segment, Trace, Verdict
from lpt_synth.types import CaptionTree, LongNode, MCQNode, ShortNode

RIGHT = 0


class Bench:
    """Builds trees by hand: a thought is a text and the option that it led to (0 is right)."""

    def question(
        self, name: str = "?", options: tuple[str, ...] = ("red", "blue", "green", "none of them")
    ) -> MCQNode:
        mcq = MCQ.make(caption_id="c" * 32, question=name, options=options, gold=0)
        prompt = (Message.of("system", "Think."), Message.of("user", name))
        return MCQNode(mcq, Presentation.derive(mcq, 1), prompt)

    def short(
        self, node: MCQNode, text: str, option: int | None = RIGHT, dropped: str | None = None, raw: str = ""
    ) -> ShortNode:
        short = ShortNode(self._trace(node, (Segment(kind="thought", text=text),), option, raw), dropped)
        node.shorts.append(short)
        return short

    def long(
        self,
        node: MCQNode,
        short: ShortNode,
        added: str,
        option: int | None = RIGHT,
        dropped: str | None = None,
        cue: str = "\nWait,",
    ) -> LongNode:
        segments = (
            *short.trace.segments,
            Segment(kind="cue", text=cue),
            Segment(kind="continuation", text=added),
        )
        long = LongNode(self._trace(node, segments, option, "", short.trace.id), dropped)
        short.longs.append(long)
        return long

    def tree(self, *nodes: MCQNode, name: str = "c") -> CaptionTree:
        image = ImageRef(path="a.png", sha256="0" * 64, width=2, height=2)
        caption = Caption.make(text=name, image=image, source="test", source_id=name)
        return CaptionTree(caption, list(nodes))

    def _trace(
        self,
        node: MCQNode,
        segments: tuple[Segment, ...],
        option: int | None,
        raw: str,
        parent: str | None = None,
    ) -> Trace:
        verdict = Verdict(status="missing")
        if option is not None:
            verdict = Verdict(status="found", option=option, correct=option == 0)
        return Trace.make(
            caption_id=node.mcq.caption_id,
            presentation=node.presentation,
            segments=segments,
            answer=raw,
            verdict=verdict,
            parent=parent,
        )


@pytest.fixture(scope="session")
def bench() -> Bench:
    return Bench()
