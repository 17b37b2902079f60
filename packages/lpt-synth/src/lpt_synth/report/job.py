"""`lpt-synth report` as a function that anybody may call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import lpt_synth
from lpt_core import PreferencePair, SFTExample
from lpt_synth.export.card import config_echo
from lpt_synth.export.records import preference_pairs, sft_examples
from lpt_synth.funnel import funnel
from lpt_synth.memory import rare_collections
from lpt_synth.report.gather import IMAGE_BYTES, Gathered, gather
from lpt_synth.report.sections import ReportFacts
from lpt_synth.report.write import write_report
from lpt_synth.rundir import RunDir
from lpt_synth.status import StoredRun, read_manifest, sets_mark
from lpt_synth.types import Role

FILE = "report.html"


@dataclass(frozen=True, slots=True)
class Reported:
    """What was written.

    Attributes:
        to: The file.
        size: Its bytes.
        thoughts: Short thoughts and continuations in it.
        pairs: Preference pairs in it.
        pictures: Thumbnails in it.
        without: Pictures without one.
    """

    to: Path
    size: int
    thoughts: int
    pairs: int
    pictures: int
    without: int


def report(
    run: RunDir, to: Path | None = None, *, title: str | None = None, image_bytes: int = IMAGE_BYTES
) -> Reported:
    """Write a run's report; the run is read and not changed, and may be going on.

    Args:
        run: The run's directory.
        to: The file; ``report.html`` in the directory unless given.
        title: What it is called; the name of the directory unless given.
        image_bytes: What all thumbnails may take together.

    Raises:
        ConfigError, StoreError, DataError: It is no run directory, its source is gone, or the report cannot
            be written.
    """
    config = run.config()
    target = to or run.path / FILE
    with run.open_store() as store, rare_collections():
        stored = StoredRun(run, config, store)
        state = _sets_state(stored)
        sft: Iterable[SFTExample] = sft_examples(run.sets) if state == "current" else ()
        pairs: Iterable[PreferencePair] = preference_pairs(run.sets) if state == "current" else ()
        made = gather(stored.trees(), sft, pairs, image_bytes=image_bytes)
        size = write_report(target, _facts(stored, made, state, title), made)
    small = made.thumbnails
    return Reported(
        to=target,
        size=size,
        thoughts=len(made.gallery.traces["id"]),
        pairs=len(made.gallery.pairs["kind"]),
        pictures=len(small.images),
        without=small.total - len(small.images),
    )


def _sets_state(stored: StoredRun) -> str:
    manifest = read_manifest(stored.run)
    if not manifest:
        return "none"
    return "current" if manifest.get("made_from") == sets_mark(stored) else "stale"


def _facts(stored: StoredRun, made: Gathered, sets: str, title: str | None) -> ReportFacts:
    tally = made.tally + stored.reader.counts
    incomplete = made.incomplete + tally["source.waiting"]
    steps = [(step.key, step.label, step.count) for step in funnel(tally)]
    if sets == "current":
        selected: list[Any] = read_manifest(stored.run)["funnel"]
        known = {key for key, _, _ in steps}
        steps += [(key, label, count) for key, label, count in selected if key not in known]
    ends = stored.config.endpoints
    roles: list[Role] = ["asker", "thinker", "expander"]
    if stored.config.judge.enabled:
        roles.append("judge")
    named = [(role, end) for role in roles if (end := ends.of(role)) is not None]
    return ReportFacts(
        name=title or stored.run.path.resolve().name,
        complete=incomplete == 0,
        incomplete=incomplete,
        sets=sets,
        funnel=steps,
        usage=stored.store.usage(),
        again=stored.store.asked_again(),
        models=[(role, end.title, end.identity.revision or "not stated") for role, end in named],
        prompts=[(stage, prompt.label) for stage, prompt in stored.flow.prompts],
        config=yaml.safe_dump(config_echo(stored.config), allow_unicode=True, width=100),
        problems=[str(problem) for problem in stored.reader.problems],
        version=lpt_synth.__version__,
    )
