from __future__ import annotations

import io
import json
import os
import runpy
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Replay:
    """The recorded models behind a real server, and what it counted."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.url.replace("/v1", "/stats"), timeout=10) as answer:
            return json.load(answer)

    def served(self) -> int:
        return sum(self.stats()["served"].values())


@pytest.fixture
def replay(recorded: Path, tmp_path: Path) -> Iterator[Callable[..., Replay]]:
    """Starts servers that replay the recordings: ``replay("--fault-rate", "0.3")``."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> Replay:
        log = tmp_path / f"calls-{len(started)}.jsonl"
        command = [sys.executable, str(recorded / "replay_server.py"), "--port", "0", "--log", str(log)]
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        return Replay(process, url, log)

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def lpt(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``lpt-synth`` as a person would, in a directory of its own."""

    def call(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lpt_synth", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | (env or {}),
            capture_output=True,
            text=True,
            timeout=300,
        )

    return call


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Pictures of the recorded images' names; the server does not look at them."""
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for place in range(3):
        Image.new("RGB", (900 + place, 700), (place * 80, 120, 60)).save(folder / f"train_0000{place}.jpg")
    return folder


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def lpt_eval() -> Callable[..., Ended]:
    """Runs ``lpt-eval`` in this process, where lmms-eval need be imported but once."""
    from lpt_eval.cli import main

    def call(*arguments: str | Path) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr("sys.argv", ["lpt-eval", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
        return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return call


class Scripted(ThreadingHTTPServer):
    """A server of the OpenAI protocol that answers (A), or as it is told.

    Attributes:
        bodies: The requests that it answered.
        keys: What it was sent as keys.
        statuses: With these it refuses the first requests.
        finish: How its answers end.
        thought: What it gives apart as the thought.
        say: From a request to the answer's text.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.statuses: list[int] = []
        self.finish: str | None = "stop"
        self.thought: str | None = None
        self.say: Callable[[dict[str, Any]], str] = lambda body: "<answer>(A)</answer>"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Scripted

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200, {"data": [{"id": "served"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.append(self.headers.get("Authorization"))
        if self.server.statuses:
            self._send(self.server.statuses.pop(), {"error": "busy"})
            return
        self.server.bodies.append(body)
        message = {"content": self.server.say(body), "reasoning_content": self.server.thought}
        choice = {"message": message, "finish_reason": self.server.finish}
        self._send(200, {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 4}})

    def _send(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with Scripted() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def six_benchmarks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The paper's six benchmarks, small, in a folder; and what ``lpt-eval run`` is to be given for all."""
    root = tmp_path_factory.mktemp("benchmarks")
    write = runpy.run_path(str(Path(__file__).with_name("small_benchmarks.py")))["write"]
    return root, write(root)
