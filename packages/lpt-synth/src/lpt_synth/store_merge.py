"""Joining stores: SQLite copies row by row from file to file, and what contradicts itself is found first."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from lpt_core import StoreError
from lpt_synth.rundir import RunDir
from lpt_synth.store import Store
from lpt_synth.writer import connect

_CONTRADICTIONS = """
    FROM part.outcomes AS theirs JOIN main.outcomes AS ours USING (key, sample)
    WHERE theirs.ok = 1 AND ours.ok = 1 AND (theirs.text != ours.text OR theirs.detail != ours.detail)
"""
# Seals last: each covers answers that are then there.
_COPY = (
    "INSERT OR IGNORE INTO main.parts SELECT * FROM part.parts",
    "INSERT OR IGNORE INTO main.requests SELECT * FROM part.requests",
    "INSERT INTO main.outcomes (key, sample, ok, text, detail, status) "
    "SELECT key, sample, ok, text, detail, status FROM part.outcomes WHERE true ORDER BY id "
    "ON CONFLICT (key, sample) DO UPDATE SET ok = excluded.ok, text = excluded.text, "
    "detail = excluded.detail, status = excluded.status WHERE ok = 0",
    "INSERT INTO main.calls (key, stage, samples, sent, input_tokens, output_tokens, cost, mode, model) "
    "SELECT key, stage, samples, sent, input_tokens, output_tokens, cost, mode, model "
    "FROM part.calls ORDER BY id",
    "INSERT INTO main.again SELECT * FROM part.again WHERE true "
    "ON CONFLICT (stage, reason) DO UPDATE SET requests = requests + excluded.requests",
    "INSERT OR IGNORE INTO main.notes SELECT * FROM part.notes",
    "INSERT OR IGNORE INTO main.seals SELECT * FROM part.seals",
)
_PUT_IMAGES = "INSERT OR IGNORE INTO main.images SELECT * FROM part.images"


class StoreMerge:
    """A run's store in the making, from those of its shards. It appears when it is whole.

    Args:
        target: The merged run; without a store.
        take_first: Keep the first of answers that contradict each other, instead of refusing them.

    Attributes:
        contradictions: Samples for which a later shard held another answer.
    """

    def __init__(self, target: RunDir, *, take_first: bool) -> None:
        self.target = target
        self.contradictions = 0
        self._take_first = take_first
        self._path = target.path / ".store.merging"
        for left in (
            self._path,
            *(self._path.with_name(f"{self._path.name}-{end}") for end in ("wal", "shm")),
        ):
            left.unlink(missing_ok=True)  # of a merge that was killed
        Store.open(self._path, create=True).close()

    def add(self, part: RunDir) -> None:
        """Take in everything of a shard's store.

        Raises:
            StoreError: It cannot be read, or holds other answers than the shards before it.
        """
        try:
            with closing(connect(self._path)) as connection, _attached(connection, part.store_path):
                self._compare(connection, part)
                connection.execute("BEGIN IMMEDIATE")
                for sql in _COPY:
                    connection.execute(sql)
                self._images(connection, part)
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(
                f"{part.store_path} cannot be merged into {self.target.path}: {error}."
            ) from error

    def finish(self) -> None:
        """Put the whole store in its place."""
        if self.contradictions:
            # A seal says that a caption is complete; with another answer in the middle it may not be.
            with closing(connect(self._path)) as connection:
                connection.execute("DELETE FROM seals")
        self._path.replace(self.target.store_path)

    def _compare(self, connection: sqlite3.Connection, part: RunDir) -> None:
        (count,) = connection.execute(f"SELECT count(*) {_CONTRADICTIONS}").fetchone()
        self.contradictions += count
        if count and not self._take_first:
            stage, item = connection.execute(
                "SELECT stage, item FROM part.requests WHERE key = "
                f"(SELECT theirs.key {_CONTRADICTIONS} ORDER BY theirs.key LIMIT 1)"
            ).fetchone()
            raise StoreError(
                f"{part.path} holds other answers than the shards before it, for {count} samples; the first "
                f"is of stage {stage}, about {item}.",
                "give --take-first to keep those of the earlier shards; what is then missing, `run` asks",
            )

    def _images(self, connection: sqlite3.Connection, part: RunDir) -> None:
        """What is known of images; those that the source held inside come along."""
        if not part.images.is_dir():
            connection.execute(_PUT_IMAGES)
            return
        inside = str(part.images) + os.sep
        for path, *facts in connection.execute("SELECT * FROM part.images"):
            place = str(_brought(Path(path), self.target.images)) if path.startswith(inside) else path
            connection.execute("INSERT OR IGNORE INTO main.images VALUES (?, ?, ?, ?, ?, ?)", (place, *facts))


def _brought(image: Path, folder: Path) -> Path:
    """An image in another folder: the same file where that can be, else a copy of the same age."""
    place = folder / image.name
    if not place.exists() and image.exists():
        folder.mkdir(exist_ok=True)
        try:
            os.link(image, place)
        except OSError:
            partial = place.with_name(f".{place.name}.part")
            shutil.copy2(image, partial)
            partial.replace(place)
    return place


@contextmanager
def _attached(connection: sqlite3.Connection, path: Path) -> Generator[None]:
    connection.execute("ATTACH DATABASE ? AS part", (str(path),))
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("DETACH DATABASE part")
