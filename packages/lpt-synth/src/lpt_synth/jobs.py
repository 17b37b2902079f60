"""What the commands do, as functions that anybody may call."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpt_core import ConfigError, DataError
from lpt_synth.config import OpenAIEndpoint, RunConfig
from lpt_synth.make_engines import make_engines
from lpt_synth.memory import rare_collections
from lpt_synth.merge import SOURCE_NOTE
from lpt_synth.meter import Meter
from lpt_synth.plan import Plan, make_plan
from lpt_synth.rundir import RunDir
from lpt_synth.runner import Runner, RunResult
from lpt_synth.sets import make_sets
from lpt_synth.shard import shard_argument
from lpt_synth.status import StoredRun, read_manifest, sets_mark

if TYPE_CHECKING:
    from lpt_synth.export import CardFacts, ExportReport, FormatName


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended.

    Attributes:
        result: What the loop made of it.
        sets: The manifest of its sets; None where it was stopped before they were made.
        prefix_cache: See ``Meter``.
    """

    result: RunResult
    sets: Mapping[str, Any] | None
    prefix_cache: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])


def run(
    config: RunConfig,
    out: Path,
    *,
    max_cost: float | None = None,
    sequential: bool = False,
    meter: Meter | None = None,
) -> RunReport:
    """Run a configuration in a directory, and make its sets.

    Args:
        config: What to do.
        out: The run's directory; made if it is not there, gone on with if it is.
        max_cost: The most that this call may spend, in the currency of the endpoints' prices.
        sequential: Ask one thing at a time, in order.
        meter: Counters to watch the run by.

    Raises:
        ConfigError, StoreError: It cannot begin. What stops it later is in the report.
    """
    run_dir, meter = RunDir(out.resolve()), meter or Meter()
    config = config.pinned()
    check_keys(config)
    with ExitStack() as stack:
        run_dir.create()
        stack.enter_context(run_dir.locked())
        run_dir.keep(config)
        store = stack.enter_context(run_dir.open_store(create=True))
        runner = Runner(
            config,
            store,
            make_engines(config, store, meter),
            cache=run_dir.images,
            meter=meter,
            max_cost=max_cost,
            sequential=sequential,
        )
        with rare_collections():
            result = asyncio.run(runner.run())
        if result.stopped:
            return RunReport(result, None, meter.prefix_cache)
        if config.source.shard is not None:
            store.notes.put(SOURCE_NOTE, str(runner.reader.whole))

        def tell(phase: str) -> None:
            meter.phase = phase

        sets = make_sets(StoredRun(run_dir, config, store), tell=tell)
        return RunReport(result, sets, meter.prefix_cache)


def as_shard(config: RunConfig, out: Path, shard: str | None) -> tuple[RunConfig, Path]:
    """The configuration of one shard, and its directory beside ``out``; both as they are for None.

    Raises:
        ConfigError: ``shard`` is none.
    """
    if shard is None:
        return config, out
    part = shard_argument(shard)
    source = config.source.model_copy(update={"shard": str(part)})
    return config.model_copy(update={"source": source}), part.folder(out.resolve())


def check_keys(config: RunConfig) -> None:
    """Make sure that every key that is needed is in the environment; none is ever shown.

    Raises:
        ConfigError: A variable is not set.
    """
    ends = config.endpoints
    used = {"asker": ends.asker, "thinker": ends.thinker, "expander": ends.expander}
    if config.judge.enabled and ends.judge:
        used["judge"] = ends.judge
    for role, end in used.items():
        if isinstance(end, OpenAIEndpoint) and end.api_key_env and not os.environ.get(end.api_key_env):
            raise ConfigError(
                f"the environment variable {end.api_key_env}, which endpoints.{role}.api_key_env names, "
                "is not set.",
                f"export {end.api_key_env}=…",
            )


def plan(config: RunConfig, out: Path) -> Plan:
    """Price what a run in this directory would still ask. Changes nothing there."""
    run_dir = RunDir(out.resolve())
    with ExitStack() as stack:
        if run_dir.store_path.is_file():
            store = stack.enter_context(run_dir.open_store())
        else:
            scratch = RunDir(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lpt-plan-"))))
            run_dir = scratch
            store = stack.enter_context(scratch.open_store(create=True))
        return make_plan(StoredRun(run_dir, config, store))


def export(run_dir: RunDir, fmt: FormatName, to: Path) -> ExportReport:
    """Write the sets of a run for a trainer, made anew where the run has gone on since.

    Args:
        run_dir: Of a run that was done or stopped.
        fmt: Who is to read it.
        to: A directory that is new, empty, or an earlier export.

    Raises:
        ConfigError, StoreError, DataError: It is no run directory, it has nothing to export yet, an
            image is gone, or the target is somebody else's.
    """
    from lpt_synth.export import export as write

    config = run_dir.config()
    with ExitStack() as stack:
        stored = StoredRun(run_dir, config, stack.enter_context(run_dir.open_store()))
        if read_manifest(run_dir).get("made_from") != sets_mark(stored):
            stack.enter_context(run_dir.locked())
        manifest = make_sets(stored)
    needed = ("mcqs",) if fmt == "prompts" else ("sft", "pairs")
    if not any(manifest[name] for name in needed):
        raise DataError(
            f"{run_dir.path} has no {'questions' if fmt == 'prompts' else 'training examples'} yet.",
            f"`lpt-synth status {run_dir.path}` shows where they were lost",
        )
    return write(fmt, run_dir.sets, to, _card(stored, manifest))


def _card(stored: StoredRun, manifest: Mapping[str, Any]) -> CardFacts:
    """What the dataset card says of a run."""
    from lpt_synth.export import card_facts

    steps = [(key.split(".")[0], label, count) for key, label, count in manifest["funnel"]]
    counts = {key: count for key, _, count in manifest["funnel"]}
    yields = [
        (name, counts.get(kept, 0), counts.get(of, 0))
        for name, kept, of in (
            ("short thoughts that can be read", "short.status.found", "think.answered"),
            ("short thoughts that are right", "short.correct", "short.status.found"),
            ("continuations that can be read", "long.status.found", "expand.answered"),
            ("continuations that end right", "long.correct", "long.status.found"),
        )
    ]
    return card_facts(
        stored.config,
        source=_SOURCES[stored.config.source.kind],
        prompts=stored.flow.prompts,
        funnel=steps,
        yields=yields,
    )


_SOURCES = {"docci": "DOCCI", "table": "a table", "folder": "a folder", "hub": "a dataset"}
