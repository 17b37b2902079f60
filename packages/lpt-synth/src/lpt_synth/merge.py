"""From the directories of shards to the directory of the run that they are parts of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpt_core import ConfigError, StoreError
from lpt_synth.config import RunConfig
from lpt_synth.flow import Flow
from lpt_synth.rundir import RunDir
from lpt_synth.sets import make_sets
from lpt_synth.shard import Shard, shard_folders
from lpt_synth.status import StoredRun
from lpt_synth.store_merge import StoreMerge

SOURCE_NOTE = "source"
"""Under this name the store of a shard that has gone through says which rows the whole source has."""


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What was merged.

    Attributes:
        shards: How many were merged.
        missing: Numbers of those that were not there.
        unfinished: Directories of shards that have not been run to their end.
        contradictions: Samples for which shards held different answers; the first shard's were taken.
        sets: The manifest of the merged run's sets.
    """

    shards: int
    missing: tuple[int, ...]
    unfinished: tuple[Path, ...]
    contradictions: int
    sets: Mapping[str, Any]

    @property
    def done(self) -> bool:
        """Nothing is missing."""
        return not self.missing and bool(self.sets["complete"])


@dataclass(frozen=True, slots=True)
class _Part:
    """A shard's directory and what it says of itself."""

    shard: Shard
    run: RunDir
    config: RunConfig
    source: str | None


def merge(
    out: Path,
    folders: Sequence[Path] = (),
    *,
    partial: bool = False,
    take_first: bool = False,
    tell: Callable[[str], None] | None = None,
) -> MergeReport:
    """Make one run's directory of the directories of its shards, and its sets.

    The stores are joined by SQLite itself, a shard at a time; nothing of them is held in memory. The shards
    stay as they are. The merged directory is one like any other: what shards left undone, ``run`` on it does.

    Args:
        out: The merged run's directory: new, or without a store.
        folders: The shards' directories; none: those beside ``out`` that ``run --shard`` named after it.
        partial: Merge although shards are missing.
        take_first: Where shards hold different answers to one request, take the first shard's.
        tell: Is told what is being done, for long merges.

    Raises:
        ConfigError: The directories are not the shards of one run, or not all of them.
        StoreError: A store cannot be read, written or joined, or is being written by a run.
    """
    tell = tell or (lambda _: None)
    parts = _parts(out, [path.resolve() for path in folders] or shard_folders(out.resolve()))
    missing = _missing(parts, partial=partial)
    _agree(parts)
    target = RunDir(out.resolve())
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(part.run.locked())
        target.create()
        stack.enter_context(target.locked())
        if target.store_path.exists():
            raise StoreError(
                f"{target.path} holds a run already.", "merge into a new directory, or remove that one first"
            )
        config = _whole(parts[0].config)
        target.keep(config)
        joined = StoreMerge(target, take_first=take_first)
        for number, part in enumerate(parts, 1):
            tell(f"merging: shard {part.shard}, {number} of {len(parts)}")
            joined.add(part.run)
        joined.finish()
        store = stack.enter_context(target.open_store())
        sets = make_sets(StoredRun(target, config, store), tell=tell)
    unfinished = tuple(part.run.path for part in parts if part.source is None)
    return MergeReport(len(parts), missing, unfinished, joined.contradictions, sets)


def _whole(config: RunConfig) -> RunConfig:
    return config.model_copy(update={"source": config.source.model_copy(update={"shard": None})})


def _parts(out: Path, folders: Sequence[Path]) -> list[_Part]:
    """The shards in the order of their numbers."""
    if not folders:
        raise ConfigError(
            f"there are no shards beside {out}: no directory {out.name}.shard-1-of-N.",
            f"name the directories: lpt-synth merge {out} SHARD_DIR ...",
        )
    parts: dict[Shard, _Part] = {}
    for folder in folders:
        part = _part(RunDir(folder))
        first = parts.setdefault(part.shard, part)
        if first is not part:
            raise ConfigError(
                f"{first.run.path} and {folder} both hold shard {part.shard}.",
                "name the one that is to count",
            )
    if len({shard.of for shard in parts}) > 1:
        raise ConfigError(
            f"these are shards of different splits: {', '.join(map(str, sorted(parts)))}.",
            "merge the shards of one split",
        )
    return [parts[shard] for shard in sorted(parts)]


def _part(run: RunDir) -> _Part:
    config = run.config()
    if config.source.shard is None:
        raise ConfigError(
            f"{run.path} holds a run that is no shard.", "merge what `lpt-synth run … --shard i/n` has made"
        )
    with run.open_store() as store:
        return _Part(Shard.parse(config.source.shard), run, config, store.notes.get(SOURCE_NOTE))


def _missing(parts: Sequence[_Part], *, partial: bool) -> tuple[int, ...]:
    of = parts[0].shard.of
    there = {part.shard.index for part in parts}
    missing = tuple(index for index in range(1, of + 1) if index not in there)
    if missing and not partial:
        names = ", ".join(f"{index}/{of}" for index in missing[:20])
        more = f" and {len(missing) - 20} more" if len(missing) > 20 else ""
        raise ConfigError(
            f"{len(missing)} of {of} shards are missing: {names}{more}.",
            "run them, or give --partial to merge what there is",
        )
    return missing


# ---- whether they are parts of one run ---------------------------------------------------------------


def _agree(parts: Sequence[_Part]) -> None:
    first = parts[0]
    told = _decisive(first.config)
    for part in parts[1:]:
        other = _decisive(part.config)
        for name in sorted(told.keys() | other.keys()):
            if told.get(name) != other.get(name):
                raise ConfigError(
                    f"shards {first.shard} and {part.shard} were run with different configurations: {name} "
                    f"is {told.get(name)!r} in {first.run.path} and {other.get(name)!r} in {part.run.path}.",
                    "run the shards again with one configuration: what does not change is not asked again",
                )
    read = [part for part in parts if part.source is not None]
    for part in read[1:]:
        if part.source != read[0].source:
            raise ConfigError(
                f"shards {read[0].shard} and {part.shard} have read different sources: {read[0].source} in "
                f"{read[0].run.path}, {part.source} in {part.run.path} (the number of rows, and a digest).",
                "run the shards again on the same captions",
            )


def _decisive(config: RunConfig) -> dict[str, Any]:
    """What decides a run's answers and sets, by dotted name: neither hosts nor paths nor speeds."""
    data: dict[str, Any] = config.model_dump(
        mode="json", include={"seed", "ask", "think", "expand", "judge", "select"}
    )
    for section in ("ask", "think", "expand", "judge"):
        for name in [name for name in data[section] if name.endswith("prompt")]:
            del data[section][name]  # a file's path; its content's fingerprint comes below
    data["source"] = config.source.model_dump(mode="json", exclude={"shard", "captions", "images"})
    data["endpoints"] = {
        role: {"model": end.identity.name, "revision": end.identity.revision, "licence": end.licence}
        | {"gives_json": end.gives_json}
        for role in ("asker", "thinker", "expander", "judge")
        if (end := getattr(config.endpoints, role)) is not None
    }
    prompts = Flow(config).prompts
    data["prompts"] = {f"{stage} {prompt.label}": prompt.fingerprint for stage, prompt in prompts}
    return dict(_flat("", data))


def _flat(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():  # pyright: ignore[reportUnknownVariableType] # JSON
            yield from _flat(f"{name}.{key}" if name else str(key), inner)  # pyright: ignore[reportUnknownArgumentType]
    else:
        yield name, value
