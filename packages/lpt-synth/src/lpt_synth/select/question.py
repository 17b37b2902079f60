"""What of a question's thoughts can be used: read, kept by every filter, each text once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lpt_core import DataError, Trace
from lpt_synth.types import LongNode, MCQNode, ShortNode


@dataclass(frozen=True, slots=True)
class Thought:
    """A usable thought.

    Attributes:
        trace: Where it stands.
        text: The whole thought.
        added: Characters that the continuation added, the cue among them; 0 for a short thought.
        longs: The usable continuations of a short thought, each text once, by id.
    """

    trace: Trace
    text: str
    added: int = 0
    longs: list[Thought] = field(default_factory=list["Thought"])

    @property
    def right(self) -> bool:
        """It led to the gold answer."""
        return self.trace.verdict.correct


@dataclass(frozen=True, slots=True)
class Question:
    """A question's usable short thoughts, with their continuations, each by id.

    Attributes:
        node: The question.
        right: Short thoughts that led to the gold answer.
        wrong: Short thoughts that led to another option.
        duplicates: Thoughts left out because their text and answer are there already, by kind
            ("short_right", "wrong_right", …).
    """

    node: MCQNode
    right: list[Thought]
    wrong: list[Thought]
    duplicates: Counter[str]


def read_question(node: MCQNode) -> Question:
    """Sift the thoughts of a question. Their order in ``node`` does not matter.

    A short thought is usable if no filter dropped it and its answer was found; a continuation, if that
    holds for it and for the thought that it continues. Two thoughts with the same text and the same
    answer make the same example, whichever trace they come from: they count once, under the smaller id,
    and the continuations of both are the continuations of that one.

    Raises:
        DataError: A continuation does not begin with the thought that it continues.
    """
    duplicates: Counter[str] = Counter()
    groups: dict[tuple[str, int | None], tuple[Thought, list[Trace]]] = {}
    for short in sorted(filter(_usable, node.shorts), key=lambda short: short.trace.id):
        thought = Thought(short.trace, short.trace.thought)
        kept, pool = groups.setdefault(_content(thought), (thought, []))
        if kept is not thought:
            duplicates[f"short_{_mark(thought)}"] += 1
        pool.extend(long.trace for long in short.longs if _usable(long))
    seen = set(groups)
    thoughts = sorted(groups.values(), key=lambda group: not group[0].right)
    for thought, pool in thoughts:
        for long in sorted((_continuation(thought, trace) for trace in pool), key=lambda long: long.trace.id):
            if _content(long) in seen:
                duplicates[f"{_mark(thought)}_{_mark(long)}"] += 1
            else:
                seen.add(_content(long))
                thought.longs.append(long)
    right = [thought for thought, _ in thoughts if thought.right]
    wrong = [thought for thought, _ in thoughts if not thought.right]
    return Question(node, right, wrong, duplicates)


def _usable(node: ShortNode | LongNode) -> bool:
    return node.dropped is None and node.trace.verdict.status == "found"


def _content(thought: Thought) -> tuple[str, int | None]:
    """What makes two thoughts the same example: answers are written anew from the option."""
    return thought.text, thought.trace.verdict.option


def _mark(thought: Thought) -> str:
    return "right" if thought.right else "wrong"


def _continuation(short: Thought, trace: Trace) -> Thought:
    if trace.segments[0].text != short.text:
        raise DataError(
            f"the continuation {trace.id} does not begin with the thought {short.trace.id} before it.",
            "the run directory was damaged or written by another version; run `lpt-synth run` anew",
        )
    text = trace.thought
    return Thought(trace, text, added=len(text) - len(short.text))
