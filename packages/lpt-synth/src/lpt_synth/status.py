"""What a run has made so far, from its store alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from lpt_core import Caption
from lpt_synth.captions import CaptionReader
from lpt_synth.config import RunConfig
from lpt_synth.flow import Flow, read_tree
from lpt_synth.funnel import funnel
from lpt_synth.prefix_cache import all_served
from lpt_synth.rundir import RunDir
from lpt_synth.store import Store
from lpt_synth.types import CaptionTree


class StoredRun:
    """A run as its directory holds it: read, never asked on."""

    def __init__(self, run: RunDir, config: RunConfig, store: Store) -> None:
        self.run = run
        self.config = config
        self.store = store
        self.flow = Flow(config)
        self.plan = self.flow.plan
        self.reader = CaptionReader(config, store, run.images)

    def tree(self, caption: Caption) -> CaptionTree:
        """What is stored about a caption."""
        return read_tree(self.flow, caption, self.store.outcomes)

    def trees(self) -> Iterator[CaptionTree]:
        """What is stored about every caption, in the source's order. Iterating again starts over."""
        for caption in self.reader.read():
            yield self.tree(caption)

    def tally(self) -> tuple[Counter[str], int]:
        """The tally over all captions, and how many of them are incomplete; seals make it quick."""
        total: Counter[str] = Counter()
        incomplete = 0
        for caption in self.reader.read(inspect=False):
            sealed = self.store.seal(caption.id, self.plan)
            if sealed is None:
                tree = self.tree(caption)
                incomplete += not tree.complete
                total.update(tree.tally)
            else:
                total.update(sealed)
        total.update(self.reader.counts)
        return total, incomplete + total["source.waiting"]


def status(run: RunDir) -> dict[str, Any]:
    """A run's state as one JSON object; its keys are kept, scripts rely on them.

    Raises:
        ConfigError, StoreError, DataError: It is no run directory, or its source is gone.
    """
    config = run.config()
    with run.open_store() as store:
        stored = StoredRun(run, config, store)
        tally, incomplete = stored.tally()
        usage = store.usage()
        sets = read_manifest(run)
        current = sets.get("made_from") == sets_mark(stored)
        served = all_served(store.notes, config.endpoints)
        again = [{"stage": s, "reason": r, "requests": n} for s, r, n in store.asked_again()]
    return {
        "captions": tally["source.captions"],
        "mcqs": tally["mcq.kept"],
        "short_cots": _thoughts(tally, "think", "short"),
        "long_cots": _thoughts(tally, "expand", "long"),
        "sft": sets.get("sft", 0),
        "pairs": sets.get("pairs", 0),
        "sets": ("current" if current else "stale") if sets else "none",
        "failed": sum(count for key, count in tally.items() if key.endswith(".failed")),
        "incomplete_captions": incomplete,
        "complete": incomplete == 0,
        "requests_sent": sum(stage.sent for stage in usage),
        "input_tokens": sum(stage.input_tokens for stage in usage),
        "output_tokens": sum(stage.output_tokens for stage in usage),
        "cost": round(sum(stage.cost for stage in usage), 6),
        "prefix_cache": [{"model": m, "tokens": t, "cached": c} for m, (t, c) in served.items()],
        "asked_again": again,
        "funnel": [{"step": s.key, "label": s.label, "count": s.count} for s in funnel(tally)],
        "problems": [str(problem) for problem in stored.reader.problems],
    }


def _thoughts(tally: Counter[str], stage: str, kind: str) -> dict[str, int]:
    return {
        "requested": tally[f"{stage}.requested"],
        "parsed": tally[f"{kind}.status.found"],
        "correct": tally[f"{kind}.correct"],
    }


def sets_mark(stored: StoredRun) -> str:
    """What the sets depend on: the plan, the selection, and which outcomes there are."""
    selection = stored.config.select.model_dump_json()
    return f"{stored.plan}:{stored.store.mark()}:{selection}"


def read_manifest(run: RunDir) -> dict[str, Any]:
    """What was noted beside the sets when they were made; empty where there are none."""
    try:
        return json.loads((run.sets / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
