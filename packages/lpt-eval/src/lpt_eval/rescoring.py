"""A run read and judged again, from what its model said alone: neither model nor torch, nor the pictures."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lpt_core import READER_VERSION, ConfigError, DataError, StoreError
from lpt_eval.benchmarks.data import Benchmark
from lpt_eval.folder import RunFolder
from lpt_eval.harness import Asked
from lpt_eval.journal import Journal
from lpt_eval.models.calls import Call, Picture, Settings, turns_of
from lpt_eval.records import OUTCOMES, Item, Outcome, Response, Row, RunInfo
from lpt_eval.scoring import score

_Place = tuple[str, int, int]
"""Item, shuffle and sample: one answer of a benchmark."""


@dataclass(frozen=True, slots=True)
class Change:
    """An answer that is read otherwise than before.

    Attributes:
        source_id: The item, by its name in the benchmark's own data.
        shuffle: The order of its options.
        sample: Which of its samples.
        before: What became of it, with the letter that was read, if any.
        after: The same, now.
    """

    source_id: str
    shuffle: int
    sample: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Rescored:
    """A benchmark of a run, scored again.

    Attributes:
        benchmark: Its name.
        before: Rows of each outcome as they were.
        after: As they are now.
        changes: What is read otherwise.
        recovered: Rows that were not there, made of answers in the journal.
        missing: Rows that are still not there.
    """

    benchmark: str
    before: dict[Outcome, int]
    after: dict[Outcome, int]
    changes: tuple[Change, ...]
    recovered: int
    missing: int


def rescore(path: Path, out: Path | None = None) -> list[Rescored]:
    """Read all that a run's model said again, with this version's reader, and write the rows anew.

    What was said is in the rows. Where rows are missing, as in a run that was killed, it is taken from the
    journal.

    Args:
        path: The run's folder.
        out: Where the run goes as it is scored now, without its journal; over the old rows without it.

    Raises:
        ConfigError: There is no run, or ``out`` is there already.
        LptError: A file cannot be read or written, or rows do not belong to the run.
    """
    folder = RunFolder.existing(path)
    info = folder.info()
    fresh: dict[str, list[Row]] = {}
    told: list[Rescored] = []
    items = {benchmark: folder.items(benchmark) for benchmark in info.benchmarks}
    for benchmark in info.benchmarks:
        before = {_place(row): row for row in _rows(folder, info, benchmark, items[benchmark])}
        said = {place: row.response for place, row in before.items()}
        said |= _recovered(folder, info, benchmark, items[benchmark], said.keys())
        known = {item.id: item for item in items[benchmark]}
        protocol = info.benchmarks[benchmark].protocol
        after = {place: score(known[place[0]], one, protocol) for place, one in said.items()}
        fresh[benchmark] = list(after.values())
        told.append(_told(benchmark, before, after, info.expected(benchmark)))
    target = folder if out is None else _copied(folder, out)
    for benchmark, rows in fresh.items():
        target.write_items(benchmark, items[benchmark])
        target.write_rows(benchmark, rows)
    target.write_info(info.model_copy(update={"reader": READER_VERSION}))
    return told


def _rows(folder: RunFolder, info: RunInfo, benchmark: str, items: Iterable[Item]) -> list[Row]:
    """The rows as they are.

    Raises:
        DataError: Some of them belong to no item, or were made under another protocol.
    """
    rows, known = folder.rows(benchmark), {item.id for item in items}
    protocol = info.benchmarks[benchmark].protocol.fingerprint
    for row in rows:
        if row.item_id not in known:
            raise DataError(f"{folder.path}: a row of {benchmark} is of no item: {row.source_id}.")
        if row.protocol != protocol:
            raise DataError(
                f"{folder.path}: {benchmark}: the row of {row.source_id} was made under another protocol "
                "than run.json has."
            )
    return rows


def _recovered(
    folder: RunFolder, info: RunInfo, benchmark: str, items: list[Item], there: Iterable[_Place]
) -> dict[_Place, Response]:
    """Responses that are in the journal alone, found by the keys that the run gave them."""
    found: dict[_Place, Response] = {}
    have = set(there)
    if len(have) == info.expected(benchmark) or not folder.journal.is_file():
        return found
    with Journal(folder.journal) as journal:
        for place, key in _keys(info, benchmark, items):
            if place not in have and (answer := journal.get(key)):
                item_id, shuffle, sample = place
                found[place] = Response(
                    item_id=item_id, shuffle=shuffle, sample=sample, **answer.model_dump()
                )
    return found


def _keys(info: RunInfo, benchmark: str, items: list[Item]) -> Iterator[tuple[_Place, str]]:
    """The journal's key of each answer that the run wants of a benchmark."""
    protocol = info.benchmarks[benchmark].protocol
    asked = Asked(Benchmark(benchmark, tuple(items), Path(), ""), protocol, info.shuffles)
    identity = info.model.model_dump(mode="json", include={"kind", "name", "revision", "weights"})
    # As the settings come back from lmms-eval.
    settings = Settings(protocol.sampling, protocol.seed, protocol.pixels, protocol.prefill)
    settings = Settings.from_kwargs(settings.to_kwargs())
    for number, (item, turn) in enumerate(asked.documents):
        picture = asked.benchmark.image(item)
        digests: dict[Picture, str] = {}
        if item.image is not None and picture is not None:
            digests[picture] = item.image.sha256
        turns = turns_of(asked.messages(number))
        for sample in range(protocol.n):
            call = Call((benchmark, number, sample), turns, settings)
            yield (item.id, turn, sample), call.key(identity, digests)


def _told(benchmark: str, before: dict[_Place, Row], after: dict[_Place, Row], expected: int) -> Rescored:
    changed = [
        Change(old.source_id, old.shuffle, old.sample, _reading(old), _reading(after[place]))
        for place, old in before.items()
        if (old.outcome, old.option) != (after[place].outcome, after[place].option)
    ]
    return Rescored(
        benchmark=benchmark,
        before=_counts(before.values()),
        after=_counts(after.values()),
        changes=tuple(changed),
        recovered=len(after) - len(before),
        missing=expected - len(after),
    )


def _place(row: Row) -> _Place:
    return row.item_id, row.shuffle, row.sample


def _reading(row: Row) -> str:
    return row.outcome if row.letter is None else f"{row.outcome} ({row.letter})"


def _counts(rows: Iterable[Row]) -> dict[Outcome, int]:
    counted = Counter(row.outcome for row in rows)
    return {outcome: counted[outcome] for outcome in OUTCOMES}


def _copied(folder: RunFolder, out: Path) -> RunFolder:
    """A new folder with the run's small pictures."""
    if out.exists():
        raise ConfigError(f"{out} is there already.", "choose another folder with --out")
    target = RunFolder(out)
    try:
        out.mkdir(parents=True)
        if folder.images.is_dir():
            shutil.copytree(folder.images, target.images)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error.strerror or error}.") from error
    return target
