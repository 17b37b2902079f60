"""The paper's benchmarks: their rows, read by their schemas, as items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from lpt_core import MCQ, ConfigError, DataError, ImageRef, Presentation, Problem
from lpt_eval.benchmarks import schemas
from lpt_eval.benchmarks.data import Benchmark, raise_all, unique
from lpt_eval.benchmarks.rows import Row, image_of, read_rows
from lpt_eval.benchmarks.schemas import Question
from lpt_eval.records import Item


@dataclass(frozen=True, slots=True)
class Published:
    """A published benchmark.

    Attributes:
        name: Its name here.
        source: Its dataset's id on the hub.
        split: Of that dataset.
        read: Reads a row.
        images: Whether its questions are about images.
    """

    name: str
    source: str
    split: str
    read: Callable[[Row], Question | None]
    images: bool = True

    def load(self, where: str | None = None) -> Benchmark:
        """Its items.

        Rows that nobody could answer (two options are the same) are left out, and told of in ``left_out``.

        Args:
            where: See ``rows.read_rows``; the hub's dataset without it.

        Raises:
            ConfigError: There is nothing there.
            DataError: Rows are not in its schema; they are named.
            EndpointError: The hub cannot be reached.
        """
        place = where or self.source
        root = Path(place).expanduser() if Path(place).expanduser().is_dir() else None
        problems, left_out, items = list[Problem](), list[Problem](), list[Item]()
        for number, row in enumerate(read_rows(place, self.split), 1):
            try:
                question = self.read(row)
                if question is None:
                    continue
                image = image_of(question.image, root) if self.images else None
            except DataError as error:
                problems.append(Problem("bad_row", error.message, f"row {number}"))
                continue
            try:
                items.append(self._item(question, image))
            except ValidationError as error:
                said = error.errors()[0]["msg"].removeprefix("Value error, ")
                left_out.append(Problem("unsound", said, f"row {number} ({question.source_id})"))
        raise_all(problems, f"the rows of {self.name} in {place}")
        if not items:
            raise ConfigError(f"{place} has no rows of {self.name}.")
        # Image paths are absolute, or those of the cache.
        return Benchmark(
            self.name, tuple(unique(items)), Path("/"), place, _label_set(items), tuple(left_out)
        )

    def _item(self, question: Question, image: ImageRef | None) -> Item:
        mcq = MCQ.make(caption_id="", question=question.text, options=question.options, gold=question.gold)
        shown = Presentation(
            mcq_id=mcq.id,
            order=tuple(range(len(mcq.options))),
            option_style="parens",
            answer_style="letter_parens",
        )
        return Item.make(
            benchmark=self.name,
            source_id=question.source_id,
            mcq=mcq,
            presentation=shown,
            image=image,
            category=question.category,
            subcategory=question.subcategory,
            cluster=question.cluster or (image.sha256 if image else None),
        )


_CORRECTED = {"99": 1, "100": 0, "279": 1, "280": 0}
"""MMVP's golds in lmms-lab's edition where they differ from the authors' (lmms-eval, issue 1018)."""


def _label_set(items: Sequence[Item]) -> str:
    if items[0].benchmark != "mmvp":
        return "original"
    there = [item for item in items if item.source_id in _CORRECTED]
    corrected = [item.mcq.gold == _CORRECTED[item.source_id] for item in there]
    return "corrected" if corrected and all(corrected) else "original"


PUBLISHED = (
    Published("cv_bench", "nyu-visionx/CV-Bench", "test", schemas.cv_bench),
    Published("vstar", "lmms-lab-encoder/vstar-bench", "test", schemas.vstar),
    Published("mmvp", "lmms-lab-eval/MMVP", "train", schemas.mmvp),
    Published("mmstar_v", "Lin-Chen/MMStar", "val", schemas.mmstar_v),
    Published("mme_realworld_v", "yifanzhang114/MME-RealWorld-Lmms-eval", "train", schemas.mme_realworld_v),
    Published("mmlu_pro", "TIGER-Lab/MMLU-Pro", "test", schemas.mmlu_pro, images=False),
)
