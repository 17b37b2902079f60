"""Answers as they came in, so that a run that was killed goes on and none is paid for twice.

The key of an answer is made of everything that decides it: messages, images, the pixel policy, sampling,
seed, the number of the sample, and which weights answer. Each answer is written when it arrives, in a
database that survives the process's end (SQLite, write-ahead log).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from pydantic import Field, ValidationError

from lpt_core import Part, StoreError, canonical_json
from lpt_eval.records import FinishReason, Said

_VERSION = 1


class Answer(Part):
    """What a model said, as in ``records.Response``, before it belongs to an item."""

    text: Said
    reasoning: Said | None = None
    finish_reason: FinishReason
    error: Said | None = None
    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)
    seconds: float | None = Field(default=None, ge=0)
    image_size: tuple[int, int] | None = None

    @classmethod
    def failure(cls, error: str, **known: Any) -> Self:
        """A request that was not answered."""
        return cls(text="", finish_reason="error", error=error[:2000], **known)


def answer_key(value: Any) -> str:
    """The key of what decides an answer: SHA-256 of its canonical JSON.

    Args:
        value: JSON data.
    """
    return hashlib.sha256(canonical_json({"journal": _VERSION, "request": value})).hexdigest()


class Journal:
    """The answers of a run, by key.

    Args:
        path: The database's file; made where it is not there.

    Raises:
        StoreError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._db.execute("PRAGMA journal_mode=WAL")
            # Whole after a kill at any moment; a power cut may cost the last answers, which are asked again.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL)"
            )
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self._rows("SELECT count(*) FROM answers")[0][0])

    def get(self, key: str) -> Answer | None:
        """The answer with a key; None where there is none, or where the request failed: it is made again.

        Raises:
            StoreError: The database is broken.
        """
        rows = self._rows("SELECT answer FROM answers WHERE key = ?", (key,))
        if not rows:
            return None
        try:
            answer = Answer.model_validate_json(rows[0][0])
        except ValidationError as error:
            raise self._failed(error) from error
        return None if answer.error is not None else answer

    def put(self, answers: Iterable[tuple[str, Answer]]) -> None:
        """Keep answers, all or none; what was answered before stays.

        Raises:
            StoreError: They cannot be written.
        """
        rows = [(key, answer.model_dump_json(), answer.error is None) for key, answer in answers]
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                for key, text, answered in rows:
                    # A failure never takes an answer's place; an answer takes a failure's.
                    how = "REPLACE" if answered else "IGNORE"
                    self._db.execute(f"INSERT OR {how} INTO answers VALUES (?, ?)", (key, text))
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise self._failed(error) from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def _rows(self, query: str, values: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreError:
        said = " ".join(str(error).split())[:300]
        return StoreError(
            f"the journal {self._path} cannot be used: {said}.",
            "choose another folder with --out; what is in the rows is not lost",
        )
