"""What a run would still ask, and what that would cost: exact for what is known, expected for the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lpt_synth.budget import prompt_tokens
from lpt_synth.config import RunConfig
from lpt_synth.flow import read_tree
from lpt_synth.status import StoredRun
from lpt_synth.store import Usage
from lpt_synth.types import CaptionTree, Completion, Outcome, Request, Role, StageName

# Expected where a run has shown nothing yet: measured on the authors' run over all of DOCCI (7.15
# questions a caption, 97 % of short thoughts read), and typical lengths of their recorded outputs.
_QUESTIONS, _READABLE, _JUDGED = 7.15, 0.97, 0.35
_OUTPUT = {"ask": 700.0, "reformat": 700.0, "think": 130.0, "expand": 150.0, "judge": 60.0}
_INPUT = {"ask": 500.0, "reformat": 800.0, "think": 500.0, "expand": 600.0, "judge": 350.0}
_ROLES: dict[StageName, Role] = {
    "ask": "asker",
    "reformat": "asker",
    "think": "thinker",
    "expand": "expander",
    "judge": "judge",
}


@dataclass(slots=True)
class StagePlan:
    """What one stage would still ask.

    Attributes:
        stored: Samples that the store holds already.
        requests: Requests to be sent: those known to be missing, and those expected to follow.
        samples: Samples in them.
        input_tokens: Expected tokens of all prompts.
        output_tokens: Expected tokens of all samples.
        cost: Expected price; None where the endpoint has no price.
    """

    stored: int = 0
    requests: float = 0.0
    samples: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    cost: float | None = None


@dataclass(slots=True)
class Plan:
    """What is left of a run, by stage."""

    captions: int = 0
    stages: dict[StageName, StagePlan] = field(default_factory=dict["StageName", StagePlan])

    def as_json(self) -> dict[str, Any]:
        """For ``plan --json``."""
        rows = {
            name: {
                "stored": stage.stored,
                "requests": round(stage.requests),
                "samples": round(stage.samples),
                "input_tokens": round(stage.input_tokens),
                "output_tokens": round(stage.output_tokens),
                "cost": None if stage.cost is None else round(stage.cost, 4),
            }
            for name, stage in self.stages.items()
        }
        costs = [stage.cost for stage in self.stages.values() if stage.cost is not None]
        return {"captions": self.captions, "stages": rows, "cost": round(sum(costs), 4) if costs else None}


class _Counts:
    """What is there and what is missing, gathered over all captions."""

    def __init__(self) -> None:
        self.stored: Counter[StageName] = Counter()
        self.missing: Counter[StageName] = Counter()
        self.missing_samples: Counter[StageName] = Counter()
        self.prompt_tokens: Counter[StageName] = Counter()
        self.captions_asked = 0
        self.questions = 0
        self.shorts = 0
        self.expanded = 0

    def add(self, request: Request, outcomes: Sequence[Outcome | None]) -> None:
        here = sum(isinstance(outcome, Completion) for outcome in outcomes)
        self.stored[request.stage] += here
        if here < request.n:
            self.missing[request.stage] += 1
            self.missing_samples[request.stage] += request.n - here
            self.prompt_tokens[request.stage] += round(prompt_tokens(request))

    def learn(self, tree: CaptionTree) -> None:
        """What captions that were answered tell about those that were not."""
        if tree.tally["ask.answered"]:
            self.captions_asked += 1
            self.questions += len(tree.mcqs)
        for node in tree.mcqs:
            self.shorts += len(node.shorts)
            self.expanded += sum(short.trace.verdict.status == "found" for short in node.shorts)


def make_plan(stored: StoredRun) -> Plan:
    """Price what is not yet in the store. Asks nobody; looks at images that no run has looked at."""
    counts = _Counts()
    captions = 0

    def look(request: Request) -> Sequence[Outcome | None]:
        outcomes = stored.store.outcomes(request)
        counts.add(request, outcomes)
        return outcomes

    for caption in stored.reader.read():
        captions += 1
        counts.learn(read_tree(stored.flow, caption, look))
    return _expected(stored.config, counts, {u.stage: u for u in stored.store.usage()}, captions)


def _expected(config: RunConfig, counts: _Counts, usage: dict[str, Usage], captions: int) -> Plan:
    questions = counts.questions / counts.captions_asked if counts.captions_asked else _QUESTIONS
    goes_on = counts.expanded / counts.shorts if counts.shorts else _READABLE
    requests: dict[StageName, float] = {
        name: float(counts.missing[name]) for name in ("ask", "reformat", "think", "expand", "judge")
    }
    samples: dict[StageName, float] = {name: float(counts.missing_samples[name]) for name in requests}
    asked = requests["ask"]
    if config.ask.reformat == "always":
        requests["reformat"] += asked
        samples["reformat"] += asked
    requests["think"] += asked * questions
    samples["think"] += asked * questions * config.think.n
    follow = samples["think"] * goes_on
    requests["expand"] += follow
    samples["expand"] += follow * config.expand.n
    if config.judge.enabled:
        requests["judge"] += samples["expand"] * _JUDGED
        samples["judge"] = requests["judge"]
    plan = Plan(captions)
    for name in requests:
        plan.stages[name] = _priced(config, name, counts, requests[name], samples[name], usage.get(name))
    return plan


def _priced(
    config: RunConfig,
    name: StageName,
    counts: _Counts,
    requests: float,
    samples: float,
    used: Usage | None,
) -> StagePlan:
    """Tokens as this store has seen them in the stage, or as expected; money where there is a price."""
    if used is not None and used.input_tokens:
        per_request, per_sample = used.input_tokens / used.calls, used.output_tokens / max(used.samples, 1)
    else:
        known = counts.missing[name]
        per_request = counts.prompt_tokens[name] / known if known else _INPUT[name]
        per_sample = _OUTPUT[name]
    tokens_in, tokens_out = requests * per_request, samples * per_sample
    endpoint = config.endpoints.of(_ROLES[name])
    price = endpoint.paid if endpoint else None
    cost = None if price is None else (tokens_in * price.input + tokens_out * price.output) / 1e6
    return StagePlan(counts.stored[name], requests, samples, tokens_in, tokens_out, cost)
