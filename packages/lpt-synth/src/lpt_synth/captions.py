"""From a source's rows to captions: rows read, images inspected, problems counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lpt_core import Caption, DataError, ImageRef, Problem
from lpt_synth.config import RunConfig
from lpt_synth.images import inspect_image
from lpt_synth.shard import SourceSum
from lpt_synth.sources import SourceRow, read_source
from lpt_synth.store import Store


class CaptionReader:
    """Reads a configuration's captions, in the source's order (or the one drawn from the seed).

    Problems are kept, with file and line, in ``problems`` (the first thousand) and counted in ``counts``.
    ``whole`` sums up all rows of the source, other shards' too, when they have been gone through. Iterating
    again starts over.
    """

    KEPT = 1000

    def __init__(self, config: RunConfig, store: Store, cache: Path) -> None:
        self.config = config
        self.store = store
        self.cache = cache
        self.problems: list[Problem] = []
        self.counts: Counter[str] = Counter()
        self.whole = SourceSum()
        self._seen: set[str] = set()

    def report(self, problem: Problem) -> None:
        """Take note of a row that cannot be used.

        Raises:
            DataError: The configuration wants such rows to be fatal.
        """
        self.counts[f"source.rejected.{problem.kind}"] += 1
        if self.config.source.on_bad == "stop":
            raise DataError(str(problem), "mend the row, or set source.on_bad: skip")
        if len(self.problems) < self.KEPT:
            self.problems.append(problem)

    def rows(self) -> Iterator[SourceRow]:
        """The source's usable rows; images are not looked at yet."""
        self.problems.clear()
        self.counts.clear()
        self._seen.clear()
        self.whole = SourceSum()
        for row in read_source(
            self.config.source,
            seed=self.config.seed,
            cache=self.cache,
            report=self.report,
            whole=self.whole,
        ):
            self.counts["source.rows"] += 1
            yield row

    def known(self, row: SourceRow) -> Caption | None:
        """The caption of a row whose image was inspected before and has not changed since."""
        image = self.store.image(row.image)
        return None if image is None else self._caption(row, image)

    def inspect(self, row: SourceRow) -> Caption | Problem:
        """The caption of a row, its image decoded whole; slow, and safe to call from a thread."""
        image = inspect_image(row.image, where=row.where, max_pixels=self.config.source.max_image_pixels)
        return image if isinstance(image, Problem) else self._caption(row, image)

    def is_new(self, caption: Caption, where: str) -> bool:
        """Whether no earlier row had the same text and image; takes note of one that had."""
        if caption.id in self._seen:
            self.report(Problem("caption_duplicate", "the same text and image as an earlier row", where))
            return False
        self._seen.add(caption.id)
        self.counts["source.captions"] += 1
        return True

    def read(self, *, inspect: bool = True) -> Iterator[Caption]:
        """All captions, one after the other: for reading what a run has made.

        Args:
            inspect: Look at images that no run has looked at yet (slow); otherwise their rows are passed
                over, and counted as ``source.waiting``.
        """
        for row in self.rows():
            caption = self.known(row)
            if caption is None:
                if not inspect:
                    self.counts["source.waiting"] += 1
                    continue
                caption = self.inspect(row)
            if isinstance(caption, Problem):
                self.report(caption)
            elif self.is_new(caption, row.where):
                yield caption

    def _caption(self, row: SourceRow, image: ImageRef) -> Caption:
        return Caption.make(
            text=row.text,
            image=image,
            source=row.source,
            source_id=row.source_id,
            split=row.split,
            licence=self.config.source.licence,
        )
