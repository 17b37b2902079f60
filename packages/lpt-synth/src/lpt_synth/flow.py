"""What follows from what: caption -> questions -> short thoughts -> continuations -> verdicts.

One definition serves everybody. The runner gives it a ``fetch`` that asks models, and awaits many
captions at once; ``read_tree`` gives it one that only looks into the store, and so rebuilds what a run
has made: for status, selection, reports and plans.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from lpt_core import READER_VERSION, Caption, Prompt, fingerprint
from lpt_synth.config import RunConfig
from lpt_synth.stages import AskReading, AskStage, ExpandStage, JudgeStage, ThinkStage
from lpt_synth.types import (
    CaptionTree,
    Completion,
    LongNode,
    MCQNode,
    Outcome,
    Request,
    ShortNode,
)

FLOW_VERSION = 1
"""Raised when the same outcomes are made into other trees; seals of captions depend on it."""

T = TypeVar("T")
Fetch = Callable[[Request], Awaitable[Sequence[Outcome | None]]]
"""Gives one outcome per sample of a request; None for what is not there."""
Together = Callable[[Iterable[Coroutine[Any, Any, T]]], Awaitable[list[T]]]


class Flow:
    """The stages of a configuration, joined.

    Raises:
        ConfigError: A prompt is missing or does not fit its stage.
    """

    def __init__(self, config: RunConfig) -> None:
        ends = config.endpoints
        self.config = config
        self.ask = AskStage(config.ask, ends.asker.identity, json_schema=ends.asker.gives_json)
        self.think = ThinkStage(config.think, ends.thinker.identity, config.seed)
        self.expand = ExpandStage(config.expand, ends.expander.identity, config.seed)
        self.judge = (
            JudgeStage(config.judge, ends.judge.identity) if config.judge.enabled and ends.judge else None
        )

    @property
    def prompts(self) -> list[tuple[str, Prompt]]:
        """Every prompt in use, with its stage."""
        used = [
            ("ask", self.ask.prompt),
            ("reformat", self.ask.reformat_prompt),
            ("think", self.think.system),
            ("think", self.think.question),
            ("expand", self.expand.prompt),
        ]
        return used + ([("judge", self.judge.prompt)] if self.judge else [])

    @property
    def plan(self) -> str:
        """Fingerprint of all that decides what a caption's tree holds; a seal is good for one plan."""
        config = self.config
        stages = {
            name: getattr(config, name).model_dump(mode="json")
            for name in ("ask", "think", "expand", "judge")
        }
        models = {
            role: [end.identity.name, end.identity.revision]
            for role in ("asker", "thinker", "expander", "judge")
            if (end := getattr(config.endpoints, role)) is not None
        }
        content = {
            "stages": stages,
            "prompts": [[stage, prompt.fingerprint] for stage, prompt in self.prompts],
            "models": models,
            "json_schema": config.endpoints.asker.gives_json,
            "seed": config.seed,
            "versions": [READER_VERSION, FLOW_VERSION],
        }
        return fingerprint("plan", content)

    async def grow(self, caption: Caption, fetch: Fetch, together: Together[Any]) -> CaptionTree:
        """Make of a caption everything that the models' answers allow."""
        tree = CaptionTree(caption)
        branch = _Branch(tree, fetch, together)
        reading = await self._asked(branch)
        for problem in reading.rejected:
            tree.tally[f"mcq.rejected.{problem.kind}"] += 1
        tree.tally["mcq.kept"] += len(reading.mcqs)
        for mcq in reading.mcqs:
            presentation = self.think.present(mcq)
            tree.mcqs.append(MCQNode(mcq, presentation, self.think.messages(caption, mcq, presentation)))
        await together(self._thought(branch, node) for node in tree.mcqs)
        return tree

    async def _asked(self, branch: _Branch) -> AskReading:
        """Stage 1, with the second call where it is needed."""
        caption, mode = branch.tree.caption, self.config.ask.reformat
        request = self.ask.request(caption)
        (outcome,) = await branch.get(request)
        if not isinstance(outcome, Completion):
            return AskReading()
        reading = self.ask.read(caption, request, outcome)
        if mode == "never" or (mode == "needed" and reading.readable) or not outcome.text.strip():
            return reading
        request = self.ask.reformat_request(caption, outcome.text)
        (outcome,) = await branch.get(request)
        if not isinstance(outcome, Completion):
            return reading
        again = self.ask.read(caption, request, outcome)
        return again if len(again.mcqs) >= len(reading.mcqs) else reading

    async def _thought(self, branch: _Branch, node: MCQNode) -> None:
        """Stage 2 for one question, and stage 3 for each of its thoughts."""
        request = self.think.request(node.mcq, node.prompt)
        seen: set[str] = set()
        for sample, outcome in enumerate(await branch.get(request)):
            if not isinstance(outcome, Completion):
                continue
            short = self.think.read(node.mcq, node.presentation, request, sample, outcome)
            node.shorts.append(short)
            branch.count("short", short)
            _drop_duplicate(branch, "short", short, seen)
        wanted = [s for s in node.shorts if s.dropped is None and self.expand.wants(s.trace)]
        if wanted:
            text = self.expand.user_text(branch.tree.caption, node.mcq, node.presentation)
            await branch.together(self._expanded(branch, node, short, text) for short in wanted)

    async def _expanded(self, branch: _Branch, node: MCQNode, short: ShortNode, user_text: str) -> None:
        """Stage 3 for one thought, and the judge for its continuations."""
        request = self.expand.request(short.trace, user_text)
        seen: set[str] = set()
        for sample, outcome in enumerate(await branch.get(request)):
            if not isinstance(outcome, Completion):
                continue
            long = self.expand.read(node.mcq, short.trace, request, sample, outcome)
            short.longs.append(long)
            branch.count("long", long)
            if long.trace.verdict.status == "found":
                branch.tree.tally[f"long.{_turn(short, long)}"] += 1
            _drop_duplicate(branch, "long", long, seen)
        judge = self.judge
        if judge is not None:
            judged = [s for s in short.longs if s.dropped is None and judge.wants(short.trace, s.trace)]
            await branch.together(self._judged(branch, judge, node, long) for long in judged)

    async def _judged(self, branch: _Branch, judge: JudgeStage, node: MCQNode, long: LongNode) -> None:
        """The judge on one continuation. It fails closed: only a yes keeps it."""
        (outcome,) = await branch.get(judge.request(node.mcq, long.trace))
        if not isinstance(outcome, Completion):
            long.dropped = "judge_absent"
            return
        verdict = judge.read(outcome)
        branch.tree.tally[f"judge.{verdict}"] += 1
        if verdict != "yes":
            long.dropped = f"judge_{verdict}"
            branch.tree.tally[f"long.dropped.{long.dropped}"] += 1


