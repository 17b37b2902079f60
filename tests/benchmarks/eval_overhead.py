"""What an evaluation costs beside the model: ``lpt-eval run`` and bare lmms-eval, in turns, in one process.

    python tests/benchmarks/eval_overhead.py                 # about three minutes on two cores

Both ask the same questions, each with a picture of its own, of a fresh server that answers at once, 32 at a
time. Imports and a first round are not counted. Bare lmms-eval keeps its samples in memory; lpt-eval has
every answer in its journal, and items, rows and small pictures in its folder. The exit status is 1 when
lpt-eval takes more CPU by the median of the rounds' ratios, or an answer is lost.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from statistics import median

import environments
from eval_sides import SIDES
from reporting import Busy, machine, others
from running import Cores, server

Figures = dict[str, float]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--n", type=int, default=1_000, help="questions per side and round")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--no-pin", action="store_true", help="do not keep server and sides on own cores")
    parser.add_argument("--json", type=Path, help="where to write the record")
    return parser.parse_args()


def once(side: str, n: int, concurrency: int, cores: Cores) -> Figures:
    """Milliseconds a question of one side, by the clock and of this process's CPU.

    Raises:
        SystemExit: An answer is lost.
    """
    write, ask, kept = SIDES[side]
    environments.ROOT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=environments.ROOT, prefix="scratch-") as scratch:
        data = Path(scratch) / "data"
        write(data, n)
        with server([], cores) as url:
            wall, cpu = time.perf_counter(), time.process_time()
            result = ask(data, f"{url}/v1", concurrency)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if (there := kept(result)) != n:
            raise SystemExit(f"{side}: {there} of {n} answers kept")
    return {"ms": 1000 * wall / n, "cpu_ms": 1000 * cpu / n}


def measure(args: argparse.Namespace, cores: Cores) -> list[dict[str, Figures]]:
    """All rounds; who begins changes from round to round."""
    rounds: list[dict[str, Figures]] = []
    for number in range(-1, args.rounds):
        order = list(SIDES)[:: 1 if number % 2 else -1]
        # In the first, which is not counted, both import what they import late.
        found = {side: once(side, args.n if number >= 0 else 20, args.concurrency, cores) for side in order}
        if number >= 0:
            rounds.append(found)
            told = (f"{side} {one['ms']:.2f} ms, CPU {one['cpu_ms']:.2f}" for side, one in found.items())
            print(f"[{number}] {'; '.join(told)}", file=sys.stderr, flush=True)
    return rounds


def table(rounds: list[dict[str, Figures]]) -> str:
    """Medians, with the smallest and the largest value, as a Markdown table."""
    lines = ["| evaluation | ms a question | CPU ms a question |", "|---|---|---|"]
    for side in SIDES:
        cells = [sorted(one[side][what] for one in rounds) for what in ("ms", "cpu_ms")]
        shown = (f"{median(values):.2f} ({values[0]:.2f}–{values[-1]:.2f})" for values in cells)
        lines.append(f"| {side} {metadata.version(side)} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> int:
    args = arguments()
    cores = Cores() if args.no_pin else Cores.apart()
    if cores.client:
        os.sched_setaffinity(0, cores.client)
    about, before = machine(cores), Busy.now()
    rounds = measure(args, cores)
    ratios = {
        what: median(one["lpt-eval"][what] / one["lmms-eval"][what] for one in rounds)
        for what in ("ms", "cpu_ms")
    }
    record = {
        "machine": f"{about}; other processes took {others(before, Busy.now()):.0%} of the machine",
        "n": args.n,
        "concurrency": args.concurrency,
        "lpt-eval over lmms-eval": {what: round(ratio, 3) for what, ratio in ratios.items()},
    }
    print("\n".join(f"{name}: {value}" for name, value in record.items()))
    print(f"\n{table(rounds)}")
    if args.json:
        args.json.write_text(json.dumps(record | {"rounds": rounds}, indent=1) + "\n")
    return 0 if ratios["cpu_ms"] <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
