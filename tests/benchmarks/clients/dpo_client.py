"""Trains once on preference pairs, with lpt-train or with stock TRL, and prints what it took.

    python dpo_client.py lpt --model MODEL --pairs pairs.jsonl --scratch EMPTY

``lpt`` shares what pairs have in common, ``lpt-alone`` encodes each response by itself, ``trl`` is TRL's
``DPOTrainer`` as it is, the tower frozen by hand. All have the same rows, images, batches, precision and
rate, a loss of sigmoid DPO and an SFT term per token on all of the chosen response, and no recomputation.
What is measured is the call of ``train()``, the reference's log-probabilities within.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PIXELS = 512
BETA, SFT_WEIGHT, RATE = 0.2, 1.0, 1e-5


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("client", choices=("lpt", "lpt-alone", "trl"))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True, help="an empty folder")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--micro", type=int, default=2, help="pairs taken at once")
    parser.add_argument("--batch", type=int, default=4, help="pairs of an update")
    return parser.parse_args()


class Clock:
    """CPU and wall seconds of one call."""

    wall = cpu = 0.0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            wall, cpu = time.monotonic(), time.process_time()
            made = call(*args, **named)
            self.wall, self.cpu = time.monotonic() - wall, time.process_time() - cpu
            return made

        return timed


def with_lpt(args: argparse.Namespace, clock: Clock, share: bool) -> tuple[list[dict[str, float]], float]:
    from lpt_train.config import TrainConfig
    from lpt_train.dpo.run import train_dpo
    from lpt_train.dpo.trainer import PreferenceTrainer

    PreferenceTrainer.train = clock.around(PreferenceTrainer.train)  # type: ignore[method-assign] # counted on the peer's own class
    config = TrainConfig.model_validate(
        {
            "model": {"name": str(args.model), "precision": "float32"},
            "data": {"pixels": {"limit": PIXELS}, "prefix_loss": "full", "max_tokens": 4096},
            "dpo": {
                "data": args.pairs, "learning_rate": RATE, "epochs": args.epochs, "batch_size": args.batch,
                "micro_batch": args.micro, "beta": BETA, "sft_weight": SFT_WEIGHT, "sft_over": "token",
                "shared_prefix": share, "gradient_checkpointing": False, "warmup_steps": 0,
            },
        }
    )  # fmt: skip
    run = args.scratch / "run"
    train_dpo(config, run)
    history = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    lines = [line for line in history if "margin" in line]
    return lines, sum(line["tokens"] for line in lines)


def with_trl(args: argparse.Namespace, clock: Clock) -> tuple[list[dict[str, float]], float]:
    import torch
    from datasets import Dataset
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration
    from trl import DPOConfig, DPOTrainer

    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(args.model, dtype=torch.float32)
    model.model.visual.requires_grad_(False)
    settings = DPOConfig(
        output_dir=str(args.scratch / "run"), per_device_train_batch_size=args.micro,
        gradient_accumulation_steps=args.batch // args.micro, learning_rate=RATE,
        num_train_epochs=args.epochs, lr_scheduler_type="cosine", weight_decay=0.0, beta=BETA,
        loss_type=["sigmoid", "sft"], loss_weights=[1.0, SFT_WEIGHT], max_length=None,
        gradient_checkpointing=False, bf16=False, use_cpu=True, logging_steps=1, report_to="none",
        save_strategy="steps", save_steps=50, disable_tqdm=True, seed=42,
    )  # fmt: skip
    trainer = DPOTrainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list(trl_rows(args.pairs)),
        processing_class=AutoProcessor.from_pretrained(args.model),
    )
    clock.around(trainer.train)()
    lines = [line for line in trainer.state.log_history if "rewards/margins" in line]
    return lines, float(lines[-1]["num_tokens"])


def trl_rows(path: Path) -> list[dict[str, Any]]:
    """The pairs as TRL's documentation has them, images made smaller beforehand."""
    from PIL import Image

    from lpt_train.images import PixelPolicy, resized_size
    from lpt_train.rows import read_pairs

    rows: list[dict[str, Any]] = []
    for pair in read_pairs(path):
        image = Image.open(pair.image.path).convert("RGB")
        image = image.resize(resized_size(*image.size, PixelPolicy(limit=PIXELS)), Image.Resampling.LANCZOS)
        responses = {
            name: [{"role": "assistant", "content": "".join(segment.text for segment in segments)}]
            for name, segments in (("chosen", pair.chosen), ("rejected", pair.rejected))
        }
        prompt = [{"role": message.role, "content": message.text} for message in pair.prompt]
        rows.append({"images": [image], "prompt": prompt} | responses)
    return rows


def main() -> None:
    args = arguments()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch

    torch.set_num_threads(1)
    clock = Clock()
    printed, sys.stdout = sys.stdout, sys.stderr
    if args.client == "trl":
        lines, tokens = with_trl(args, clock)
    else:
        lines, tokens = with_lpt(args, clock, share=args.client == "lpt")
    report = {
        "client": args.client,
        "cpu_s": clock.cpu,
        "wall_s": clock.wall,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "tokens": tokens,
        "first_loss": lines[0]["loss"],
        "last_loss": lines[-1]["loss"],
    }
    print(json.dumps(report), file=printed)


if __name__ == "__main__":
    main()
