"""OpenAI's files and batches over HTTP: uploading, creating, finding again, looking, fetching."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import quote

import aiohttp

from lpt_core import EndpointError
from lpt_synth.config import OpenAIEndpoint
from lpt_synth.engines.batch_results import as_object
from lpt_synth.engines.connection import Connection, stop_error
from lpt_synth.engines.faults import Fault, Redactor
from lpt_synth.engines.retry import Health, backoff_s

T = TypeVar("T")

TAG = "lpt_tag"
"""The metadata by which a batch is found again whose creation was sent and whose id never came."""

ENDED = ("completed", "failed", "expired", "cancelled")
"""Statuses that do not change any more."""

_PAGE = 100
_SKEW_S = 3600  # clocks of client and server differ by less
_ID = re.compile(r"[\w.-]{1,200}")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the server tells of it.

    Attributes:
        id: The server's name for it.
        status: "validating", "in_progress", "finalizing", or one of ``ENDED``.
        output: The id of the file of answers; None where there is none.
        errors: The id of the file of requests that failed; None where there is none.
        done: Requests that came to an end.
        total: Requests in it.
        refusals: Why it failed as a whole: (line, counted from 1, or None; code; message).
    """

    id: str
    status: str
    output: str | None = None
    errors: str | None = None
    done: int = 0
    total: int = 0
    refusals: tuple[tuple[int | None, str, str], ...] = ()


class BatchApi:
    """The calls. What may pass is tried again; what stops a run is raised.

    Args:
        endpoint: Where.
    """

    def __init__(self, endpoint: OpenAIEndpoint) -> None:
        self._endpoint = endpoint
        self._connection = Connection(endpoint, endpoint.urls[0])
        self._health = Health(endpoint.patience_s, endpoint.where)

    @property
    def redact(self) -> Redactor:
        """Makes what the server says fit to be shown."""
        return self._connection.redact

    def stopped_by(self, fault: Fault) -> EndpointError:
        """The error for a fault that no request will get around."""
        return stop_error(self._endpoint, self._connection.url, fault)

    async def open(self) -> None:
        """Read the key; nothing is sent.

        Raises:
            EndpointError: It is not set.
        """
        await self._connection.open()

    async def close(self) -> None:
        """Close all connections."""
        await self._connection.close()

    async def upload(self, lines: bytes) -> str | Fault:
        """Upload requests. Returns the file's id.

        Raises:
            EndpointError: The server cannot be used.
        """

        def form() -> aiohttp.FormData:
            data = aiohttp.FormData()
            data.add_field("purpose", "batch")
            kind = "application/jsonl"
            data.add_field("file", lines, filename="lpt.jsonl", content_type=kind)
            return data

        return await self._call("upload", lambda: self._connection.upload("files", form), _id_of)

    async def create(self, file: str, path: str, window: str, tag: str, since: float) -> str | Fault:
        """Create a batch, once. Returns its id.

        Where the answer is lost, the batch may be there all the same: it is looked for before another is
        made.

        Args:
            file: The uploaded requests.
            path: "/v1/chat/completions" or "/v1/completions".
            window: See ``BatchSection.window``.
            tag: A mark of its own.
            since: When it was begun, seconds since 1970.

        Raises:
            EndpointError: The server cannot be used.
        """
        body = {"input_file_id": file, "endpoint": path, "completion_window": window, "metadata": {TAG: tag}}
        data = json.dumps(body).encode()
        tried = False

        async def send() -> bytes | Fault:
            nonlocal tried
            if tried and (found := await self.find(tag, since)):
                return json.dumps({"id": found}).encode()
            tried = True
            return await self._connection.post("batches", data)

        return await self._call("create", send, _id_of)

    async def find(self, tag: str, since: float) -> str | None:
        """The id of the batch with this tag, made at this time or later; None where there is none.

        Raises:
            EndpointError: The server cannot be used.
        """
        after = ""
        while True:
            path = f"batches?limit={_PAGE}" + (f"&after={quote(after)}" if after else "")
            page = await self._call("list", lambda path=path: self._connection.get(path), _page_of)
            if isinstance(page, Fault):
                return None  # a server that lists nothing
            rows, more = page
            for row in rows:
                mark = row.get("metadata")
                if isinstance(mark, dict) and cast("dict[str, Any]", mark).get(TAG) == tag:
                    return _text_id(row.get("id"))
            made = rows[-1].get("created_at") if rows else None
            last = _text_id(rows[-1].get("id")) if rows else None
            old = isinstance(made, int | float) and made < since - _SKEW_S
            if not more or old or last is None or last == after:
                return None
            after = last

    async def look(self, batch: str) -> Batch | None:
        """How a batch stands; None where the server knows of none such.

        Raises:
            EndpointError: The server cannot be used.
        """
        came = await self._call("look", lambda: self._connection.get(f"batches/{batch}"), read_batch)
        return None if isinstance(came, Fault) else came

    async def fetch(self, file: str) -> bytes | Fault:
        """What a file holds.

        Raises:
            EndpointError: The server cannot be used.
        """
        return await self._call("fetch", lambda: self._connection.get(f"files/{file}/content"), bytes)

    async def _call(
        self, what: str, send: Callable[[], Awaitable[bytes | Fault]], read: Callable[[bytes], T | None]
    ) -> T | Fault:
        """Send until something comes that can be read, or is refused for good."""
        first, attempts, counted = self._health.now(), 0, 0
        while True:
            attempt = self._health.begin()
            try:
                came = await send()
            finally:
                self._health.end(attempt)
            if not isinstance(came, Fault):
                made = read(came)
                if made is not None:
                    self._health.succeeded()
                    return made
                came = Fault("malformed", f"{what}: {self.redact(came[:200].decode('utf-8', 'replace'))}")
            if not came.retry:
                if came.stop and not (came.status in (404, 405) and what in ("list", "look", "fetch")):
                    raise self.stopped_by(came)
                return came
            attempts += 1
            counted += self._health.failed(what, came, first)
            if counted >= self._endpoint.max_attempts:
                raise EndpointError(
                    f"{self._endpoint.where}: {what} of a batch failed {counted} times. The last time: "
                    f"{came.message}",
                    "run again later: batches that were created go on, and are collected then",
                )
            await asyncio.sleep(backoff_s(attempts, came.retry_after))


