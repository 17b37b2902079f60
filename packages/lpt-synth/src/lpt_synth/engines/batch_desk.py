"""Where requests are gathered into batches, and what came of them is given out: once each, crash or not.

A batch goes through these steps, and a crash after any of them costs nothing and asks nothing twice:

1. Its tag and the ids of its requests are put on disk: the intent. A crash before this has sent nothing.
2. Its requests are uploaded as a file, which alone costs nothing.
3. It is created, with the tag in its metadata. Whoever finds an intent without a batch's id looks for the tag
   among the server's batches, and takes the batch if it is there.
4. Its id is put on disk, and it is polled until it has ended.
5. What it holds is given to those who ask for it. When each of its requests has been answered and is on disk,
   the batch is forgotten.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from lpt_core import EndpointError
from lpt_synth.config import BatchSection
from lpt_synth.engines import wire
from lpt_synth.engines.batch_api import ENDED, Batch, BatchApi
from lpt_synth.engines.batch_gather import Gatherer
from lpt_synth.engines.batch_journal import Journal, Sent
from lpt_synth.engines.batch_results import Result, read_results, refused_lines
from lpt_synth.engines.faults import Fault

_CROWDED = "token_limit_exceeded"  # too much of ours is enqueued: another batch has to end first

_LAG_S = 10.0


@dataclass(slots=True)
class _Wanted:
    """A request that somebody waits for."""

    path: str
    body: dict[str, Any]
    waiting: list[asyncio.Future[Result]] = field(default_factory=list["asyncio.Future[Result]"])


class Desk:
    """See the module.

    Args:
        api: The server.
        section: When a batch is sent, and how often it is looked at.
        journal: Where batches under way are kept.
        prefix: Of this endpoint's keys in the journal.
        known: Whether the outcome of the request with this id is on disk.
        progress: Is told (batches, requests done, requests) of all that is under way.
    """

    def __init__(
        self,
        api: BatchApi,
        section: BatchSection,
        journal: Journal,
        prefix: str,
        known: Callable[[str], bool],
        progress: Callable[[tuple[int, int, int]], None],
    ) -> None:
        self._api, self._section, self._journal, self._prefix = api, section, journal, prefix
        self._known, self._progress = known, progress
        self._wanted: dict[str, _Wanted] = {}
        self._home: dict[str, Sent] = {}
        self._gatherer = Gatherer(section, self._send)
        self._counts: dict[str, tuple[int, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_ended = asyncio.Event()
        self._refused = 0
        self._error: Exception | None = None
        self._resumed = False

    async def answer(self, name: str, path: str, body: dict[str, Any]) -> Result:
        """What comes of a request: from a batch that holds it already, or from the next.

        Args:
            name: Its ``custom_id``.
            path: "/v1/chat/completions".
            body: What is asked.

        Raises:
            EndpointError: The server cannot be used.
            StoreError: The journal cannot be written.
        """
        if not self._resumed:
            self._resume()
        if self._error is not None:
            raise self._error
        home = self._home.get(name)
        if home is not None and name in home.results:
            return home.results[name]
        wanted = self._wanted.setdefault(name, _Wanted(path, body))
        if home is None and not self._gatherer.holds(name, path):
            wanted.body = body
            self._gatherer.add(name, path, body)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        wanted.waiting.append(future)
        try:
            return await future
        finally:
            wanted.waiting.remove(future)
            if not wanted.waiting:
                self._wanted.pop(name, None)
                self._gatherer.take_out(name, wanted.path)

    async def done(self, name: str) -> None:
        """What came of a request is on disk, or is to be asked for anew."""
        sent = self._home.pop(name, None)
        if sent is not None:
            sent.left.discard(name)
            sent.results.pop(name, None)
            if not sent.left:
                await self._journal.drop(self._prefix + sent.tag)

    async def close(self) -> None:
        """Stop looking. Batches go on at the server, and are found again by the journal."""
        self._gatherer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._home.clear()
        self._resumed = False

    @property
    def under_way(self) -> int:
        """How many batches are waited for."""
        return len(self._counts)

    # ---- sending ------------------------------------------------------------------------------------

    def _send(self, path: str, lines: dict[str, bytes]) -> None:
        made, raw = time.time(), b"".join(lines.values())
        tag = hashlib.blake2b(f"{made!r}\n".encode() + raw, digest_size=16).hexdigest()
        sent = Sent(tag, path, tuple(lines), made, left=set(lines))
        self._home.update(dict.fromkeys(sent.ids, sent))
        self._start(self._follow(sent, raw))

    def _resume(self) -> None:
        """Take up what an earlier run has left under way."""
        self._resumed = True
        for key, text in self._journal.under(self._prefix).items():
            sent = Sent.load(key.removeprefix(self._prefix), text)
            if sent is not None:
                sent.left = {name for name in sent.ids if not self._known(name)}
                self._home.update(dict.fromkeys(sent.left, sent))
            if sent is None or not sent.left:
                self._start(self._journal.drop(key))
            else:
                self._start(self._follow(sent, None))

    # ---- one batch -----------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, sent: Sent, raw: bytes | None) -> None:
        """A batch to its end. Errors go to all who wait for anything."""
        self._count(sent, 0, len(sent.ids))
        try:
            refused = await self._created(sent, raw)
            batch = await self._ended(sent) if refused is None and sent.id else None
            if refused is not None:
                self._give_out(sent, self._all_refused(sent, refused.message))
            elif batch is None:
                await self._ask_anew(sent)
            elif any(code == _CROWDED for _, code, _ in batch.refusals) and len(self._counts) > 1:
                self._one_ended.clear()
                await self._one_ended.wait()
                await self._ask_anew(sent)
            else:
                self._give_out(sent, await self._results(sent, batch))
        except Exception as error:  # a bug of ours as well: else who waits would wait for ever
            self._error = error
            for wanted in self._wanted.values():
                for future in wanted.waiting:
                    if not future.done():
                        future.set_exception(error)
        finally:
            self._counts.pop(sent.tag, None)
            self._one_ended.set()
            self._tell()

    async def _created(self, sent: Sent, raw: bytes | None) -> Fault | None:
        """See that a batch is created, and its id on disk; a fault where it was refused."""
        if sent.id:
            return None
        if raw is None:
            sent.id = await self._found(sent)
        else:
            await self._journal.keep(self._prefix + sent.tag, sent.dump())
            file = await self._api.upload(raw)
            if isinstance(file, Fault):
                return file
            made = await self._api.create(file, sent.path, self._section.window, sent.tag, sent.made)
            if isinstance(made, Fault):
                return made
            sent.id = made
        if sent.id:
            await self._journal.keep(self._prefix + sent.tag, sent.dump())
        return None

    async def _found(self, sent: Sent) -> str:
        """The id of a batch whose creation may have been sent; "" where it was not."""
        if (found := await self._api.find(sent.tag, sent.made)) is None:
            # A list may lag behind what was just created.
            await asyncio.sleep(min(self._section.poll_s, _LAG_S))
            found = await self._api.find(sent.tag, sent.made)
        return found or ""

    async def _ended(self, sent: Sent) -> Batch | None:
        """The batch when it has ended; None where the server does not know it any more."""
        while (batch := await self._api.look(sent.id)) is not None:
            self._count(sent, batch.done, batch.total or len(sent.ids))
            if batch.status in ENDED:
                return batch
            await asyncio.sleep(self._section.poll_s)
        return None

    async def _results(self, sent: Sent, batch: Batch) -> dict[str, Result]:
        """What came of each request of a batch."""
        found: dict[str, Result] = {}
        for file in (batch.errors, batch.output):
            if file is not None:
                raw = await self._api.fetch(file)
                found |= {} if isinstance(raw, Fault) else read_results(raw, self._api.redact)
        if batch.status == "failed" and not found:
            redact = self._api.redact
            said = "; ".join(redact(f"{code}: {words}") for _, code, words in batch.refusals)
            return refused_lines(sent.ids, batch.refusals, redact) or self._all_refused(sent, said)
        if any(isinstance(result, wire.Answer) for result in found.values()):
            self._refused = 0
        kind = "timeout" if batch.status == "expired" else "server"
        absent = Fault(kind, f"the batch {batch.id} is {batch.status}, and holds no answer to this request")
        return {name: found.get(name, absent) for name in sent.ids}

    def _all_refused(self, sent: Sent, message: str) -> dict[str, Result]:
        """A batch that was refused as a whole, and not because of single requests: may the next one pass.

        Raises:
            EndpointError: It was not the first in a row.
        """
        self._refused += 1
        message = message or "without a reason"
        if self._refused >= self._section.max_tries:
            raise EndpointError(
                f"the last {self._refused} batches were refused as a whole: {message}.",
                "change what the message names, or leave out `batch` to ask at once for the full price",
            )
        return dict.fromkeys(sent.ids, Fault("refused", message, 400))

    def _give_out(self, sent: Sent, results: dict[str, Result]) -> None:
        sent.results = {name: result for name, result in results.items() if name in sent.left}
        for name, result in list(sent.results.items()):
            wanted = self._wanted.get(name)
            for future in wanted.waiting if wanted is not None else ():
                if not future.done():
                    future.set_result(result)

    async def _ask_anew(self, sent: Sent) -> None:
        """What a batch was to answer that never was, or is no more, is asked by another."""
        await self._journal.drop(self._prefix + sent.tag)
        for name in sent.ids:
            if self._home.get(name) is sent:
                del self._home[name]
                if (wanted := self._wanted.get(name)) is not None:
                    self._gatherer.add(name, wanted.path, wanted.body)

    # ---- progress ------------------------------------------------------------------------------------

    def _count(self, sent: Sent, done: int, total: int) -> None:
        self._counts[sent.tag] = (done, total)
        self._tell()

    def _tell(self) -> None:
        counts = self._counts.values()
        self._progress((len(counts), sum(done for done, _ in counts), sum(total for _, total in counts)))
