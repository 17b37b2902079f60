"""What the tests of the workspace share: where it is, how it is asked, and a model to talk to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def command() -> Command:
    """Runs a command as a person would from a fresh shell, outside of the environment of these tests."""
    inherited = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "COLUMNS")
    env = {name: value for name, value in os.environ.items() if name not in inherited}

    def run(
        arguments: Sequence[str | Path], *, cwd: Path = ROOT, status: int | None = 0, timeout_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(argument) for argument in arguments],
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert status in (None, done.returncode), (
            f"{arguments}: status {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    return run


@pytest.fixture(scope="session")
def uv() -> Path:
    found = shutil.which("uv")
    assert found, "the workspace is built and checked with uv: python3 -m pip install uv"
    return Path(found)


# ---- a model behind an OpenAI-compatible endpoint, of the standard library alone ----------------------

_QUESTIONS = (
    ("Which colour is the sky?", "red", "blue", "green", "grey"),
    ("What covers the table?", "red cloth", "blue cloth", "grey dust", "nothing"),
)


class _Model(BaseHTTPRequestHandler):
    """Asks two questions; a thought is right where its seed is even, a continuation always."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = [_answer(body, (body.get("seed") or 0) + place) for place in range(body.get("n") or 1)]
        choices = [
            {"index": place, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            for place, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": 100, "completion_tokens": 20 * len(texts)}
        data = json.dumps({"model": body["model"], "choices": choices, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _answer(body: dict[str, Any], seed: int) -> str:
    said = json.dumps(body["messages"], ensure_ascii=False).replace("\\n", "\n")
    if "Count from one to ten" in said:
        begun = body["messages"][-1]["role"] == "assistant"
        return "en, eight, nine, ten." if begun else "One, two, three, four, five, six, seven, eight."
    if body["model"] == "asker":
        return "\n".join(
            f"{number}. <question> {question} </question> "
            f"<choices> (A) {a} (B) {b} (C) {c} (D) {d} </choices> "
            f"<answer> (B) </answer> <type> Recognition </type>"
            for number, (question, a, b, c, d) in enumerate(_QUESTIONS, 1)
        )
    right = body["model"] == "expander" or seed % 2 == 0
    letter = re.findall(rf"^\(?([A-D])[).] {'blue' if right else 'red'}", said, re.MULTILINE)[0]
    return f" I look at it for the {seed}th time. It is {letter}.</think> <answer>({letter})</answer>"


@pytest.fixture(scope="session")
def base_url() -> Iterator[str]:
    """An endpoint with the models asker, thinker and expander, which goes on from a begun answer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()
