from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
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
