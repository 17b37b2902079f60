"""What the prefix caches of models in the process served: in a run, and in all runs of a store."""

from __future__ import annotations

import json

from lpt_synth.config import Endpoints, VLLMEndpoint
from lpt_synth.meter import Meter
from lpt_synth.store import Notes


def count_served(meter: Meter, notes: Notes, model: str, tokens: int, cached: int) -> None:
    """Add what a model's cache did before its process ended.

    Args:
        meter: Of the run.
        notes: Of the store, which outlives it.
        model: Whose cache.
        tokens: Of all prompts.
        cached: Those of them that were not computed again.
    """
    if not tokens:
        return
    before = meter.prefix_cache.get(model, (0, 0))
    meter.prefix_cache[model] = before[0] + tokens, before[1] + cached
    stored = _stored(notes, model)
    notes.put(_name(model), json.dumps([stored[0] + tokens, stored[1] + cached]))


def all_served(notes: Notes, endpoints: Endpoints) -> dict[str, tuple[int, int]]:
    """Tokens of all prompts and those that were cached, by model, over all runs of a store."""
    ends = (endpoints.asker, endpoints.thinker, endpoints.expander, endpoints.judge)
    models = dict.fromkeys(end.identity.name for end in ends if isinstance(end, VLLMEndpoint))
    served = {model: _stored(notes, model) for model in models}
    return {model: counts for model, counts in served.items() if counts[0]}


def told(model: str, tokens: int, cached: int) -> str:
    """The counts for people."""
    return f"{model}: the prefix cache had {cached / tokens:.0%} of {tokens:,} prompt tokens"


def _name(model: str) -> str:
    return f"prefix_cache {model}"


def _stored(notes: Notes, model: str) -> tuple[int, int]:
    tokens, cached = json.loads(notes.get(_name(model)) or "[0, 0]")
    return tokens, cached
