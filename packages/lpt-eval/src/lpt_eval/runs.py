"""A run as it is counted: its items, and which of its samples are right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lpt_core import DataError
from lpt_eval.folder import RunFolder
from lpt_eval.records import OUTCOMES, Item, Outcome, Row, RunInfo
from lpt_eval.statistics import Array


@dataclass(frozen=True, slots=True)
class Answers:
    """What a run answered on one benchmark; all that is counted here has the options in their own order.

    Attributes:
        benchmark: Its name.
        items: What was to be answered.
        rows: The rows of pass 0, by item and sample.
        n: Samples of each item.
        turned: The rows of the passes over other orders of the options.
    """

    benchmark: str
    items: tuple[Item, ...]
    rows: dict[tuple[str, int], Row]
    n: int
    turned: tuple[Row, ...] = ()

    @property
    def expected(self) -> int:
        """How many rows there should be."""
        return len(self.items) * self.n

    @property
    def missing(self) -> tuple[Item, ...]:
        """The items of which a sample is not there."""
        return tuple(item for item in self.items if not self.whole(item.id))

    def whole(self, item_id: str) -> bool:
        """Whether all samples of an item are there."""
        return all((item_id, sample) in self.rows for sample in range(self.n))

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """How many rows there are of each outcome."""
        counted = Counter(row.outcome for row in self.rows.values())
        return {outcome: counted[outcome] for outcome in OUTCOMES}

    def hits(self, items: tuple[Item, ...]) -> Array:
        """For each item a row, for each sample a column: 1 where it is right; what is missing is wrong."""
        right = np.zeros((len(items), self.n))
        for place, item in enumerate(items):
            for sample in range(self.n):
                row = self.rows.get((item.id, sample))
                right[place, sample] = row is not None and row.outcome == "correct"
        return right


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has been read.

    Attributes:
        path: Its folder.
        name: What to call it: the folder's name.
        info: What it was.
        answers: By benchmark.
    """

    path: Path
    name: str
    info: RunInfo
    answers: dict[str, Answers]


def load_run(path: Path) -> Run:
    """Read a run's folder, and check that its files belong together.

    Raises:
        LptError: There is no run, or its files cannot be read or contradict each other.
    """
    folder = RunFolder.existing(path)
    info = folder.info()
    answers = {benchmark: _answers(folder, info, benchmark) for benchmark in info.benchmarks}
    return Run(path=path, name=path.resolve().name, info=info, answers=answers)


def over_orders(run: Run) -> Run:
    """The run with its answers under all orders of the options: each order is so many more samples.

    A question stays in its cluster: where that is resampled, its orders go together.
    """
    return replace(run, answers={name: _over(one, run.info.shuffles) for name, one in run.answers.items()})


def _over(answers: Answers, orders: int) -> Answers:
    every = [*answers.rows.values(), *answers.turned]
    rows = {(row.item_id, row.shuffle * answers.n + row.sample): row for row in every}
    return replace(answers, rows=rows, n=answers.n * orders, turned=())


def _answers(folder: RunFolder, info: RunInfo, benchmark: str) -> Answers:
    asked, items = info.benchmarks[benchmark], folder.items(benchmark)
    where = f"{folder.path}: {benchmark}"
    known = {item.id for item in items}
    if len(known) < len(items):
        raise DataError(f"{where}: {len(items) - len(known)} items have the id of another item.")
    protocol = asked.protocol.fingerprint
    found: dict[tuple[str, int, int], Row] = {}
    for row in folder.rows(benchmark):
        if row.protocol != protocol:
            raise DataError(
                f"{where}: the row of item {row.source_id} was made under another protocol than run.json has."
            )
        if row.reader != info.reader:
            raise DataError(
                f"{where}: the rows were read by another version of the reader than run.json has."
            )
        if row.item_id not in known or row.sample >= asked.protocol.n or row.shuffle >= info.shuffles:
            raise DataError(f"{where}: the row of {row.source_id}, sample {row.sample}, belongs to no item.")
        if (row.item_id, row.shuffle, row.sample) in found:
            raise DataError(f"{where}: item {row.source_id}, sample {row.sample}, has two rows.")
        found[row.item_id, row.shuffle, row.sample] = row
    own = {(item, sample): row for (item, shuffle, sample), row in found.items() if not shuffle}
    turned = tuple(row for row in found.values() if row.shuffle)
    return Answers(benchmark, tuple(items), own, asked.protocol.n, turned)