class _Branch:
    """What all steps about one caption share."""

    def __init__(self, tree: CaptionTree, fetch: Fetch, together: Together[Any]) -> None:
        self.tree = tree
        self.fetch = fetch
        self.together = together

    async def get(self, request: Request) -> Sequence[Outcome | None]:
        """The outcomes of a request, counted."""
        tally, outcomes = self.tree.tally, await self.fetch(request)
        tally[f"{request.stage}.requested"] += request.n
        for outcome in outcomes:
            if outcome is None:
                self.tree.absent += 1
            elif isinstance(outcome, Completion):
                tally[f"{request.stage}.answered"] += 1
            else:
                self.tree.failed += 1
                tally[f"{request.stage}.failed"] += 1
        return outcomes

    def count(self, kind: str, node: ShortNode | LongNode) -> None:
        """Count how a thought was read."""
        tally, verdict = self.tree.tally, node.trace.verdict
        tally[f"{kind}.status.{verdict.status}"] += 1
        tally[f"{kind}.correct"] += verdict.correct
        if node.dropped:
            tally[f"{kind}.dropped.{node.dropped}"] += 1


def _drop_duplicate(branch: _Branch, kind: str, node: ShortNode | LongNode, seen: set[str]) -> None:
    """Drop a thought that its question (or its short thought) already has."""
    if node.dropped is not None or node.trace.verdict.status != "found":
        return
    # What was added is enough: all in ``seen`` go on from the same.
    text = " ".join(node.trace.segments[-1].text.split())
    if text in seen:
        node.dropped = "duplicate"
        branch.tree.tally[f"{kind}.dropped.duplicate"] += 1
    seen.add(text)


def _turn(short: ShortNode, long: LongNode) -> str:
    names = ("wrong", "right")
    return f"{names[short.trace.verdict.correct]}_{names[long.trace.verdict.correct]}"


async def in_turn(steps: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await one after the other: for reading, and for ``--sequential``."""
    return [await step for step in steps]


def read_tree(
    flow: Flow, caption: Caption, look: Callable[[Request], Sequence[Outcome | None]]
) -> CaptionTree:
    """Rebuild a caption's tree from what is stored, without asking anybody.

    Args:
        flow: The stages.
        caption: Whose tree.
        look: What is stored of a request, one outcome per sample (``Store.outcomes``).
    """

    async def fetch(request: Request) -> Sequence[Outcome | None]:
        return look(request)

    # Nothing in here ever waits, so the coroutine runs to its end at the first step, without a loop.
    coroutine = flow.grow(caption, fetch, in_turn)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("the flow waited for something while reading the store")
