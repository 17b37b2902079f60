"""Prompts of the tiny rows' questions, a model that answers some of them, and configurations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpt_core import MCQ, Presentation, PromptExample, SFTExample, fingerprint

COLOURS = ("red", "blue", "green", "white")
SHAPES = ("circle", "cross", "square", "star")
STYLES = ("letter_parens", "letter_dot", "text")


def _example(number: int, row: SFTExample) -> PromptExample:
    mcq = MCQ.make(
        caption_id=fingerprint("caption", number),
        question=f"Which colour has the {SHAPES[number % 4]} in row {number}?",
        options=COLOURS,
        gold=number % 4,
    )
    presentation = Presentation(
        mcq_id=mcq.id,
        order=(0, 1, 2, 3),
        option_style="parens" if number % 2 else "dot",
        answer_style=STYLES[number % 3],
    )
    return PromptExample.make(image=row.image, prompt=row.prompt, mcq=mcq, presentation=presentation)


@pytest.fixture(scope="session")
def tiny_prompts(tiny_rows: Path) -> Path:
    """The 24 SFT rows' questions, as ``lpt-synth export --format prompts`` writes them."""
    lines = (tiny_rows / "sft.jsonl").read_text().splitlines()
    rows = [SFTExample.model_validate_json(line) for line in lines]
    path = tiny_rows / "prompts.jsonl"
    examples = [_example(number, row) for number, row in enumerate(rows)]
    path.write_text("".join(f"{example.model_dump_json()}\n" for example in examples), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def schooled(tiny_model_dir: Path, tiny_rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model after a little fine-tuning: it writes thoughts and answers, not always right ones."""
    from lpt_train.config import TrainConfig
    from lpt_train.sft.run import train_sft

    sft = {"data": tiny_rows / "sft.jsonl", "learning_rate": 1e-2, "max_steps": 30, "batch_size": 12}
    settings = {"micro_batch": 12, "warmup_steps": 2, "gradient_checkpointing": False}
    config = TrainConfig.model_validate(
        {
            "model": {"name": str(tiny_model_dir), "precision": "float32"},
            "data": {"pixels": {"limit": 84}},
            "sft": sft | settings,
        }
    )
    return train_sft(config, tmp_path_factory.mktemp("schooled") / "sft").model


@pytest.fixture
def grpo_config(schooled: Path, tiny_model_dir: Path, tiny_prompts: Path) -> Callable[..., Any]:
    """``grpo_config(model={...}, data={...}, **grpo)``: a configuration of 4 updates, 2 checkpoints."""
    from lpt_train.config import TrainConfig

    def make(model: dict[str, Any] | None = None, data: dict[str, Any] | None = None, **grpo: Any) -> Any:
        settings = {
            "data": tiny_prompts,
            "learning_rate": 1e-3,
            "max_steps": 4,
            "batch_size": 8,
            "micro_batch": 4,
            "generations": 4,
            "temperature": 0.5,
            # So young a model seldom answers; lengths always differ, so that every group teaches something.
            "rewards": {"length": 0.5, "length_buffer": 60},
            "max_completion_tokens": 64,
            "warmup_steps": 0,
            "save_every": 2,
            "gradient_checkpointing": False,
        }
        return TrainConfig.model_validate(
            {
                "model": {"name": str(schooled), "precision": "float32"} | (model or {}),
                "data": {"pixels": {"limit": 84}} | (data or {}),
                "grpo": settings | grpo,
            }
        )

    return make
