"""Configurations that fine-tune the tiny model on the tiny rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def sft_config(tiny_model_dir: Path, tiny_rows: Path) -> Callable[..., Any]:
    """``sft_config(model={...}, data={...}, **sft)``: a configuration of 6 updates, 2 checkpoints."""
    from lpt_train.config import TrainConfig

    def make(model: dict[str, Any] | None = None, data: dict[str, Any] | None = None, **sft: Any) -> Any:
        settings = {
            "data": tiny_rows / "sft.jsonl",
            "learning_rate": 1e-2,
            "max_steps": 6,
            "batch_size": 8,
            "micro_batch": 4,
            "warmup_steps": 1,
            "save_every": 2,
            "gradient_checkpointing": False,
        }
        return TrainConfig.model_validate(
            {
                "model": {"name": str(tiny_model_dir), "precision": "float32"} | (model or {}),
                "data": {"pixels": {"limit": 84}} | (data or {}),
                "sft": settings | sft,
            }
        )

    return make
