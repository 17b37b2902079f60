"""A run's own answers through the scorers that would have been used elsewhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lpt_core import DataError
from lpt_eval.conformance.authors import authors_hit
from lpt_eval.conformance.stock import COVERED, StockScorer, stock_scorers, stripped
from lpt_eval.conformance.suite import AUTHORS, Kind, Verdict, kind_of
from lpt_eval.folder import RunFolder
from lpt_eval.records import Item, Row


@dataclass(frozen=True, slots=True)
class Counted:
    """What a scorer makes of a run's answers on a benchmark.

    Attributes:
        benchmark: The benchmark.
        scorer: The scorer.
        rows: How many answers there are.
        right: How many count as right for it.
        ours: How many are right here.
        kinds: On how many it differs, and how.
    """

    benchmark: str
    scorer: str
    rows: int
    right: int
    ours: int
    kinds: dict[Kind, int]


def count_run(path: Path) -> list[Counted]:
    """Run a run's answers through the authors' scorer and the stock scorers of its benchmarks.

    Raises:
        LptError: There is no run, or it cannot be read.
    """
    folder = RunFolder.existing(path)
    found: list[Counted] = []
    for benchmark in folder.info().benchmarks:
        items = {item.id: item for item in folder.items(benchmark)}
        rows = folder.rows(benchmark)
        if strange := [row.source_id for row in rows if row.item_id not in items]:
            raise DataError(f"{path}: a row of {benchmark} is of no item: {strange[0]}.")
        stock = stock_scorers() if benchmark in COVERED else ()
        scorers = [None, *(scorer for scorer in stock if scorer.benchmark == benchmark)]
        found += [_counted(benchmark, scorer, rows, items) for scorer in scorers]
    return found


def _counted(benchmark: str, scorer: StockScorer | None, rows: list[Row], items: dict[str, Item]) -> Counted:
    verdicts = _verdicts(scorer, rows, items)
    kinds = Counter[Kind](
        kind
        for row, theirs in zip(rows, verdicts, strict=True)
        if (kind := kind_of(Verdict(row.outcome == "correct", row.letter or ""), theirs))
    )
    ours, right = (sum(row.outcome == "correct" for row in rows), sum(one.right for one in verdicts))
    return Counted(benchmark, scorer.name if scorer else AUTHORS, len(rows), right, ours, dict(kinds))


def _verdicts(scorer: StockScorer | None, rows: list[Row], items: dict[str, Item]) -> list[Verdict]:
    """What a scorer makes of answers; the authors' without one."""
    menus = [items[row.item_id].shown(row.shuffle).shown(items[row.item_id].mcq) for row in rows]
    if scorer is None:
        return [
            Verdict(authors_hit(row.whole, menu, row.gold_place), None)
            for row, menu in zip(rows, menus, strict=True)
        ]
    letters = scorer.letters([stripped(row.whole) for row in rows], menus)
    return [
        Verdict(scorer.right(letter, row.gold_place), letter)
        for letter, row in zip(letters, rows, strict=True)
    ]
