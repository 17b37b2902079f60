"""What a benchmark's numbers are means of: micro and macro accuracy, and the aggregates of their authors.

All are computed from totals by cell, the finest division that any of them needs, so that points and resamples
go through the same arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from lpt_eval.records import Item
from lpt_eval.statistics import Array

Metric = Literal["micro", "macro", "official", "pairs"]

PAPER_METRIC: dict[str, Metric] = {
    "cv_bench": "macro",
    "mme_realworld_v": "micro",
    "mmlu_pro": "macro",
    "mmstar_v": "micro",
    "mmvp": "micro",
    "vstar": "macro",
}
"""Which of a benchmark's numbers the paper prints, by arithmetic on its tables.

Certain for V* and MMLU-Pro (macro), and for MMVP and MMStar-V (micro). On CV-Bench only micro is excluded,
and of MME-RealWorld-V nothing is known.
"""

_PAIRED = ("mmvp",)
_CV_SOURCES = ("ade", "coco", "omni")


def paper_metric(benchmark: str, there: dict[Metric, Formula]) -> Metric:
    """The number that stands for a benchmark: the paper's where it has one and it can be had, else micro."""
    wanted = PAPER_METRIC.get(benchmark, "micro")
    return wanted if wanted in there else "micro"


@dataclass(frozen=True, slots=True)
class Formula:
    """A mean over cells, or a mean of means.

    Attributes:
        cells: Columns whose hits and counts are added up; empty in a mean of means.
        parts: What is averaged with equal weights; one without a question is left out.
    """

    cells: tuple[int, ...] = ()
    parts: tuple[Formula, ...] = ()

    def of(self, hits: Array, counts: Array) -> Array:
        """The number, for totals by cell in the last axis; NaN where there are no questions."""
        with np.errstate(invalid="ignore", divide="ignore"):
            if not self.parts:
                cells = list(self.cells)
                return np.asarray(hits[..., cells].sum(-1) / counts[..., cells].sum(-1))
            values = np.stack([part.of(hits, counts) for part in self.parts])
            there = np.isfinite(values)
            return np.asarray(np.where(there, values, 0.0).sum(0) / there.sum(0))


@dataclass(frozen=True, slots=True)
class Grid:
    """The items of a benchmark by cluster and by cell.

    The last cell counts clusters rather than questions: one is right where all of its questions are.

    Attributes:
        items: In the benchmark's order.
        labels: Category and subcategory of each cell but the last.
        cell: Of each item.
        cluster: Of each item, from 0.
    """

    items: tuple[Item, ...]
    labels: tuple[tuple[str, str], ...]
    cell: np.ndarray[tuple[int], np.dtype[np.int64]]
    cluster: np.ndarray[tuple[int], np.dtype[np.int64]]

    @classmethod
    def of(cls, items: tuple[Item, ...]) -> Grid:
        """The grid of these items."""
        keys = [(item.category or "", item.subcategory or "") for item in items]
        labels = sorted(set(keys))
        places = {label: place for place, label in enumerate(labels)}
        names = sorted({item.cluster for item in items})
        numbers = {name: number for number, name in enumerate(names)}
        return cls(
            items=items,
            labels=tuple(labels),
            cell=np.array([places[key] for key in keys], dtype=np.int64),
            cluster=np.array([numbers[item.cluster] for item in items], dtype=np.int64),
        )

    @property
    def width(self) -> int:
        """Number of cells."""
        return len(self.labels) + 1

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        return int(self.cluster.max()) + 1 if len(self.items) else 0

    def columns(self, hits: Array) -> Array:
        """Hits by cluster and cell, whole numbers over all samples.

        Args:
            hits: Items by samples, 0 or 1.
        """
        found = np.zeros((self.clusters, self.width))
        np.add.at(found, (self.cluster, self.cell), hits.sum(1))
        right = np.ones((self.clusters, hits.shape[1]))
        np.minimum.at(right, self.cluster, hits)
        found[:, -1] = right.sum(1)
        return found

    def counts(self) -> Array:
        """Questions by cluster and cell."""
        return self.columns(np.ones((len(self.items), 1)))

    def formulas(self) -> dict[Metric, Formula]:
        """The numbers that these items give."""
        every = Formula(tuple(range(len(self.labels))))
        found: dict[Metric, Formula] = {"micro": every}
        categories = self.categories()
        if len(categories) > 1:
            found["macro"] = Formula(parts=tuple(categories.values()))
        benchmark = self.items[0].benchmark if self.items else ""
        if benchmark == "cv_bench" and (official := self._official()):
            found["official"] = official
        if benchmark in _PAIRED:
            found["pairs"] = Formula((self.width - 1,))
        return found

    def categories(self) -> dict[str, Formula]:
        """The accuracy within each category."""
        names = sorted({category for category, _ in self.labels if category})
        return {
            name: Formula(tuple(place for place, (category, _) in enumerate(self.labels) if category == name))
            for name in names
        }

    def _official(self) -> Formula | None:
        """CV-Bench's own: half the mean of ADE20K and COCO, half Omni3D."""
        sources = {
            source: tuple(
                place
                for place, label in enumerate(self.labels)
                if any(part.casefold().startswith(source) for part in label)
            )
            for source in _CV_SOURCES
        }
        placed = list(chain(*sources.values()))
        if not all(sources.values()) or sorted(placed) != list(range(len(self.labels))):
            return None
        ade, coco, omni = (Formula(sources[source]) for source in _CV_SOURCES)
        return Formula(parts=(Formula(parts=(ade, coco)), omni))
