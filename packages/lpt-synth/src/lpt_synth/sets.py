"""The training sets of a run, as core records in JSON lines, made from its store.

Two passes over the captions: the first counts what could be selected, the second writes what was. Both
are done in slices of captions, side by side in processes of their own where a run is large.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TextIO

from lpt_core import Record, SFTExample, StoreError
from lpt_synth.funnel import Step, funnel
from lpt_synth.memory import rare_collections
from lpt_synth.rundir import RunDir
from lpt_synth.select import Decision, SelectionCounts, Survey, survey
from lpt_synth.select.examples import prompt_example
from lpt_synth.status import StoredRun, read_manifest, sets_mark
from lpt_synth.types import CaptionTree

_FILES = ("mcqs", "prompts", "sft", "pairs")
_SLICES = 8  # for each process: few, as each reads the source's rows up to its own; many, to end together
_WORTH_PROCESSES = 300  # captions; below, starting processes takes longer than they save
_MOST_PROCESSES = 8


def make_sets(stored: StoredRun, *, tell: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Select, and write ``mcqs``, ``prompts``, ``sft`` and ``pairs`` (``.jsonl``) and a manifest.

    Nothing of it depends on when, where, in how many pieces or by how many processes the run was done. If
    nothing has changed since the sets were made, they are left as they are.

    Args:
        stored: The run.
        tell: Is told what is being done, for long runs.

    Returns:
        The manifest: counts, funnel, what the sets were made from.

    Raises:
        StoreError: The sets cannot be written.
    """
    manifest = read_manifest(stored.run)
    whole = all((stored.run.sets / f"{name}.jsonl").is_file() for name in _FILES)
    if whole and manifest.get("made_from") == sets_mark(stored):
        return manifest
    building = stored.run.path / ".sets.tmp"
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        manifest = _build(stored, building, tell or (lambda _: None))
        # The old sets go only when the new ones are whole; the manifest was written last.
        shutil.rmtree(stored.run.sets, ignore_errors=True)
        building.replace(stored.run.sets)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{building} cannot be written: {error.strerror or error}.") from error
    return manifest


def _build(stored: StoredRun, folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    captions = sum(1 for _ in stored.reader.read())
    counts = Counter(stored.reader.counts)
    workers = min(os.cpu_count() or 1, _MOST_PROCESSES)
    size = max(1, -(-captions // (_SLICES * workers)))
    slices = [(start, start + size) for start in range(0, captions, size)]
    with ExitStack() as stack:
        stack.enter_context(rare_collections())
        pool: Executor | None = None
        if captions >= _WORTH_PROCESSES:
            # Spawned, not forked: the parent has threads and open connections.
            pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
        work = _Work(stored, pool)
        total = _Counted()
        for done, part in enumerate(work.map(_count, slices), 1):
            total.merge(part)
            tell(f"selecting: {min(done * size, captions):,} of {captions:,} captions")
        decision = Decision(stored.config.select, stored.config.seed, total.survey)
        mcqs = 0
        jobs = [(start, stop, decision, str(folder)) for start, stop in slices]
        for done, written in enumerate(work.map(_write, jobs), 1):
            mcqs += written
            tell(f"writing sets: {min(done * size, captions):,} of {captions:,} captions")
    for name in _FILES:
        _join(folder, name, slices)
    steps = funnel(total.tally + counts) + _selected(decision.counts)
    manifest: dict[str, Any] = {
        "mcqs": mcqs,
        "sft": sum(decision.counts.sft.values()),
        "pairs": sum(decision.counts.pairs.values()),
        "complete": total.incomplete == 0,
        "funnel": [[step.key, step.label, step.count] for step in steps],
        "made_from": sets_mark(stored),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return manifest


# ---- slices ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Counted:
    """What the first pass learns of a slice."""

    survey: Survey = field(default_factory=Survey)
    tally: Counter[str] = field(default_factory=Counter[str])
    incomplete: int = 0

    def merge(self, other: _Counted) -> None:
        self.survey.merge(other.survey)
        self.tally.update(other.tally)
        self.incomplete += other.incomplete


class _Work:
    """Runs functions of a run and a slice here, or in processes that open the run for themselves."""

    def __init__(self, stored: StoredRun, pool: Executor | None) -> None:
        self._stored = stored
        self._pool = pool

    def map(self, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """The results, in the order of the jobs."""
        if self._pool is None:
            return (function(self._stored, *job) for job in jobs)
        path = str(self._stored.run.path)
        return self._pool.map(_apart, *zip(*((function, path, job) for job in jobs), strict=True))


def _apart(function: Callable[..., Any], path: str, job: tuple[Any, ...]) -> Any:
    run = RunDir(Path(path))
    with run.open_store() as store, rare_collections():
        return function(StoredRun(run, run.config(), store), *job)


def _count(stored: StoredRun, start: int, stop: int) -> _Counted:
    counted = _Counted()

    def trees() -> Iterator[CaptionTree]:
        for tree in _slice(stored, start, stop):
            counted.tally.update(tree.tally)
            counted.incomplete += not tree.complete
            yield tree

    counted.survey = survey(trees(), stored.config.select, stored.config.seed)
    return counted


def _write(stored: StoredRun, start: int, stop: int, decision: Decision, folder: str) -> int:
    """Write a slice's part of each file; how many questions it has."""
    questions = 0
    with ExitStack() as stack:
        mcqs, prompts, sft, pairs = (
            stack.enter_context(_part(Path(folder), name, start).open("w", encoding="utf-8"))
            for name in _FILES
        )

        def trees() -> Iterator[CaptionTree]:
            nonlocal questions
            for tree in _slice(stored, start, stop):
                for node in tree.mcqs:
                    _line(mcqs, node.mcq)
                    _line(prompts, prompt_example(node, tree.caption.image))
                questions += len(tree.mcqs)
                yield tree

        for record in decision.records(trees()):
            _line(sft if isinstance(record, SFTExample) else pairs, record)
    return questions


def _slice(stored: StoredRun, start: int, stop: int) -> Iterator[CaptionTree]:
    return (stored.tree(caption) for caption in islice(stored.reader.read(), start, stop))


def _part(folder: Path, name: str, start: int) -> Path:
    return folder / f"{name}.{start}.part"


def _join(folder: Path, name: str, slices: Sequence[tuple[int, int]]) -> None:
    with (folder / f"{name}.jsonl").open("wb") as whole:
        for start, _ in slices:
            part = _part(folder, name, start)
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)
            part.unlink()


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
