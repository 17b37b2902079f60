"""An OpenAI-compatible server that answers at once, so that what is measured is the client.

Standard library only, one process, one event loop, HTTP/1.1 with keep-alive spoken by hand: a request
costs it a few hundredths of a millisecond, several times less than the leanest client spends on it.
Every answer is the same text. Faults are drawn from the number of the prompt (``workload.MARK``) and
of the attempt, never from a clock, so that every client meets the same ones whatever its order of work.

    python stub_server.py --port 8000 --fault-500 0.05

prints ``{"port": 8000}`` when it listens. ``GET /stats`` tells what was really asked of it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from workload import ANSWER, MARK

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 411: "Length Required", 429: "Too Many Requests"}
MODEL = "stub"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the server answers; shares are between 0 and 1, times in seconds."""

    latency: float = 0.0
    slow_share: float = 0.0
    slow: float = 5.0
    fault_500: float = 0.0
    fault_429: float = 0.0
    poison: int = 0
    retry_after: str = ""

    def status(self, prompt: int, attempt: int) -> int:
        """What comes of this attempt at this prompt."""
        if self.poison and prompt % self.poison == 0:
            return 400
        if self.fault_500 and draw("500", prompt, attempt) < self.fault_500:
            return 500
        if self.fault_429 and draw("429", prompt, attempt) < self.fault_429:
            return 429
        return 200

    def delay(self, prompt: int) -> float:
        """Seconds until the answer to this prompt."""
        slow = self.slow_share and draw("slow", prompt, 0) < self.slow_share
        return self.slow if slow else self.latency


def draw(kind: str, prompt: int, attempt: int) -> float:
    """A number in [0, 1) that depends on the arguments alone."""
    raw = hashlib.blake2b(f"{kind} {prompt} {attempt}".encode(), digest_size=8).digest()
    return int.from_bytes(raw, "big") / 2**64


@dataclass(slots=True)
class Stats:
    """What was asked of the server. ``requests`` are chat completions about a prompt of the workload."""

    requests: int = 0
    samples: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    answered: set[int] = field(default_factory=set)
    probes: int = 0
    connections: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0

    def report(self) -> dict[str, object]:
        """The statistics as JSON data; ``cpu_s`` is the server's own CPU time since it started."""
        return {
            "requests": self.requests,
            "samples": self.samples,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "prompts": len(self.attempts),
            "answered": len(self.answered),
            "probes": self.probes,
            "connections": self.connections,
            "peak_in_flight": self.peak_in_flight,
            "cpu_s": round(time.process_time(), 4),
        }


def encode(status: int, payload: object, header: str = "") -> bytes:
    """A whole HTTP response."""
    body = json.dumps(payload).encode()
    reason = REASONS.get(status, "Internal Server Error")
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{header}\r\n"
    )
    return head.encode() + body


def completion(n: int) -> bytes:
    """The answer with ``n`` choices."""
    message = {"role": "assistant", "content": ANSWER}
    choices = [{"index": i, "message": message, "finish_reason": "stop", "logprobs": None} for i in range(n)]
    tokens = 160
    usage = {"prompt_tokens": 120, "completion_tokens": tokens * n, "total_tokens": 120 + tokens * n}
    return encode(
        200,
        {
            "id": "chatcmpl-stub",
            "object": "chat.completion",
            "created": 0,
            "model": MODEL,
            "choices": choices,
            "usage": usage,
        },
    )


