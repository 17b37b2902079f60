"""What GRPO is told to take: the memory that other stages do not have, the tokens of prompts, the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lpt_train.config import TrainConfig
from lpt_train.encoding import Encoder
from lpt_train.estimate import GIB, Memory, estimate
from lpt_train.estimate_grpo import grpo_duration
from lpt_train.estimate_rows import Workload, workload_of
from lpt_train.estimate_time import DEVICES
from lpt_train.grpo.prompts import prompt_tokens
from lpt_train.images import PixelPolicy
from lpt_train.model import load_processor
from lpt_train.rows import read_prompts
from lpt_train.shapes import read_shapes

# Qwen2.5-VL-7B-Instruct's own.
SEVEN = {
    "model_type": "qwen2_5_vl",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "vision_config": {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584},
}
SEVEN["vision_config"] |= {"patch_size": 14}
WORK = Workload(rows=1000, tokens=450_000, squares=0, image_tokens=324_000, images=1000, scored=0)

Make = Callable[..., TrainConfig]


@pytest.fixture
def seven(tmp_path: Path) -> Make:
    (tmp_path / "config.json").write_text(json.dumps(SEVEN))

    def make(model: dict[str, object] | None = None, **grpo: object) -> TrainConfig:
        return TrainConfig.model_validate({"model": {"name": str(tmp_path)} | (model or {}), "grpo": grpo})

    return make


def memory(config: TrainConfig, **how: object) -> Memory:
    return estimate(config, device=DEVICES["h200"], **how).stages["grpo"]


def test_a_whole_update_is_written_at_once_and_its_keys_and_values_are_counted(seven: Make) -> None:
    half, full = (seven(batch_size=size, model={"precision": "bfloat16"}) for size in (64, 128))
    assert memory(full).generation == 2 * memory(half).generation == 2 * memory(full, devices=2).generation
    # 2 x 4 heads of 128, in 28 layers, of two bytes, for each of 2048 places; half of them are read at once.
    kept = 128 * 2048 * 2 * 512 * 28 * 2
    assert memory(full).generation == kept + 128 * 1024 * (4 * 3584 + 3 * 18944) * 2
    # It is gone when there is something to learn from.
    assert memory(full).total == memory(full).states + memory(full).copies + memory(full).generation


def test_a_reference_is_a_second_model_unless_adapters_can_be_switched_off(seven: Make) -> None:
    assert memory(seven()).reference == 0
    assert memory(seven(beta=0.1)).reference / GIB == pytest.approx(30.9, abs=0.1)
    assert memory(seven(beta=0.1), devices=4, sharded=True).reference / GIB == pytest.approx(7.7, abs=0.1)
    assert memory(seven(beta=0.1, model={"lora": {}})).reference == 0


def test_an_engine_takes_its_share_unless_it_sleeps_or_is_elsewhere(seven: Make) -> None:
    vllm = memory(seven(use_vllm=True, vllm={"gpu_memory_utilization": 0.5}))
    assert (vllm.engine / GIB, vllm.generation) == (139 / 2, 0)
    asleep = memory(seven(use_vllm=True, vllm={"gpu_memory_utilization": 0.5, "enable_sleep_mode": True}))
    assert (asleep.engine, asleep.generation / GIB) == (0, 139 / 2)
    elsewhere = memory(seven(use_vllm=True, vllm={"mode": "server"}))
    assert (elsewhere.engine, elsewhere.generation) == (0, 0)


def test_time_follows_prompts_completions_and_their_length(seven: Make) -> None:
    def seconds(**grpo: object) -> tuple[float, float, float]:
        config = seven(**grpo)
        return grpo_duration(config, read_shapes(config.model.name), WORK, device=DEVICES["h100"]).seconds

    worst, likely, best = seconds()
    assert 0 < best < likely < worst
    assert seconds(max_completion_tokens=512) < (0.7 * worst, 0.7 * likely, 0.7 * best)
    assert seconds(use_vllm=True) < (worst, likely, best)
    assert seconds(beta=0.1) > (worst, likely, best)
    config = seven(iterations=2)
    made = grpo_duration(config, read_shapes(config.model.name), WORK, device=DEVICES["h100"])
    # 16 questions of 8 completions make an update, and 1000 fill 63 chunks; each is learnt from twice.
    assert (made.updates, made.rows) == (126, 63 * 128)


def test_prompts_are_counted_to_the_token_and_told(tiny_model_dir: Path, tiny_prompts: Path) -> None:
    config = TrainConfig.model_validate(
        {
            "model": {"name": str(tiny_model_dir), "precision": "float32"},
            "data": {"pixels": {"limit": 84}},
            "grpo": {"data": tiny_prompts, "batch_size": 8, "generations": 4},
        }
    )
    encoder = Encoder(load_processor(str(tiny_model_dir)), pixels=PixelPolicy(limit=84))
    examples = read_prompts(tiny_prompts)
    work = workload_of(config, "grpo", read_shapes(str(tiny_model_dir)))
    assert work is not None
    assert work.image_tokens == sum(encoder.pictures.tokens(example.image) for example in examples)
    true = sum(len(prompt_tokens(encoder, example)) for example in examples)
    assert work.tokens == pytest.approx(true, rel=0.02)
    said = estimate(config).text(memory=80).partition("grpo, on each device")[2]
    assert "generation" in said
    assert "completions       96," in said
    assert "a quarter to all of max_completion_tokens" in said
