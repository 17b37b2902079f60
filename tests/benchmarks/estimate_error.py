"""What `lpt-train estimate --probe` tells, beside what the training then takes; probe and training in turns.

    python tests/benchmarks/estimate_error.py --rows EXPORT/sft.jsonl --model MODEL

Each probe and each training has a process of its own on one thread. Time is the process's CPU time,
so that what else runs counts little, from the call of ``train_sft`` to its end; memory is its peak.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--part", choices=("probe", "train"), help="one part of one round, in this process")
    parser.add_argument("--packing", action="store_true")
    return parser.parse_args()


def one(args: argparse.Namespace) -> dict[str, Any]:
    """One probe or one training."""
    import resource

    import torch

    from lpt_train.config import TrainConfig
    from lpt_train.estimate import estimate
    from lpt_train.probe import probe
    from lpt_train.sft.run import train_sft

    torch.set_num_threads(1)
    config = TrainConfig.model_validate(
        {
            "model": {"name": str(args.model), "precision": "float32"},
            "data": {"pixels": {"limit": 84}, "max_tokens": 1024},
            "sft": {
                "data": args.rows, "learning_rate": 1e-4, "epochs": args.epochs, "batch_size": 32,
                "micro_batch": 1 if args.packing else 8, "packing": args.packing,
                "gradient_checkpointing": False,
            },
        }
    )  # fmt: skip
    began = time.process_time()
    if args.part == "probe":
        measured = probe(config, clock=time.process_time)
        told = estimate(config, measured=measured).times["sft"].seconds[1]
        return {"seconds": told, "took": time.process_time() - began, "peak_mib": measured.peak / 2**20}
    with tempfile.TemporaryDirectory() as folder:
        train_sft(config, Path(folder) / "run")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": time.process_time() - began, "peak_mib": peak}


def run(args: argparse.Namespace, part: str, *, packing: bool) -> dict[str, Any]:
    """One part, in a process of its own."""
    command = [sys.executable, __file__, "--rows", str(args.rows), "--model", str(args.model)]
    command += ["--epochs", str(args.epochs), "--part", part, *(["--packing"] if packing else [])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{part} failed:\n{done.stderr[-3000:]}")
    report: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return report


def main() -> None:
    args = arguments()
    if args.part:
        print(json.dumps(one(args)))
        return
    print(
        f"{'':8}{'told s':>9}{'took s':>9}{'off':>8}{'told MiB':>10}{'took MiB':>10}{'probe s':>9}{'load':>6}"
    )
    for _ in range(args.rounds):
        for packing in (False, True):
            told = run(args, "probe", packing=packing)
            took = run(args, "train", packing=packing)
            off = told["seconds"] / took["seconds"] - 1
            name = "packed" if packing else "sorted"
            print(
                f"{name:8}{told['seconds']:>9.1f}{took['seconds']:>9.1f}{off:>8.1%}"
                f"{told['peak_mib']:>10.0f}{took['peak_mib']:>10.0f}{told['took']:>9.1f}"
                f"{os.getloadavg()[0]:>6.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
