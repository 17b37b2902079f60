"""Preference training with and without sharing what pairs have in common, beside stock TRL, interleaved.

    python tests/benchmarks/dpo_shared.py --pairs EXPORT/pairs.jsonl      # about 20 minutes of one core

``--pairs`` is what ``lpt-synth export --format jsonl`` wrote. A random Qwen2.5-VL is made for them, with a
tokenizer trained on their texts. In every round each client trains on the same rows from the same
weights, in a process of its own on one thread; what counts are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from random_model import make_model

CLIENTS = ("trl", "lpt-alone", "lpt")
CLIENT = Path(__file__).resolve().parent / "clients" / "dpo_client.py"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--kinds", default="turned_over_wrong", help="comma-separated; the authors' is this")
    parser.add_argument("--rows", type=int, default=12, help="how many pairs, evenly taken from all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=256, help="width of the model")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--clients", default=",".join(CLIENTS))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def take_rows(args: argparse.Namespace, folder: Path) -> Path:
    """Some pairs of the wanted kinds, with absolute image paths."""
    from lpt_train.rows import read_pairs

    pairs = [pair for pair in read_pairs(args.pairs) if pair.kind in args.kinds.split(",")]
    chosen = [pairs[number * len(pairs) // args.rows] for number in range(min(args.rows, len(pairs)))]
    path = folder / "pairs.jsonl"
    path.write_text("".join(pair.model_dump_json() + "\n" for pair in chosen), encoding="utf-8")
    return path


def _texts(path: Path) -> list[str]:
    from lpt_train.rows import read_pairs

    texts: list[str] = []
    for pair in read_pairs(path):
        texts += [message.text for message in pair.prompt]
        texts += ["".join(part.text for part in parts) for parts in (pair.chosen, pair.rejected)]
    return texts


def run(client: str, args: argparse.Namespace, model: Path, pairs: Path) -> dict[str, Any]:
    """One run of one client, in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, str(CLIENT), client, "--model", str(model), "--pairs", str(pairs)]
        command += ["--scratch", scratch, "--epochs", str(args.epochs)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{client} failed:\n{done.stderr[-3000:]}")
    report: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return report


def table(names: Sequence[str], rounds: Sequence[dict[str, dict[str, Any]]]) -> str:
    """Medians, and what they are of the first client's in the same round."""
    first = names[0]
    lines = [
        f"{'':12}{'tokens':>10}{'CPU s':>10}{'less CPU':>10}{'wall s':>10}{'peak MiB':>10}{'first loss':>12}"
    ]
    for name in names:
        runs = [done[name] for done in rounds]
        ratio = median(done[first]["cpu_s"] / done[name]["cpu_s"] for done in rounds)
        cpu, wall, peak = (median(one[key] for one in runs) for key in ("cpu_s", "wall_s", "peak_mib"))
        lines.append(
            f"{name:12}{runs[0]['tokens']:>10.0f}{cpu:>10.1f}{ratio:>9.2f}x{wall:>10.1f}{peak:>10.0f}"
            f"{runs[0]['first_loss']:>12.4f}"
        )
    return "\n".join(lines)


def main() -> None:
    args = arguments()
    names = args.clients.split(",")
    with tempfile.TemporaryDirectory() as folder:
        model, pairs = Path(folder) / "model", take_rows(args, Path(folder))
        size = make_model(_texts(pairs), model, hidden=args.hidden, layers=args.layers)
        print(f"{size / 1e6:.1f} M parameters; {args.rows} pairs, {args.epochs} epochs, {args.rounds} rounds")
        rounds: list[dict[str, dict[str, Any]]] = []
        for number in range(args.rounds):
            turn = number % len(names)
            rounds.append({name: run(name, args, model, pairs) for name in names[turn:] + names[:turn]})
            print(table(names, rounds), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rounds, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
