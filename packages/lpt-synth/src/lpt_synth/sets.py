"""The training sets of a run, as core records in JSON lines, made from its store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from lpt_core import Record, SFTExample, StoreError
from lpt_synth.funnel import Step, funnel
from lpt_synth.select import SelectionCounts, select
from lpt_synth.status import StoredRun, read_manifest, sets_mark


def make_sets(stored: StoredRun, *, tell: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Select, and write ``mcqs.jsonl``, ``sft.jsonl``, ``pairs.jsonl`` and a manifest.

    Nothing of it depends on when, where or in how many pieces the run was done. If nothing has changed
    since the sets were made, they are left as they are.

    Args:
        stored: The run.
        tell: Is told what is being done, for long runs.

    Returns:
        The manifest: counts, funnel, problems of the source, what the sets were made from.

    Raises:
        StoreError: The sets cannot be written.
    """
    manifest = read_manifest(stored.run)
    if manifest.get("made_from") == sets_mark(stored):
        return manifest
    tell = tell or (lambda _: None)
    building = stored.run.path / ".sets.tmp"
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        manifest = _write(stored, building, tell)
        # The old sets go only when the new ones are whole; the manifest was written last.
        shutil.rmtree(stored.run.sets, ignore_errors=True)
        building.replace(stored.run.sets)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{building} cannot be written: {error.strerror or error}.") from error
    return manifest


def _write(stored: StoredRun, folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    tell("selecting")
    selection = select(stored.trees, stored.config.select, stored.config.seed)
    tell("writing sets")
    mcqs = 0
    with (
        (folder / "sft.jsonl").open("w", encoding="utf-8") as sft,
        (folder / "pairs.jsonl").open("w", encoding="utf-8") as pairs,
    ):
        for record in selection.records():
            _line(sft if isinstance(record, SFTExample) else pairs, record)
    tally, incomplete = stored.tally()
    with (folder / "mcqs.jsonl").open("w", encoding="utf-8") as file:
        for tree in stored.trees():
            for node in tree.mcqs:
                _line(file, node.mcq)
                mcqs += 1
    steps = funnel(tally) + _selected(selection.counts)
    manifest: dict[str, Any] = {
        "mcqs": mcqs,
        "sft": sum(selection.counts.sft.values()),
        "pairs": sum(selection.counts.pairs.values()),
        "complete": incomplete == 0,
        "funnel": [[step.key, step.label, step.count] for step in steps],
        "made_from": sets_mark(stored),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return manifest


def _line(file: TextIO, record: Record) -> None:
    file.write(record.model_dump_json())
    file.write("\n")


def _selected(counts: SelectionCounts) -> list[Step]:
    """The selection's lines of the funnel."""
    return [
        Step(f"{stage}.{name}", f"{stage}: {name.replace('_', ' ').replace('.', ', ')}", count)
        for stage, name, count in counts.funnel()
        if count
    ]
