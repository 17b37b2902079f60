"""The store of a run: every raw outcome in one SQLite file, before anything reads it.

One row per sample, by the request's key and the sample's number, so that asking for more samples later
pays for the new ones alone. A writer thread commits in groups (WAL, ``synchronous=FULL``): what ``put``
has returned for survives a kill and a power cut. Reads go through a connection of their own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lpt_core import ImageRef, StoreError, derived_int
from lpt_synth.types import Completion, Failure, FailureKind, Outcome, Reply, Request
from lpt_synth.writer import Writer, connect

STORE_VERSION = 1
_SCHEMA = """
CREATE TABLE parts (id INTEGER PRIMARY KEY, json TEXT NOT NULL);
CREATE TABLE requests (
    key TEXT PRIMARY KEY, stage TEXT NOT NULL, item TEXT NOT NULL, parts INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX requests_of_item ON requests (item, stage);
CREATE TABLE outcomes (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, sample INTEGER NOT NULL,
    ok INTEGER NOT NULL, text TEXT NOT NULL, detail TEXT NOT NULL, status INTEGER,
    UNIQUE (key, sample)
);
CREATE TABLE calls (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, stage TEXT NOT NULL, samples INTEGER NOT NULL,
    sent INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cost REAL NOT NULL, mode TEXT NOT NULL, model TEXT NOT NULL
);
CREATE TABLE again (stage TEXT NOT NULL, reason TEXT NOT NULL, requests INTEGER NOT NULL,
    PRIMARY KEY (stage, reason)) WITHOUT ROWID;
CREATE TABLE images (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE seals (caption TEXT NOT NULL, plan TEXT NOT NULL, tally TEXT NOT NULL,
    PRIMARY KEY (caption, plan)) WITHOUT ROWID;
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What has been asked and paid for in a stage, over all runs of this store."""

    stage: str
    calls: int
    samples: int
    sent: int
    input_tokens: int
    output_tokens: int
    cost: float


class Store:
    """An open store. Use ``Store.open``; close it, or use it in a ``with``.

    One process may write at a time (the runner holds a lock on the run's directory); any may read.
    """

    def __init__(self, path: Path, reader: sqlite3.Connection, *, began_empty: bool) -> None:
        self.path = path
        self._reader = reader
        self.writer = Writer(path)
        self._parts: dict[tuple[tuple[str, str], ...], int] = {}
        self._began_empty = began_empty

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Store:
        """Open a store, and make it where ``create`` allows that.

        Raises:
            StoreError: It is not there, not ours, of another version, or cannot be read or written.
        """
        if not create and not path.is_file():
            raise StoreError(f"{path} is not there.", "run `lpt-synth run CONFIG.yaml --out RUN_DIR` first")
        reader: sqlite3.Connection | None = None
        try:
            reader = connect(path)
            version = reader.execute("PRAGMA user_version").fetchone()[0]
            tables = reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            if version == 0 and tables == 0:
                reader.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {STORE_VERSION}; COMMIT;")
            elif version != STORE_VERSION:
                raise StoreError(
                    f"{path} is a store of version {version}; this lpt-synth writes version {STORE_VERSION}.",
                    "use the lpt-synth that made it, or another run directory",
                )
            began_empty = not reader.execute("SELECT EXISTS (SELECT 1 FROM calls)").fetchone()[0]
        except (sqlite3.Error, StoreError) as error:
            if reader is not None:
                reader.close()
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{path} cannot be used as a store: {error}.") from error
        return cls(path, reader, began_empty=began_empty)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish what is to be written, and close."""
        self.writer.close()
        self._reader.close()

    # ---- outcomes ------------------------------------------------------------------------------------

    def get(self, key: str) -> dict[int, Outcome]:
        """The outcomes of a request that are stored, by the number of their sample."""
        rows = self.query("SELECT sample, ok, text, detail, status FROM outcomes WHERE key = ?", (key,))
        return {sample: _outcome(ok, text, detail, status) for sample, ok, text, detail, status in rows}

    def outcomes(self, request: Request) -> list[Outcome | None]:
        """One outcome per sample of a request; None for what is not stored."""
        stored = self.get(request.key)
        return [stored.get(sample) for sample in range(request.n)]

    async def put(self, request: Request, samples: Sequence[int], reply: Reply, cost: float = 0.0) -> None:
        """Store what came of a request; when this returns, it is on disk.

        A failure never replaces a completion. Token counts and cost are those of the whole reply.

        Raises:
            StoreError: It cannot be written; nothing after it will be.
        """
        statements: list[tuple[str, tuple[Any, ...]]] = []
        parts = tuple(request.parts.items())
        mark = self._parts.get(parts)
        if mark is None:
            text = json.dumps(dict(parts), sort_keys=True)
            mark = self._parts[parts] = derived_int(0, text)
            statements.append(("INSERT OR IGNORE INTO parts VALUES (?, ?)", (mark, text)))
        statements.append((_PUT_REQUEST, (request.key, request.stage, request.item, mark)))
        for sample, outcome in zip(samples, reply.outcomes, strict=True):
            if isinstance(outcome, Completion):
                values = (request.key, sample, 1, _storable(outcome.text), outcome.finish_reason, None)
            else:
                values = (request.key, sample, 0, _storable(outcome.message), outcome.kind, outcome.status)
            statements.append((_PUT_OUTCOME, values))
        counts = (len(samples), reply.sent, reply.input_tokens, reply.output_tokens, cost)
        statements.append((_PUT_CALL, (request.key, request.stage, *counts, reply.mode, reply.model)))
        await self.writer.write(statements)

    def others_of(self, request: Request) -> list[dict[str, str]]:
        """The parts of other requests that the same stage made about the same item in an earlier run."""
        if self._began_empty:
            return []
        rows = self.query(
            "SELECT parts.json FROM requests JOIN parts ON parts.id = requests.parts "
            "WHERE item = ? AND stage = ? AND key != ?",
            (request.item, request.stage, request.key),
        )
        return [json.loads(row[0]) for row in rows]

    async def count_again(self, stage: str, reason: str) -> None:
        """Remember that an item was asked about again, and why."""
        await self.writer.write([(_COUNT_AGAIN, (stage, reason))])

    def asked_again(self) -> list[tuple[str, str, int]]:
        """(stage, reason, number of requests) of what was asked again because something changed."""
        return list(self.query("SELECT stage, reason, requests FROM again ORDER BY stage, reason"))

    # ---- what else a run remembers -------------------------------------------------------------------

    def image(self, path: Path) -> ImageRef | None:
        """What is known of an image's file, if it is still the same by size and time."""
        try:
            stat = path.stat()
        except OSError:
            return None
        rows = self.query(
            "SELECT sha256, width, height FROM images WHERE path = ? AND size = ? AND mtime_ns = ?",
            (str(path), stat.st_size, stat.st_mtime_ns),
        )
        return next((ImageRef(path=str(path), sha256=s, width=w, height=h) for s, w, h in rows), None)

    async def put_image(self, image: ImageRef) -> None:
        """Remember an image that was inspected."""
        stat = Path(image.path).stat()
        values = (image.path, stat.st_size, stat.st_mtime_ns, image.sha256, image.width, image.height)
        await self.writer.write([("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?)", values)])

    def seal(self, caption: str, plan: str) -> dict[str, int] | None:
        """The tally of a caption that is complete under this plan, or None."""
        rows = self.query("SELECT tally FROM seals WHERE caption = ? AND plan = ?", (caption, plan))
        return next((json.loads(row[0]) for row in rows), None)

    async def put_seal(self, caption: str, plan: str, tally: dict[str, int]) -> None:
        """Remember that a caption is complete under a plan. Written after everything that it covers."""
        values = (caption, plan, json.dumps(tally, sort_keys=True))
        await self.writer.write([("INSERT OR REPLACE INTO seals VALUES (?, ?, ?)", values)])

    def usage(self) -> list[Usage]:
        """Totals by stage."""
        rows = self.query(
            "SELECT stage, count(*), sum(samples), sum(sent), sum(input_tokens), sum(output_tokens), "
            "sum(cost) FROM calls GROUP BY stage ORDER BY stage"
        )
        return [Usage(*row) for row in rows]

    def mark(self) -> str:
        """A mark that differs whenever outcomes were added, for telling whether sets are stale."""
        row = next(self.query("SELECT coalesce(max(id), 0), coalesce(sum(samples), 0) FROM calls"))
        return f"{row[0]}.{row[1]}"

    @property
    def notes(self) -> Notes:
        """Small things remembered under a name."""
        return Notes(self)

    # ---- inside --------------------------------------------------------------------------------------

    def query(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows of a query.

        Raises:
            StoreError: The file cannot be read.
        """
        try:
            return iter(self._reader.execute(sql, values).fetchall())
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} cannot be read: {error}.") from error


class Notes:
    """Small things that a run remembers, such as how an endpoint continues a begun answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str) -> str | None:
        """What was put under the key, if anything."""
        rows = self._store.query("SELECT value FROM notes WHERE name = ?", (key,))
        return next((row[0] for row in rows), None)

    def put(self, key: str, value: str) -> None:
        """Keep the value; it is written with what is written next, and nobody waits for it."""
        self._store.writer.enqueue([(_PUT_NOTE, (key, value))])

    async def keep(self, key: str, value: str) -> None:
        """Keep the value; when this returns, it is on disk."""
        await self._store.writer.write([(_PUT_NOTE, (key, value))])

    async def drop(self, key: str) -> None:
        """Forget the key."""
        await self._store.writer.write([("DELETE FROM notes WHERE name = ?", (key,))])

    def under(self, prefix: str) -> dict[str, str]:
        """All that was put under keys that begin so."""
        rows = self._store.query(
            "SELECT name, value FROM notes WHERE substr(name, 1, ?) = ? ORDER BY name", (len(prefix), prefix)
        )
        return {name: value for name, value in rows}


_PUT_NOTE = "INSERT OR REPLACE INTO notes VALUES (?, ?)"
_PUT_REQUEST = "INSERT OR IGNORE INTO requests (key, stage, item, parts) VALUES (?, ?, ?, ?)"
_PUT_OUTCOME = (
    "INSERT INTO outcomes (key, sample, ok, text, detail, status) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (key, sample) DO UPDATE SET ok = excluded.ok, text = excluded.text, "
    "detail = excluded.detail, status = excluded.status WHERE ok = 0"
)
_PUT_CALL = (
    "INSERT INTO calls (key, stage, samples, sent, input_tokens, output_tokens, cost, mode, model) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_COUNT_AGAIN = (
    "INSERT INTO again VALUES (?, ?, 1) ON CONFLICT (stage, reason) DO UPDATE SET requests = requests + 1"
)


def _outcome(ok: int, text: str, detail: str, status: int | None) -> Outcome:
    return Completion(text, detail) if ok else Failure(cast(FailureKind, detail), text, status)


def _storable(text: str) -> str:
    """The text without lone surrogates, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
