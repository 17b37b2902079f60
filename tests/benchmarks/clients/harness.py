"""What the client scripts share: their arguments, their clock, and the line that they print.

Standard library only: every client imports it in an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for workload


@dataclass(frozen=True, slots=True)
class Job:
    """What a client is to do.

    Attributes:
        base_url: The server, up to and including /v1.
        n: How many prompts.
        concurrency: The most requests in flight.
        scratch: An empty folder for everything that the client stores.
    """

    base_url: str
    n: int
    concurrency: int
    scratch: Path


def job(name: str) -> Job:
    """The job that the command line gives."""
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--base-url", required=True, help="up to and including /v1")
    parser.add_argument("--n", type=int, default=2_000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--scratch", type=Path, required=True, help="an empty folder")
    args = parser.parse_args()
    args.scratch.mkdir(parents=True, exist_ok=True)
    if any(args.scratch.iterdir()):
        parser.error(f"{args.scratch} is not empty: an old cache would answer in the server's place")
    return Job(args.base_url, args.n, args.concurrency, args.scratch)


def _tree_cpu() -> float:
    """CPU seconds, user and system, of this process and of all its descendants, living or reaped."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = own.ru_utime + own.ru_stime + reaped.ru_utime + reaped.ru_stime
    return total + sum(_living(child) for child in _children(os.getpid()))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):  # a process or thread may end while it is looked at
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _living(pid: int) -> float:
    """CPU seconds of a living descendant, of its reaped children, and of its own descendants."""
    try:
        # The name, in brackets, may hold spaces; what follows it does not.
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    ticks = sum(int(ticks) for ticks in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK") + sum(_living(child) for child in _children(pid))


class Work:
    """A ``with`` block around the work alone: imports come before it, counting what was kept after."""

    def __enter__(self) -> Work:
        self._cpu, self._start = _tree_cpu(), time.perf_counter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.wall = time.perf_counter() - self._start
        self.cpu = _tree_cpu() - self._cpu


def report(the_job: Job, work: Work, *, client: str, kept: int, **more: object) -> None:
    """Print the one line of JSON that the benchmark reads: the last line of standard output.

    Args:
        the_job: What was to be done.
        work: What it took.
        client: The client's name with its version.
        kept: Answers that the client hands to its user after a clean end.
        more: What else is worth knowing.
    """
    with urllib.request.urlopen(the_job.base_url.removesuffix("/v1") + "/stats") as response:
        served = json.load(response)
    stored = sum(path.stat().st_size for path in the_job.scratch.rglob("*") if path.is_file())
    line = {
        "client": client,
        "wall_s": round(work.wall, 4),
        "cpu_s": round(work.cpu, 4),
        "kept": kept,
        "stored_bytes": stored,
        "server": served,
        **more,
    }
    print(json.dumps(line), flush=True)
