"""Fine-tunes once, with lpt-train or with stock TRL, and prints what it took.

    python sft_client.py lpt --model MODEL --rows sft.jsonl --scratch EMPTY

``lpt`` sorts by length inside each update, ``lpt-packed`` packs, ``trl`` is TRL's ``SFTTrainer`` as it is on
prompts and completions, the tower frozen by hand. All have the same rows, images, rows in an update,
precision and rate, and no recomputation; all of a response bears loss, since TRL cannot leave a part of it
out. What is measured is the call of ``train()``.
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
RATE = 1e-5


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("client", choices=("lpt", "lpt-packed", "trl"))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True, help="an empty folder")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--micro", type=int, default=4, help="rows taken at once")
    parser.add_argument("--batch", type=int, default=16, help="rows of an update")
    parser.add_argument("--pack", type=int, default=4096, help="most tokens of a packed sequence")
    return parser.parse_args()


class Watch:
    """CPU and wall seconds of a call, and the places that the language model computed meanwhile."""

    wall = cpu = 0.0
    places = 0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            wall, cpu = time.monotonic(), time.process_time()
            made = call(*args, **named)
            self.wall, self.cpu = time.monotonic() - wall, time.process_time() - cpu
            return made

        return timed

    def on_language_model(self) -> None:
        """Count, in every forward pass of whoever trains, the places that it computes: padding too."""
        from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

        forward = Qwen2_5_VLTextModel.forward

        def counted(module: Any, *args: Any, **named: Any) -> Any:
            self.places += int(named["inputs_embeds"].shape[:2].numel())
            return forward(module, *args, **named)

        Qwen2_5_VLTextModel.forward = counted  # type: ignore[method-assign] # counted on the peer's own class


def with_lpt(args: argparse.Namespace, watch: Watch, packing: bool) -> tuple[list[float], float]:
    from lpt_train.config import TrainConfig
    from lpt_train.sft.run import train_sft
    from lpt_train.sft.trainer import SFTTrainer

    SFTTrainer.train = watch.around(SFTTrainer.train)  # type: ignore[method-assign] # counted on the peer's own class
    config = TrainConfig.model_validate(
        {
            "model": {"name": str(args.model), "precision": "float32"},
            "data": {"pixels": {"limit": PIXELS}, "prefix_loss": "full", "max_tokens": args.pack},
            "sft": {
                "data": args.rows, "learning_rate": RATE, "epochs": args.epochs, "batch_size": args.batch,
                "micro_batch": 1 if packing else args.micro, "packing": packing,
                "gradient_checkpointing": False, "warmup_steps": 0,
            },
        }
    )  # fmt: skip
    run = args.scratch / "run"
    train_sft(config, run)
    history = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    lines = [line for line in history if "token_loss" in line]
    return [line["loss"] for line in lines], sum(line["tokens"] for line in lines)


def with_trl(args: argparse.Namespace, watch: Watch) -> tuple[list[float], float]:
    import torch
    from datasets import Dataset
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration
    from trl import SFTConfig, SFTTrainer

    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(args.model, dtype=torch.float32)
    model.model.visual.requires_grad_(False)
    settings = SFTConfig(
        output_dir=str(args.scratch / "run"), per_device_train_batch_size=args.micro,
        gradient_accumulation_steps=args.batch // args.micro, learning_rate=RATE,
        num_train_epochs=args.epochs, lr_scheduler_type="cosine", weight_decay=0.0, max_length=None,
        gradient_checkpointing=False, bf16=False, use_cpu=True, logging_steps=1, report_to="none",
        save_strategy="steps", save_steps=50, disable_tqdm=True, seed=42,
    )  # fmt: skip
    trainer = SFTTrainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list(trl_rows(args.rows)),
        processing_class=AutoProcessor.from_pretrained(args.model),
    )
    watch.around(trainer.train)()
    lines = [line for line in trainer.state.log_history if "loss" in line]
    return [line["loss"] for line in lines], float(lines[-1]["num_tokens"])


def trl_rows(path: Path) -> list[dict[str, Any]]:
    """The rows as TRL's documentation has them, images made smaller beforehand."""
    from PIL import Image

    from lpt_train.images import PixelPolicy, resized_size
    from lpt_train.rows import read_sft

    rows: list[dict[str, Any]] = []
    for row in read_sft(path):
        image = Image.open(row.image.path).convert("RGB")
        image = image.resize(resized_size(*image.size, PixelPolicy(limit=PIXELS)), Image.Resampling.LANCZOS)
        prompt = [{"role": message.role, "content": message.text} for message in row.prompt]
        answer = "".join(segment.text for segment in row.response)
        completion = [{"role": "assistant", "content": answer}]
        rows.append({"images": [image], "prompt": prompt, "completion": completion})
    return rows


def main() -> None:
    args = arguments()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch

    torch.set_num_threads(1)
    watch = Watch()
    watch.on_language_model()
    printed, sys.stdout = sys.stdout, sys.stderr
    if args.client == "trl":
        losses, tokens = with_trl(args, watch)
    else:
        losses, tokens = with_lpt(args, watch, packing=args.client == "lpt-packed")
    report = {
        "client": args.client,
        "cpu_s": watch.cpu,
        "wall_s": watch.wall,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "tokens": tokens,
        "places": watch.places,
        "first_loss": losses[0],
        "last_loss": losses[-1],
    }
    print(json.dumps(report), file=printed)


if __name__ == "__main__":
    main()