class Server:
    """What all connections share: the behaviour, the statistics, the answers made once."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.stats = Stats()
        self._answers: dict[int, bytes] = {}
        error = {"error": {"message": "stub fault", "type": "stub", "param": None, "code": None}}
        wait = f"Retry-After: {behaviour.retry_after}\r\n" if behaviour.retry_after else ""
        self._faults = {status: encode(status, error, wait * (status == 429)) for status in (400, 429, 500)}
        self._models = encode(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def respond(self, method: bytes, path: bytes, body: bytes) -> tuple[bytes, float]:
        """(the response, seconds to wait before it is sent)."""
        if path.endswith(b"/chat/completions") and method == b"POST":
            return self._chat(body)
        if path.endswith(b"/models"):
            return self._models, 0.0
        if path == b"/stats":
            return encode(200, self.stats.report()), 0.0
        return encode(404, {"error": {"message": "no such path", "type": "stub"}}), 0.0

    def _chat(self, body: bytes) -> tuple[bytes, float]:
        stats = self.stats
        try:
            request = json.loads(body)
            n = request.get("n") or 1
            empty = not request.get("messages")
        except (ValueError, AttributeError):
            n, empty = 1, True
        mark = MARK.search(body)
        if empty or mark is None:  # a client feeling its way: curator asks once with no messages at all
            stats.probes += 1
            return (self._faults[400] if empty else self._answer(n)), 0.0
        prompt = int(mark.group(1))
        stats.requests += 1
        stats.attempts[prompt] += 1
        status = self.behaviour.status(prompt, stats.attempts[prompt])
        stats.statuses[status] += 1
        if status != 200:
            return self._faults[status], self.behaviour.latency
        stats.answered.add(prompt)
        stats.samples += n
        return self._answer(n), self.behaviour.delay(prompt)

    def _answer(self, n: int) -> bytes:
        if n not in self._answers:
            self._answers[n] = completion(n)
        return self._answers[n]


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests are answered one after the other."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.stats.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._busy:
            self._next()

    def _next(self) -> None:
        """Answer the first request in the buffer if it is whole."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        start = head.find(b"content-length:")
        length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if b"transfer-encoding: chunked" in head:
            self._send(encode(411, {"error": {"message": "send a Content-Length", "type": "stub"}}))
            return
        whole = end + 4 + length
        if len(self._buffer) < whole:
            return
        method, path, _ = self._buffer[:end].split(b" ", 2)
        body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
        response, delay = self._server.respond(method, path, body)
        stats = self._server.stats
        stats.in_flight += 1
        stats.peak_in_flight = max(stats.peak_in_flight, stats.in_flight)
        self._busy = True
        if delay:
            asyncio.get_running_loop().call_later(delay, self._send, response)
        else:
            self._send(response)

    def _send(self, response: bytes) -> None:
        self._server.stats.in_flight -= 1
        self._busy = False
        if self._transport is not None:
            self._transport.write(response)
            if self._buffer:
                self._next()


async def serve(behaviour: Behaviour, port: int) -> None:
    """Answer until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    server = Server(behaviour)
    listener = await loop.create_server(lambda: Connection(server), "127.0.0.1", port, backlog=4096)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    print(json.dumps({"port": listener.sockets[0].getsockname()[1]}), flush=True)
    await stop.wait()
    listener.close()


def _stop_with_the_parent() -> None:
    """End the process when standard input does: a benchmark that is killed leaves no server behind."""

    def wait() -> None:
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--port", type=int, default=0, help="0: any free one, printed as JSON")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--slow-share", type=float, default=0.0, help="share of prompts that are slow")
    parser.add_argument("--slow-s", type=float, default=5.0)
    parser.add_argument("--fault-500", type=float, default=0.0, help="share of attempts")
    parser.add_argument("--fault-429", type=float, default=0.0, help="share of attempts")
    parser.add_argument("--retry-after", default="", help="header sent with a 429")
    parser.add_argument("--poison", type=int, default=0, help="every so-manieth prompt gets 400")
    parser.add_argument("--watch-stdin", action="store_true", help="stop when standard input ends")
    args = parser.parse_args()
    if args.watch_stdin:
        _stop_with_the_parent()
    behaviour = Behaviour(
        latency=args.latency_ms / 1000,
        slow_share=args.slow_share,
        slow=args.slow_s,
        fault_500=args.fault_500,
        fault_429=args.fault_429,
        poison=args.poison,
        retry_after=args.retry_after,
    )
    asyncio.run(serve(behaviour, args.port))


if __name__ == "__main__":
    main()
