"""The speed benchmark: lpt-synth beside bare aiohttp, bespokelabs-curator and distilabel, interleaved.

    python tests/benchmarks/environments.py          # once: the peers' environments
    python tests/benchmarks/speed.py                 # about seven minutes on two cores
    python tests/benchmarks/speed.py --cases poison,tail,http500,throttle

In every round each client asks the same prompts of a fresh, instant server on this machine, in turn, so
that whatever else the machine does falls on all of them; what counts are medians, and ratios within a
round. The exit status is 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import environments
from reporting import QUIET, Busy, Targets, case_table, machine, others, speed_table, wait_for_quiet
from running import SCRIPTS, Cores, Run, run_client

CASES: dict[str, tuple[str, list[str], int]] = {
    "poison": ("every 200th prompt is refused (400)", ["--poison", "200"], 2_000),
    "tail": ("2% of the prompts take 5 s", ["--slow-share", "0.02", "--slow-s", "5"], 2_000),
    "http500": ("5% of the attempts fail (500)", ["--fault-500", "0.05"], 2_000),
    "throttle": ("20% of the attempts are turned away (429)", ["--fault-429", "0.2"], 1_000),
}
"""What is tried with ``--cases``: in words, as arguments of the server, and with how many prompts."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--n", type=int, default=2_000, help="prompts per client and round")
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--clients", type=_names(SCRIPTS), default=list(SCRIPTS), help="comma-separated")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="of every answer")
    parser.add_argument(
        "--cases", type=_names(CASES), default=[], help="instead of speed, what happens when things fail"
    )
    parser.add_argument("--timeout-s", type=float, default=600.0, help="for one run of one client")
    parser.add_argument(
        "--wait-s",
        type=float,
        default=0.0,
        help="before each run, wait at most so long until other processes leave the machine alone",
    )
    parser.add_argument("--no-pin", action="store_true", help="do not keep server and clients on own cores")
    parser.add_argument("--json", type=Path, help="default: .bench/results/ and the time")
    return parser.parse_args()


def _names(known: dict[str, object]) -> object:
    def names(text: str) -> list[str]:
        chosen = [name for name in text.split(",") if name]
        if unknown := sorted(set(chosen) - set(known)):
            raise argparse.ArgumentTypeError(f"no such: {', '.join(unknown)}; there are {', '.join(known)}")
        return chosen

    return names


def measure(args: argparse.Namespace, cores: Cores) -> list[list[Run]]:
    """All rounds, each a run of every client; the order is turned by one from round to round."""
    rounds: list[list[Run]] = []
    for number in range(args.rounds):
        turn = number % len(args.clients)
        order = args.clients[turn:] + args.clients[:turn]
        server_arguments = ["--latency-ms", str(args.latency_ms)]
        rounds.append([_run(name, server_arguments, args.n, args, cores, number) for name in order])
    return rounds


def measure_cases(args: argparse.Namespace, cores: Cores) -> dict[str, list[Run]]:
    """Every case, once for each client."""
    return {
        case: [_run(name, CASES[case][1], CASES[case][2], args, cores, case) for name in args.clients]
        for case in args.cases
    }


def _run(
    name: str,
    server_arguments: Sequence[str],
    n: int,
    args: argparse.Namespace,
    cores: Cores,
    label: object,
) -> Run:
    wait_for_quiet(args.wait_s)
    run = run_client(
        name,
        server_arguments,
        n=n,
        concurrency=args.concurrency,
        cores=cores,
        timeout_s=args.timeout_s,
    )
    said = run.error or f"{run.wall_s:.2f} s, {run.cpu_s / n * 1000:.3f} ms CPU a prompt, kept {run.kept}"
    print(f"[{label}] {name}: {said}", file=sys.stderr, flush=True)
    return run


def _write(args: argparse.Namespace, record: dict[str, object]) -> Path:
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    path = args.json or environments.ROOT / "results" / f"speed-{now}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def main() -> int:
    args = arguments()
    for name in args.clients:
        if name in environments.NAMES:
            environments.make(name)
    cores = Cores() if args.no_pin else Cores.apart()
    about, before = machine(cores), Busy.now()
    settings = {"n": args.n, "concurrency": args.concurrency, "latency_ms": args.latency_ms}
    if args.cases:
        cases = measure_cases(args, cores)
        table = case_table({name: CASES[name] for name in cases}, cases)
        record = {"cases": {case: [asdict(run) for run in runs] for case, runs in cases.items()}}
        met = True
    else:
        rounds = measure(args, cores)
        targets = Targets.of(rounds, args.n)
        table = f"{speed_table(rounds, args.n)}\n\n{targets}"
        record = {
            "targets": [asdict(target) for target in targets.all],
            "rounds": [[asdict(run) for run in runs] for runs in rounds],
        }
        met = targets.met
    share = others(before, Busy.now())
    about += f"; other processes took {share:.0%} of the machine"
    if share > QUIET:
        about += ": CPU figures are higher than on a quiet one, ratios less so"
    print(f"{about}\n\n{settings}\n\n{table}")
    written = _write(args, {"machine": about, **settings, **record})
    print(f"\n{written}", file=sys.stderr)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
