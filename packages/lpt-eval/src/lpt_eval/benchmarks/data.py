"""What loading a benchmark gives, and how its faults are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lpt_core import DataError, Problem
from lpt_eval.records import Item

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark that can be asked.

    Attributes:
        name: Its name.
        items: What is asked.
        root: Where the relative paths of its images begin.
        data: Where it came from, for people.
        label_set: Which edition of its answers it has.
        left_out: Rows that nobody could answer.
    """

    name: str
    items: tuple[Item, ...]
    root: Path
    data: str
    label_set: str = "original"
    left_out: tuple[Problem, ...] = ()

    def image(self, item: Item) -> Path | None:
        """The file of an item's image; None where it has none."""
        return None if item.image is None else self.root / item.image.path


def raise_all(problems: Sequence[Problem], what: str) -> None:
    """Raise one error that names the faults, where there are any.

    Raises:
        DataError: There are.
    """
    if not problems:
        return
    lines = [f"  {problem}" for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"  … and {len(problems) - _SHOWN} more")
    count = f"{len(problems)} faults" if len(problems) > 1 else "a fault"
    raise DataError("\n".join([f"{what}: {count}:", *lines]))


def unique(items: Iterable[Item]) -> Iterator[Item]:
    """The items with ids that differ even where the content of some is the same."""
    seen: Counter[str] = Counter()
    for item in items:
        repeat = seen[item.id]
        seen[item.id] += 1
        if not repeat:
            yield item
            continue
        yield Item.make(
            benchmark=item.benchmark,
            source_id=item.source_id,
            mcq=item.mcq,
            presentation=item.presentation,
            image=item.image,
            category=item.category,
            subcategory=item.subcategory,
            cluster=item.id if item.cluster == item.id else item.cluster,
            repeat=repeat,
        )
