"""Runs one client against one fresh server, each in processes of their own, and reads what it reports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environments

HERE = Path(__file__).resolve().parent
SCRIPTS = {
    "bare": "bare_aiohttp.py",
    "lpt": "lpt_client.py",
    "curator": "curator_client.py",
    "distilabel": "distilabel_client.py",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one client.

    Attributes:
        client: Its short name.
        error: Why there are no figures; "" where there are.
        version: Name and version as the client gives them.
        wall_s: Seconds of the work, imports excluded.
        cpu_s: CPU seconds of the work, of all processes of the client.
        kept: Answers that it handed over at the end.
        sent: Requests about prompts that the server saw.
        stored_bytes: What it left on disk.
        server_cpu_s: CPU seconds that the server spent meanwhile.
        peak_in_flight: Requests that were open at once, as the server saw it.
        details: The client's whole report.
    """

    client: str
    error: str = ""
    version: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    kept: int = 0
    sent: int = 0
    stored_bytes: int = 0
    server_cpu_s: float = 0.0
    peak_in_flight: int = 0
    details: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores the server and the clients run on; empty where they are not pinned."""

    server: frozenset[int] = frozenset()
    client: frozenset[int] = frozenset()

    @classmethod
    def apart(cls) -> Cores:
        """The server on one core, the clients on the others, where there are two and they can be chosen."""
        if not hasattr(os, "sched_setaffinity"):
            return cls()
        first, *others = sorted(os.sched_getaffinity(0))
        return cls(frozenset([first]), frozenset(others)) if others else cls()

    def __str__(self) -> str:
        if not self.server:
            return "not pinned to cores"
        return f"server on core {min(self.server)}, clients on {len(self.client)} other(s)"


def _on(cores: frozenset[int]) -> Callable[[], None] | None:
    return (lambda: os.sched_setaffinity(0, cores)) if cores else None


@contextmanager
def server(arguments: Sequence[str], cores: Cores) -> Iterator[str]:
    """A fresh stub server; gives its URL without /v1."""
    command = [sys.executable, str(HERE / "stub_server.py"), "--watch-stdin", *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=_on(cores.server)
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the stub server did not start: {' '.join(command)}")
        yield f"http://127.0.0.1:{json.loads(line)['port']}"
    finally:
        process.terminate()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def run_client(
    client: str, arguments: Sequence[str], *, n: int, concurrency: int, cores: Cores, timeout_s: float
) -> Run:
    """Run a client once, with an empty folder for its cache, against a server with these arguments."""
    python = environments.interpreter(client) if client in environments.NAMES else Path(sys.executable)
    if python is None:
        return Run(client, error=f"no environment: run environments.py {client}")
    environments.ROOT.mkdir(exist_ok=True)
    # On the disk of the repository rather than in /tmp, which may be memory, where syncing costs nothing.
    with (
        tempfile.TemporaryDirectory(dir=environments.ROOT, prefix="scratch-") as scratch,
        server(arguments, cores) as url,
    ):
        before = _stats(url)["cpu_s"]
        command = [str(python), str(HERE / "clients" / SCRIPTS[client]), "--base-url", f"{url}/v1"]
        command += ["--n", str(n), "--concurrency", str(concurrency), "--scratch", f"{scratch}/work"]
        printed, error = _output(command, cores, timeout_s)
        if error:
            return Run(client, error=error, sent=_stats(url)["requests"])
        report = json.loads(printed.strip().splitlines()[-1])
    return Run(
        client,
        version=report["client"],
        wall_s=report["wall_s"],
        cpu_s=report["cpu_s"],
        kept=report["kept"],
        sent=report["server"]["requests"],
        stored_bytes=report["stored_bytes"],
        server_cpu_s=round(report["server"]["cpu_s"] - before, 4),
        peak_in_flight=report["server"]["peak_in_flight"],
        details=report,
    )


def _stats(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/stats") as response:
        return json.load(response)


def _output(command: Sequence[str], cores: Cores, timeout_s: float) -> tuple[str, str]:
    """(standard output, why it failed) of a command whose processes are all ended after the time-out."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_on(cores.client),
    )
    try:
        printed, complaints = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "", f"not done after {timeout_s:.0f} s"
    if process.returncode:
        last = (complaints.strip().splitlines() or ["no message"])[-1]
        return "", f"exit status {process.returncode}: {last[:300]}"
    return printed, ""
