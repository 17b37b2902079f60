"""Adapters merged into their model say what they said before."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from lpt_core import CheckpointRecord, ConfigError, DataError
from lpt_train.collate import SFTCollator
from lpt_train.config import LoraSection, ModelConfig, TrainConfig
from lpt_train.encoding import Encoder
from lpt_train.images import PixelPolicy
from lpt_train.merge import merge
from lpt_train.model import load_adapters, load_model, load_processor, weights_hash
from lpt_train.rows import read_sft
from lpt_train.sft.run import train_sft


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_model_dir, tiny_rows):
    folder = tmp_path_factory.mktemp("lora") / "run"
    settings = {
        "model": {"name": str(tiny_model_dir), "precision": "float32", "lora": {"rank": 4}},
        "data": {"pixels": {"limit": 84}},
        "sft": {
            "data": tiny_rows / "sft.jsonl",
            "learning_rate": 1e-2,
            "max_steps": 2,
            "batch_size": 8,
            "micro_batch": 4,
            "warmup_steps": 0,
        },
    }
    train_sft(TrainConfig.model_validate(settings), folder)
    return folder


def logits(model, batch) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**batch, use_cache=False).logits


def test_a_merged_model_says_what_model_and_adapters_say(run, tmp_path, tiny_model_dir, tiny_rows) -> None:
    record = merge(run, tmp_path / "merged")
    encoder = Encoder(load_processor(str(tmp_path / "merged")), pixels=PixelPolicy(limit=84))
    row = read_sft(tiny_rows / "sft.jsonl")[0]
    batch = SFTCollator(encoder)([encoder.encode(row.prompt, row.response)])
    del batch["regions"], batch["labels"]
    config = ModelConfig(name=str(tiny_model_dir), precision="float32", lora=LoraSection())
    base = load_model(config)
    plain = logits(base, batch)
    adapted = logits(load_adapters(base, run / "model", trainable=False), batch)
    whole = load_model(ModelConfig(name=str(tmp_path / "merged"), precision="float32"))
    assert (adapted - plain).abs().max() > 1e-2
    assert (logits(whole, batch) - adapted).abs().max() < 1e-5
    assert CheckpointRecord.read(tmp_path / "merged") == record
    assert not record.adapter
    assert record.weights is not None
    assert record.weights.trained == weights_hash(whole.named_parameters())


def test_it_is_saved_in_the_precision_that_is_asked_for(run, tmp_path) -> None:
    merge(run / "checkpoint-2", tmp_path / "merged", dtype="bfloat16")
    state = load_file(tmp_path / "merged" / "model.safetensors")
    assert {value.dtype for value in state.values()} == {torch.bfloat16}


def test_another_base_a_full_model_and_a_folder_in_use_are_refused(run, tmp_path, tiny_model_dir) -> None:
    with pytest.raises(ConfigError, match="holds no adapters"):
        merge(tiny_model_dir, tmp_path / "merged")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ConfigError, match="is there already"):
        merge(run, tmp_path / "full")
    other = tmp_path / "other"
    other.mkdir()
    for file in tiny_model_dir.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    state = load_file(other / "model.safetensors")
    state["model.norm.weight"] += 0.5
    save_file(state, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match="are not those"):
        merge(run, tmp_path / "merged", base=str(other))
