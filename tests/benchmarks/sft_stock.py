"""Fine-tuning sorted by length, packed, and with stock TRL, interleaved.

    python tests/benchmarks/sft_stock.py --rows EXPORT/sft.jsonl      # about 20 minutes of one core

``--rows`` is what ``lpt-synth export --format jsonl`` wrote. A random Qwen2.5-VL is made for them, with a
tokenizer trained on their texts, and an image for each row that no other has, so that no image is
prepared once for several. In every round each client trains on the same rows from the same weights, in a
process of its own on one thread; what counts are medians, and the medians of the ratios round by round.
"""

from __future__ import annotations

import argparse
import hashlib
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

CLIENTS = ("trl", "lpt", "lpt-packed")
CLIENT = Path(__file__).resolve().parent / "clients" / "sft_client.py"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--count", type=int, default=32, help="how many rows, evenly taken from all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--pack", type=int, default=4096, help="most tokens of a packed sequence")
    parser.add_argument("--hidden", type=int, default=256, help="width of the model")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--clients", default=",".join(CLIENTS))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def take_rows(args: argparse.Namespace, folder: Path) -> tuple[Path, list[str]]:
    """Some of the rows, each with an image of its own; and their texts."""
    from PIL import Image

    from lpt_train.rows import read_sft

    every = read_sft(args.rows)
    rows = [every[number * len(every) // args.count] for number in range(min(args.count, len(every)))]
    lines: list[str] = []
    for number, row in enumerate(rows):
        path = folder / f"{number}.png"
        image = Image.open(row.image.path).convert("RGB")
        image.putpixel((0, 0), (number % 256, number // 256, 0))
        image.save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        own = {"path": str(path), "sha256": digest, "width": image.width, "height": image.height}
        data = row.model_dump(mode="json") | {"image": own}
        for message in data["prompt"]:
            for part in message["content"]:
                if part["type"] == "image":
                    part["image"] = own
        lines.append(json.dumps(data) + "\n")
    path = folder / "sft.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    texts = [message.text for row in rows for message in row.prompt]
    return path, texts + ["".join(part.text for part in row.response) for row in rows]


def run(client: str, args: argparse.Namespace, model: Path, rows: Path) -> dict[str, Any]:
    """One run of one client, in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, str(CLIENT), client, "--model", str(model), "--rows", str(rows)]
        command += ["--scratch", scratch, "--epochs", str(args.epochs), "--pack", str(args.pack)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{client} failed:\n{done.stderr[-3000:]}")
    report: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return report | {"load": os.getloadavg()[0]}


def table(names: Sequence[str], rounds: Sequence[dict[str, dict[str, Any]]]) -> str:
    """Medians, and what they are of the first client's in the same round."""
    first = names[0]
    lines = [
        f"{'':12}{'tokens':>9}{'places':>9}{'CPU s':>9}{'less CPU':>10}{'wall s':>9}{'peak MiB':>10}"
        f"{'first loss':>12}{'last':>9}{'load':>6}"
    ]
    for name in names:
        runs = [done[name] for done in rounds]
        ratio = median(done[first]["cpu_s"] / done[name]["cpu_s"] for done in rounds)
        cpu, wall, peak, load = (
            median(one[key] for one in runs) for key in ("cpu_s", "wall_s", "peak_mib", "load")
        )
        lines.append(
            f"{name:12}{runs[0]['tokens']:>9.0f}{runs[0]['places']:>9.0f}{cpu:>9.1f}{ratio:>9.2f}x"
            f"{wall:>9.1f}{peak:>10.0f}{runs[0]['first_loss']:>12.4f}{runs[0]['last_loss']:>9.4f}{load:>6.1f}"
        )
    return "\n".join(lines)


def main() -> None:
    args = arguments()
    names = args.clients.split(",")
    with tempfile.TemporaryDirectory() as folder:
        rows, texts = take_rows(args, Path(folder))
        model = Path(folder) / "model"
        size = make_model(texts, model, hidden=args.hidden, layers=args.layers)
        print(f"{size / 1e6:.1f} M parameters; {args.count} rows, {args.epochs} epochs, {args.rounds} rounds")
        rounds: list[dict[str, dict[str, Any]]] = []
        for number in range(args.rounds):
            turn = number % len(names)
            rounds.append({name: run(name, args, model, rows) for name in names[turn:] + names[:turn]})
            print(table(names, rounds), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rounds, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
