"""A run: a model asked benchmarks, its answers scored, all in one folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from lpt_core import READER_VERSION, ConfigError
from lpt_eval.copies import write_copies
from lpt_eval.folder import RunFolder
from lpt_eval.harness import Asked, evaluate
from lpt_eval.records import BenchmarkRun, ModelIdentity, RunInfo
from lpt_eval.scoring import score_all

if TYPE_CHECKING:
    from lpt_eval.models.recording import RecordingModel

_LIBRARIES = ("lpt-eval", "lpt-core", "lmms-eval", "torch", "transformers", "vllm", "pillow")
Note = Callable[[str], None]


def run(
    model: RecordingModel, asked: Sequence[Asked], folder: RunFolder, *, note: Note | None = None
) -> RunInfo:
    """Ask a model benchmarks and score its answers. Killed and started again, it goes on and ends equal.

    A folder can get further benchmarks by further runs of the same model.

    Args:
        model: The model; its journal should be the folder's.
        asked: What it is asked, each benchmark once.
        folder: Where everything goes.
        note: Is told what a person should know.

    Returns:
        What the folder now has.

    Raises:
        ConfigError: The folder has another run, or nothing is asked.
        LptError: The model cannot be used, or something cannot be written.
    """
    names = [one.benchmark.name for one in asked]
    if not names:
        raise ConfigError("nothing is asked.", "give at least one task")
    if double := [name for name, count in Counter(names).items() if count > 1]:
        raise ConfigError(f"the benchmark {double[0]} is asked twice.", "give each task once")
    info = _info(model.identity, asked, folder)
    for warning in honours(model.identity, asked):
        (note or str)(f"warning: {warning}")
    for one in asked:
        folder.write_items(one.benchmark.name, one.benchmark.items)
        write_copies(one.benchmark, folder, note or str)
    folder.write_info(info)
    for name, responses in evaluate(model, asked).items():
        protocol = info.benchmarks[name].protocol
        folder.write_rows(name, score_all(folder.items(name), responses, protocol))
    return info


def honours(model: ModelIdentity, asked: Sequence[Asked]) -> list[str]:
    """In what the protocols differ from how a checkpoint of lpt-train was taught, a sentence each."""
    record = model.checkpoint
    if record is None:
        return []
    found: list[str] = []
    for one in asked:
        name, pixels = one.benchmark.name, one.protocol.pixels
        if pixels != record.pixels and any(item.image for item in one.benchmark.items):
            now = "not at all" if pixels is None else pixels.label
            found.append(
                f"{name}: images are made smaller by {now}, in training by {record.pixels.label} "
                f"(--pixels {record.pixels.label})"
            )
        # A system prompt of the form's own may stand within what training had; none at all stands in any.
        taught, own = record.systems, one.protocol.system
        if taught and not any(own in system if own else not system for system in taught):
            found.append(f"{name}: the system prompt is none that the model was trained with")
    return found


def _info(model: ModelIdentity, asked: Sequence[Asked], folder: RunFolder) -> RunInfo:
    fresh = {
        one.benchmark.name: BenchmarkRun(
            protocol=one.protocol, items=len(one.benchmark.items), data=one.benchmark.data
        )
        for one in asked
    }
    shuffles = {one.shuffles for one in asked}
    if len(shuffles) > 1:
        raise ConfigError("a run has as many orders of the options in all its benchmarks.")
    info = RunInfo(
        model=model,
        benchmarks=fresh,
        shuffles=shuffles.pop(),
        reader=READER_VERSION,
        versions=_versions(),
    )
    if not (folder.path / "run.json").exists():
        return info
    before = folder.info()
    _same(before, info, folder)
    return info.model_copy(update={"benchmarks": {**before.benchmarks, **fresh}})


def _same(before: RunInfo, now: RunInfo, folder: RunFolder) -> None:
    """See that a folder's run is this one.

    Raises:
        ConfigError: It is another.
    """
    differs = None
    if before.model.model_dump(exclude={"checkpoint"}) != now.model.model_dump(exclude={"checkpoint"}):
        differs = f"of another model ({before.model.name})"
    elif before.shuffles != now.shuffles:
        differs = f"over {before.shuffles} orders of the options"
    for name in before.benchmarks.keys() & now.benchmarks.keys():
        old, new = before.benchmarks[name], now.benchmarks[name]
        if old.protocol.fingerprint != new.protocol.fingerprint:
            differs = f"of {name} under another protocol ({old.protocol.name}, {old.protocol.form})"
    if differs:
        raise ConfigError(f"{folder.path} has a run {differs}.", "choose another folder with --out")


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
