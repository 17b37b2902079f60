"""Dynamic batches: what was asked while the last batch was computed makes up the next.

One thread computes; the event loop stays free. Nothing here knows what computes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class Row(Generic[T, R]):
    """One thing to compute.

    Attributes:
        work: What it is.
        group: Only rows of one group share a batch.
        length: Its prompt, in tokens: rows of like length share a batch.
        tokens: What it can grow to.
        future: Gets what came of it.
        unwanted: Nobody waits for it any more.
    """

    work: T
    group: Hashable
    length: int
    tokens: int
    future: asyncio.Future[R]
    unwanted: bool = False


def next_batch(rows: Sequence[Row[T, R]], most_rows: int, most_tokens: int) -> list[Row[T, R]]:
    """The batch for the row that has waited longest: it, and those of its group nearest to it in length.

    Args:
        rows: All that wait, the oldest first; not empty.
        most_rows: Bound on the batch.
        most_tokens: Bound on rows times the tokens of the largest; one row is always taken.
    """
    oldest = rows[0]
    group = [row for row in rows if row.group == oldest.group]
    group.sort(key=lambda row: abs(row.length - oldest.length))
    batch: list[Row[T, R]] = []
    largest = 0
    for row in group[:most_rows]:
        largest = max(largest, row.tokens)
        if batch and largest * (len(batch) + 1) > most_tokens:
            break
        batch.append(row)
    return batch


@dataclass(slots=True)
class Batches(Generic[T, R]):
    """A queue of rows and the thread that computes them.

    Attributes:
        compute: Computes one batch, in the thread; gives one result for each row, in order.
        most_rows: See ``next_batch``.
        most_tokens: See ``next_batch``; may be lowered at any time.
    """

    compute: Callable[[list[Row[T, R]]], list[R]]
    most_rows: int
    most_tokens: int
    _rows: list[Row[T, R]] = field(default_factory=list["Row[T, R]"])
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None
    _closing: bool = False

    @property
    def closing(self) -> bool:
        """Whether what is computed will be thrown away."""
        return self._closing

    async def ask(self, rows: list[Row[T, R]]) -> list[R]:
        """Have rows computed, in whichever batches. Cancelled, they are taken back.

        Raises:
            Exception: What ``compute`` raised.
        """
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lpt-batches", daemon=True)
                self._thread.start()
            self._rows += rows
            self._changed.notify()
        try:
            return await asyncio.gather(*(row.future for row in rows))
        finally:
            for row in rows:
                row.unwanted = True

    def close(self) -> None:
        """Stop after the step that is under way, and wait for that. Rows that wait are cancelled."""
        with self._changed:
            self._closing = True
            left, self._rows = self._rows, []
            thread = self._thread
            self._changed.notify()
        for row in left:
            _tell(row, None, None)
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while batch := self._next():
            results: list[R] | None = None
            error: BaseException | None = None
            try:
                results = self.compute(batch)
            except BaseException as raised:  # whatever it is, it is theirs who wait
                error = raised
            for place, row in enumerate(batch):
                _tell(row, None if results is None else results[place], error)

    def _next(self) -> list[Row[T, R]]:
        """The next batch, as soon as there is one; empty when it is time to stop."""
        with self._changed:
            while True:
                self._rows = [row for row in self._rows if not row.unwanted]
                if self._closing or self._rows:
                    break
                self._changed.wait()
            if self._closing:
                return []
            batch = next_batch(self._rows, self.most_rows, self.most_tokens)
            taken = set(map(id, batch))
            self._rows = [row for row in self._rows if id(row) not in taken]
            return batch


def _tell(row: Row[T, R], result: R | None, error: BaseException | None) -> None:
    """Hand a result to the loop that waits for it, if it still does."""

    def settle() -> None:
        if row.future.done():
            return
        if error is not None:
            row.future.set_exception(error)
        elif result is None:
            row.future.cancel()
        else:
            row.future.set_result(result)

    loop = row.future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(settle)