# ---- reading ---------------------------------------------------------------------------------------------


def read_batch(raw: bytes) -> Batch | None:
    """A batch from the server's JSON; None where it is none. Never raises."""
    body = as_object(raw)
    batch, status = _text_id(body.get("id")), body.get("status")
    if batch is None or not isinstance(status, str):
        return None
    counts = body.get("request_counts")
    tally = cast("dict[str, Any]", counts) if isinstance(counts, dict) else {}
    done, failed, total = (_count(tally.get(name)) for name in ("completed", "failed", "total"))
    output, errors = _text_id(body.get("output_file_id")), _text_id(body.get("error_file_id"))
    return Batch(batch, status, output, errors, done + failed, total, _refusals(body.get("errors")))


def _text_id(value: object) -> str | None:
    """An id, if it is one that can stand in a URL."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _id_of(raw: bytes) -> str | None:
    return _text_id(as_object(raw).get("id"))


def _page_of(raw: bytes) -> tuple[Sequence[dict[str, Any]], bool] | None:
    body = as_object(raw)
    data = body.get("data")
    if not isinstance(data, list):
        return None
    rows = [cast("dict[str, Any]", row) for row in cast("list[object]", data) if isinstance(row, dict)]
    return rows, body.get("has_more") is True


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < 2**31 else 0


def _refusals(errors: object) -> tuple[tuple[int | None, str, str], ...]:
    data: object = cast("dict[str, Any]", errors).get("data") if isinstance(errors, dict) else errors
    found: list[tuple[int | None, str, str]] = []
    for error in cast("list[object]", data) if isinstance(data, list) else ():
        if isinstance(error, dict):
            told = cast("dict[str, Any]", error)
            line = told.get("line")
            at = line if type(line) is int and line > 0 else None
            found.append((at, str(told.get("code") or "")[:100], str(told.get("message") or "")[:500]))
    return tuple(found)
