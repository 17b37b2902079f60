"""From runs to tables and targets."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from running import Cores, Run

CPU_MS_AT_MOST = 0.6
RATIO_AT_LEAST = {"bare": 0.65, "curator": 3.0, "distilabel": 8.0}
"""How many times the rate of each other client lpt-synth's must be."""

QUIET = 0.1
"""Share of the machine that other processes may take on a quiet one."""


def machine(cores: Cores) -> str:
    """When and on what this was measured, in a line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {os.cpu_count()} cores, {model}; Python "
        f"{platform.python_version()}; load before the start {load:.1f}; {cores}"
    )


@dataclass(frozen=True, slots=True)
class Busy:
    """CPU seconds of the whole machine so far, of which ours; differences of two say who used it."""

    at: float
    machine: float
    ours: float

    @classmethod
    def now(cls) -> Busy | None:
        """None where the system does not tell."""
        stat = Path("/proc/stat")
        if not stat.is_file():
            return None
        ticks = [int(field) for field in stat.read_text().split("\n", 1)[0].split()[1:9]]
        idle = ticks[3] + ticks[4]
        seconds = (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")
        times = os.times()  # with all clients and servers that have ended
        ours = times.user + times.system + times.children_user + times.children_system
        return cls(time.monotonic(), seconds, ours)


def others(before: Busy | None, after: Busy | None) -> float:
    """The share of the machine, 0 to 1, that other processes took between the two."""
    if before is None or after is None:
        return 0.0
    theirs = after.machine - before.machine - (after.ours - before.ours)
    return max(0.0, theirs / ((after.at - before.at) * (os.cpu_count() or 1)))


def wait_for_quiet(at_most_s: float) -> None:
    """Wait until other processes leave the machine alone for a moment, or for so long."""
    until = time.monotonic() + at_most_s
    while time.monotonic() < until:
        before = Busy.now()
        time.sleep(0.5)
        if others(before, Busy.now()) < QUIET:
            return


def _of(client: str, rounds: Sequence[Sequence[Run]]) -> list[Run]:
    """The runs of a client that went through."""
    return [run for runs in rounds for run in runs if run.client == client and not run.error]


def _rates(rounds: Sequence[Sequence[Run]], client: str, n: int) -> list[float]:
    return [n / run.wall_s for run in _of(client, rounds)]


def ratios(rounds: Sequence[Sequence[Run]], client: str) -> list[float]:
    """lpt-synth's rate over the client's, in each round in which both went through."""
    found: list[float] = []
    for runs in rounds:
        wall = {run.client: run.wall_s for run in runs if not run.error}
        if "lpt" in wall and client in wall:
            found.append(wall[client] / wall["lpt"])
    return found


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return "–"
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def speed_table(rounds: Sequence[Sequence[Run]], n: int) -> str:
    """Medians, with the smallest and the largest value, as a Markdown table."""
    lines = [
        "| client | requests/s | CPU ms/request | kept | sent | bytes stored/answer | lpt is so many "
        "times as fast | server busy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for client in dict.fromkeys(run.client for runs in rounds for run in runs):
        runs = _of(client, rounds)
        if not runs:
            errors = {run.error for runs in rounds for run in runs if run.client == client}
            lines.append(f"| {client} | failed: {'; '.join(sorted(errors))} | | | | | | |")
            continue
        cpu = [run.cpu_s / n * 1000 for run in runs]
        busy = median(run.server_cpu_s / run.wall_s for run in runs)
        ratio = "" if client == "lpt" else _spread(ratios(rounds, client), 2)
        stored = median(run.stored_bytes for run in runs) / n
        lines.append(
            f"| {runs[0].version} | {_spread(_rates(rounds, client, n), 0)} | {_spread(cpu, 3)} "
            f"| {min(run.kept for run in runs)} | {max(run.sent for run in runs)} | {stored:.0f} "
            f"| {ratio} | {busy:.0%} |"
        )
    return "\n".join(lines)


def case_table(cases: Mapping[str, tuple[str, list[str], int]], runs: Mapping[str, Sequence[Run]]) -> str:
    """What each client made of each case: answers kept, requests sent, seconds."""
    clients = list(dict.fromkeys(run.client for of_case in runs.values() for run in of_case))
    lines = ["| case | " + " | ".join(clients) + " |", "|---" * (len(clients) + 1) + "|"]
    for case, (words, _, n) in cases.items():
        cells = [
            f"{run.error} ({run.sent} sent)"
            if run.error
            else f"{run.kept} kept, {run.sent} sent, {run.wall_s:.1f} s"
            for run in runs[case]
        ]
        lines.append(f"| {case}: {words}, of {n} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that is asked of lpt-synth."""

    what: str
    bound: float
    measured: float | None
    met: bool


@dataclass(frozen=True, slots=True)
class Targets:
    """All that is asked, as far as the clients that ran can tell."""

    all: tuple[Target, ...]

    @classmethod
    def of(cls, rounds: Sequence[Sequence[Run]], n: int) -> Targets:
        """Compare medians with what is asked. A client that failed, or lost answers, meets nothing."""
        ran = {run.client for runs in rounds for run in runs}
        found: list[Target] = []
        if "lpt" in ran:
            kept = min((run.kept for run in _of("lpt", rounds)), default=None)
            found.append(Target("answers kept, all that were asked for", n, kept, kept == n))
            cpu = [run.cpu_s / n * 1000 for run in _of("lpt", rounds)]
            middle = median(cpu) if cpu else None
            met = middle is not None and middle <= CPU_MS_AT_MOST
            found.append(Target("CPU ms per request, at most", CPU_MS_AT_MOST, middle, met))
            for client, bound in RATIO_AT_LEAST.items():
                if client in ran:
                    values = ratios(rounds, client)
                    ratio = median(values) if values else None
                    found.append(
                        Target(f"times the rate of {client}, at least", bound, ratio, (ratio or 0) >= bound)
                    )
        return cls(tuple(found))

    @property
    def met(self) -> bool:
        """Whether all are met."""
        return all(target.met for target in self.all)

    def __str__(self) -> str:
        lines = ["| target | bound | measured | |", "|---|---|---|---|"]
        for target in self.all:
            measured = "no figure" if target.measured is None else f"{target.measured:.3g}"
            verdict = "met" if target.met else "MISSED"
            lines.append(f"| {target.what} | {target.bound:g} | {measured} | {verdict} |")
        return "\n".join(lines)
