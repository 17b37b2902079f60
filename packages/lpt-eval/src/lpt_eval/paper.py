"""The paper's own numbers, to be shown beside a user's (arXiv 2504.15362, tables 1, 4 and 5)."""

from __future__ import annotations

from functools import cache
from importlib import resources

from pydantic import Field

from lpt_core import Part


class PaperRow(Part):
    """One row of a table, in per cent.

    Attributes:
        name: What the paper calls the model.
        table: Where it stands.
        average: The average as printed.
        scores: By benchmark, or by subject of MMLU-Pro.
    """

    name: str
    table: str
    average: float
    scores: dict[str, float]


class PaperNumbers(Part):
    """All of them.

    Attributes:
        source: Which paper.
        unit: Of the numbers.
        benchmarks: The five benchmarks of images.
        mmlu_pro: By subject; the average is their macro average.
        vstar_counts: Right answers, and questions, in the two categories of V*: found by arithmetic on the
            printed values, not printed.
    """

    source: str
    unit: str
    benchmarks: tuple[PaperRow, ...] = Field(min_length=1)
    mmlu_pro: tuple[PaperRow, ...] = Field(min_length=1)
    vstar_counts: dict[str, dict[str, tuple[int, int]]]


@cache
def paper_numbers() -> PaperNumbers:
    """The numbers that ship with lpt-eval."""
    text = (resources.files("lpt_eval") / "data" / "paper.json").read_text(encoding="utf-8")
    return PaperNumbers.model_validate_json(text)
