"""Gathering requests until there are enough for a batch, or no more come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lpt_synth.config import BatchSection

MOST_BYTES = 150_000_000
"""A batch is sent when its file is larger; OpenAI takes 200 MB."""

OVERDUE = 10
"""A batch is sent after so many times ``gather_s``, though requests still come."""


@dataclass(slots=True)
class _Queue:
    """Requests to one path: their lines, by their ids."""

    lines: dict[str, bytes] = field(default_factory=dict[str, bytes])
    size: int = 0
    since: float = 0.0
    timer: asyncio.TimerHandle | None = None


class Gatherer:
    """Lines of batches to come, one batch for each path.

    Args:
        section: When a batch is full, and how long one is waited for.
        send: Is given a path and its lines, by their ids, when they are to be sent.
    """

    def __init__(self, section: BatchSection, send: Callable[[str, dict[str, bytes]], None]) -> None:
        self._section = section
        self._send = send
        self._queues: dict[str, _Queue] = {}

    def holds(self, name: str, path: str) -> bool:
        """Whether a request waits to be sent."""
        queue = self._queues.get(path)
        return queue is not None and name in queue.lines

    def add(self, name: str, path: str, body: dict[str, Any]) -> None:
        """Have a request sent with the next batch."""
        line = {"custom_id": name, "method": "POST", "url": path, "body": body}
        raw = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        queue = self._queues.setdefault(path, _Queue())
        loop = asyncio.get_running_loop()
        if not queue.lines:
            queue.since = loop.time()
        queue.lines[name] = raw
        queue.size += len(raw)
        if queue.timer is not None:
            queue.timer.cancel()
        gather_s = self._section.gather_s
        if len(queue.lines) >= self._section.max_requests or queue.size >= MOST_BYTES:
            self._due(path)
        else:
            due = min(loop.time() + gather_s, queue.since + OVERDUE * gather_s)
            queue.timer = loop.call_at(due, self._due, path)

    def take_out(self, name: str, path: str) -> None:
        """Forget a request for which nobody waits any more, if it was not sent."""
        queue = self._queues.get(path)
        if queue is not None and (line := queue.lines.pop(name, None)) is not None:
            queue.size -= len(line)

    def close(self) -> None:
        """Send nothing more."""
        for queue in self._queues.values():
            if queue.timer is not None:
                queue.timer.cancel()
        self._queues.clear()

    def _due(self, path: str) -> None:
        lines = self._queues.pop(path).lines
        if lines:
            self._send(path, lines)
