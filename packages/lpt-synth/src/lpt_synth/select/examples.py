"""From a trace to what a model is trained on: the response in segments, and which of them bear loss."""

from __future__ import annotations

from typing import Literal

from lpt_core import (
    ImageRef,
    PairKind,
    PreferencePair,
    PromptExample,
    ResponseSegment,
    SFTExample,
    SFTKind,
    Trace,
    fingerprint,
)
from lpt_synth.types import MCQNode

Loss = Literal["all", "added", "none"]
"""Which part of a response may bear loss: all; what follows a wrong first thought; nothing."""

OPEN, CLOSE, END = "<think> ", " </think> <answer> ", " </answer>"
"""The paper's format around thought and answer: <think> thought </think> <answer> answer </answer>."""


def response(node: MCQNode, trace: Trace, loss: Loss) -> tuple[ResponseSegment, ...]:
    """The response that a trace makes.

    The segments of the trace stand in it word for word. The answer is written anew, from the option that
    was read, in the style that the question asks for: a model is not to learn to write "**(a)**".

    Args:
        node: The question.
        trace: A trace whose answer was found.
        loss: "added" for a wrong thought that was turned right: the tag that opens it and the thought
            itself bear none, all that follows does.
    """
    option = trace.verdict.option
    if option is None:
        raise AssertionError("only traces whose answer was found are made into responses")
    first = loss == "all"
    rest = loss != "none"
    parts = [ResponseSegment(kind="format", text=OPEN, loss=first)]
    for segment in trace.segments:
        bears = first if segment.kind == "thought" else rest
        parts.append(ResponseSegment(kind=segment.kind, text=segment.text, loss=bears))
    parts += [
        ResponseSegment(kind="format", text=CLOSE, loss=rest),
        ResponseSegment(kind="answer", text=node.presentation.render_answer(node.mcq, option), loss=rest),
        ResponseSegment(kind="format", text=END, loss=rest),
    ]
    return tuple(parts)


def sft_example(kind: SFTKind, node: MCQNode, image: ImageRef, trace: Trace) -> SFTExample:
    """The SFT example of a right trace."""
    return SFTExample(
        id=fingerprint("sft", {"kind": kind, "trace": trace.id}),
        kind=kind,
        caption_id=trace.caption_id,
        mcq_id=trace.mcq_id,
        trace_id=trace.id,
        image=image,
        prompt=node.prompt,
        response=response(node, trace, "added" if kind == "wrong_right" else "all"),
    )


def preference_pair(
    kind: PairKind, node: MCQNode, image: ImageRef, chosen: Trace, rejected: Trace
) -> PreferencePair:
    """The pair of two traces of one question.

    ``loss`` says what may bear the SFT term that is added to a preference loss: on the chosen side the
    same as in its SFT example, on the rejected side nothing. The preference loss itself is over both
    sides whole; where they begin with the same thought, they begin with the same segments.
    """
    return PreferencePair(
        id=fingerprint("pair", {"kind": kind, "chosen": chosen.id, "rejected": rejected.id}),
        kind=kind,
        caption_id=chosen.caption_id,
        mcq_id=chosen.mcq_id,
        chosen_trace_id=chosen.id,
        rejected_trace_id=rejected.id,
        image=image,
        prompt=node.prompt,
        chosen=response(node, chosen, "added" if kind == "turned_over_wrong" else "all"),
        rejected=response(node, rejected, "none"),
    )


def prompt_example(node: MCQNode, image: ImageRef) -> PromptExample:
    """A question as its thinker was asked it, with what verifies an answer."""
    return PromptExample.make(image=image, prompt=node.prompt, mcq=node.mcq, presentation=node.presentation)
