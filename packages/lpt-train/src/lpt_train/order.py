"""In which order rows are trained on: drawn at random, split into micro-batches by length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lpt_core import derived_int


def shuffled(count: int, *, seed: int, epoch: int) -> list[int]:
    """All rows in the order in which an epoch's updates take them."""
    return sorted(range(count), key=lambda row: derived_int(seed, "order", epoch, row))


class LengthOrder:
    """The order of the rows of an epoch; a sampler for torch's ``DataLoader``.

    All rows are shuffled, cut into windows of whole updates, and sorted by length inside each window, so
    that the rows of a micro-batch, and those that several devices take at the same time, are about equally
    long. With a window of one update every update is a plain random draw: what sorting changes is only
    which of its rows are padded together. With more, micro-batches are dealt out again at random, so that
    updates are not short or long throughout.

    The order follows from seed, epoch and the lengths alone; nothing is remembered between epochs.

    Args:
        lengths: Tokens of each row.
        batch: Rows of an update.
        micro: Rows that all devices take at one time: the micro-batch times the number of devices.
        window: Updates whose rows are sorted together.
        seed: Of the shuffle.
    """

    def __init__(
        self, lengths: Sequence[int], *, batch: int, micro: int, window: int = 1, seed: int = 42
    ) -> None:
        self._lengths = lengths
        self._batch, self._micro, self._window, self._seed = batch, micro, window, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        rows = shuffled(len(self), seed=self._seed, epoch=self._epoch)
        size = self._batch * self._window
        for start in range(0, len(rows), size):
            yield from self._sorted(rows[start : start + size], start)

    def _sorted(self, rows: list[int], start: int) -> Iterator[int]:
        by_length = sorted(rows, key=lambda row: (-self._lengths[row], row))
        groups = [by_length[at : at + self._micro] for at in range(0, len(by_length), self._micro)]
        # Only whole groups move: a short one inside would shift the borders of all that follow.
        whole = [group for group in groups if len(group) == self._micro]
        if self._window > 1:
            whole.sort(key=lambda group: derived_int(self._seed, "deal", self._epoch, start, group[0]))
        for group in (*whole, *groups[len(whole) :]):
            yield from group
