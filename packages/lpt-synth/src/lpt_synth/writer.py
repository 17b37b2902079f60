"""The thread that writes a store: what gathers is committed as one, and who waits is told after."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from lpt_core import StoreError

_GATHER_S = 0.002  # the writer waits so long for company: a commit costs as much for fifty rows as for one
Statements = Sequence[tuple[str, tuple[Any, ...]]]
"""SQL with its values; those with the same text are carried out together, in the order of first sight."""


class _Write:
    """A piece of work for the writer thread, and who waits for it."""

    __slots__ = ("error", "future", "statements")

    def __init__(self, statements: Statements, future: asyncio.Future[None] | None) -> None:
        self.statements = statements
        self.future = future
        self.error: BaseException | None = None


class Writer:
    """Writes to one SQLite file from a thread of its own, which starts with the first write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._broken: BaseException | None = None

    async def write(self, statements: Statements) -> None:
        """Write; when this returns, it is on disk.

        Raises:
            StoreError: It cannot be written; nothing after it will be.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(_Write(statements, future))
        await future

    def enqueue(self, statements: Statements) -> None:
        """Have something written that nobody waits for."""
        self._put(_Write(statements, None))

    def close(self) -> None:
        """Write what is left, and end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _put(self, write: _Write) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lpt-store", daemon=True)
            self._thread.start()
        self._queue.put(write)

    def _run(self) -> None:
        with closing(connect(self.path)) as connection:
            more = True
            while more:
                batch = [self._queue.get()]
                if batch[0] is not None:
                    time.sleep(_GATHER_S)
                while not self._queue.empty() and len(batch) < 1000:
                    batch.append(self._queue.get())
                more = None not in batch
                writes = [write for write in batch if write is not None]
                if writes:
                    self._commit(connection, writes)
                    _tell(writes)

    def _commit(self, connection: sqlite3.Connection, writes: list[_Write]) -> None:
        try:
            if self._broken is not None:
                raise self._broken
            connection.execute("BEGIN IMMEDIATE")
            together: dict[str, list[tuple[Any, ...]]] = {}
            for write in writes:
                for sql, values in write.statements:
                    together.setdefault(sql, []).append(values)
            for sql, rows in together.items():
                connection.executemany(sql, rows)
            connection.execute("COMMIT")
        except (sqlite3.Error, StoreError) as error:
            # A store that cannot write must not swallow another answer: this and all later writes fail.
            self._broken = error
            message = f"{self.path} cannot be written: {error}."
            remedy = "free space or mend the disk, then run again: what was stored before is kept"
            for write in writes:
                write.error = StoreError(message, remedy)


def connect(path: Path) -> sqlite3.Connection:
    """Open the file as every reader and the writer of a store do."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -65536")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _tell(writes: list[_Write]) -> None:
    """Wake those who wait, with one call into their event loop."""
    waiting = [(write.future, write.error) for write in writes if write.future is not None]

    def settle() -> None:
        for future, error in waiting:
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(None)

    if waiting:
        # A closed loop means that nobody waits any more; the rows are stored all the same.
        with suppress(RuntimeError):
            waiting[0][0].get_loop().call_soon_threadsafe(settle)
