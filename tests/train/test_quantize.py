"""Weights in four bits under adapters: refused where they are not to be had, else trained on for real."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec

import pytest
import torch

from lpt_core import CheckpointRecord, ConfigError, DataError, MissingExtraError, PixelPolicy
from lpt_train import quantize
from lpt_train.collate import SFTCollator
from lpt_train.config import ModelConfig, TrainConfig
from lpt_train.dpo.run import train_dpo
from lpt_train.encoding import Encoder
from lpt_train.estimate import estimate
from lpt_train.merge import merge
from lpt_train.model import load_adapters, load_model, load_processor, weights_hash
from lpt_train.quantize import dequantized
from lpt_train.rows import read_sft
from lpt_train.sft.run import train_sft

real = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="needs bitsandbytes: lpt-train[qlora] is not installed"
)


def model_config(folder, **more) -> ModelConfig:
    given = {"name": str(folder), "precision": "float32", "lora": {"rank": 4}, "quantize": "nf4"}
    return ModelConfig.model_validate(given | more)


def config(model, rows, precision="float32", **sft) -> TrainConfig:
    stage = {"data": rows / "sft.jsonl", "learning_rate": 1e-2, "batch_size": 8, "micro_batch": 4}
    return TrainConfig.model_validate(
        {
            "model": model_config(model, precision=precision).model_dump(),
            "data": {"pixels": {"limit": 84}},
            "sft": {**stage, "warmup_steps": 0, "max_steps": 4, "save_every": 2, **sft},
            "dpo": {**stage, "data": rows / "pairs.jsonl", "warmup_steps": 0, "max_steps": 1},
        }
    )


# ---- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{"lora": None}, {"quantize": "int8"}, {"quantize": True}])
def test_only_nf4_under_adapters_is_a_configuration(more) -> None:
    with pytest.raises(ValueError, match="quantize"):
        model_config("x", **more)


def test_vllm_does_not_draw_from_weights_in_four_bits() -> None:
    whole = {"model": model_config("x").model_dump(), "grpo": {"use_vllm": True}}
    with pytest.raises(ValueError, match="other weights"):
        TrainConfig.model_validate(whole)


def test_without_bitsandbytes_the_line_that_installs_it_is_told(tiny_model_dir, monkeypatch) -> None:
    monkeypatch.setattr(quantize, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lpt-train\[qlora\]'"):
        load_model(model_config(tiny_model_dir))


@pytest.mark.parametrize("launcher", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_weights_that_are_spread_are_not_quantised(launcher, tiny_model_dir, monkeypatch) -> None:
    monkeypatch.setattr(quantize, "find_spec", lambda name: object())
    monkeypatch.setenv(launcher, "true")
    with pytest.raises(ConfigError, match="not spread over devices"):
        load_model(model_config(tiny_model_dir))


def test_a_model_that_is_quantised_already_is_refused(tiny_model_dir, tmp_path) -> None:
    folder = shutil.copytree(tiny_model_dir, tmp_path / "quantised")
    facts = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(facts | {"quantization_config": {"quant_method": "awq"}}))
    with pytest.raises(ConfigError, match="quantised already"):
        load_model(model_config(folder, quantize=None))


def test_an_estimate_counts_four_bits_and_a_little(tiny_model_dir, tiny_rows) -> None:
    half = config(tiny_model_dir, tiny_rows, precision="bfloat16")
    plain = half.model_copy(update={"model": half.model.model_copy(update={"quantize": None})})
    less = estimate(plain).stages["sft"].weights - estimate(half).stages["sft"].weights
    # Two layers of 64 with a key of 32 and an inner width of 96.
    projections = 2 * (64 * (64 + 2 * 32) + 64 * 64 + 3 * 64 * 96)
    assert less == pytest.approx(projections * (16 - 4.127) / 8, rel=1e-3)


# ---- for real ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_model_dir, tiny_rows):
    folder = tmp_path_factory.mktemp("qlora") / "run"
    train_sft(config(tiny_model_dir, tiny_rows), folder)
    return folder


def losses(run) -> list[float]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@real
@pytest.mark.slow
def test_the_language_models_projections_are_in_four_bits_and_nothing_else_is(tiny_model_dir) -> None:
    model = load_model(model_config(tiny_model_dir))
    small = {name for name, value in model.named_parameters() if value.dtype == torch.uint8}
    assert len(small) == 2 * 7
    assert all("language_model.layers" in name and "_proj" in name for name in small)


@real
@pytest.mark.slow
def test_their_digest_knows_the_constants(tiny_model_dir) -> None:
    model = load_model(model_config(tiny_model_dir))
    before = weights_hash(model.named_parameters())
    assert weights_hash(load_model(model_config(tiny_model_dir)).named_parameters()) == before
    model.model.language_model.layers[0].mlp.up_proj.weight.quant_state.absmax[0] ^= 1
    assert weights_hash(model.named_parameters()) != before


@real
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_it_learns(precision, run, tiny_model_dir, tiny_rows, tmp_path) -> None:
    if precision != "float32":
        run = tmp_path / "run"
        train_sft(config(tiny_model_dir, tiny_rows, precision), run)
    told = losses(run)
    assert len(told) == 4
    assert told[-1] < told[0] - 0.1


@real
@pytest.mark.slow
def test_stopped_and_resumed_it_ends_in_the_same_adapters(run, tiny_model_dir, tiny_rows, tmp_path) -> None:
    again = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(again / "model")
    shutil.rmtree(again / "checkpoint-4")
    result = train_sft(config(tiny_model_dir, tiny_rows), again)
    assert result.resumed_from == 2
    assert result.record.weights == CheckpointRecord.read(run / "model").weights


@real
@pytest.mark.slow
def test_merged_it_says_what_it_said_in_four_bits(run, tiny_model_dir, tiny_rows, tmp_path) -> None:
    record = merge(run, tmp_path / "merged")
    assert not record.adapter
    encoder = Encoder(load_processor(str(tmp_path / "merged")), pixels=PixelPolicy(limit=84))
    row = read_sft(tiny_rows / "sft.jsonl")[0]
    batch = SFTCollator(encoder)([encoder.encode(row.prompt, row.response)])
    del batch["regions"], batch["labels"]
    plain = model_config(tiny_model_dir, quantize=None)
    models = {
        "trained": load_adapters(load_model(model_config(tiny_model_dir)), run / "model", trainable=False),
        "merged": load_model(plain.model_copy(update={"name": str(tmp_path / "merged"), "lora": None})),
        "in whole": load_adapters(load_model(plain), run / "model", trainable=False),
        "turned back": dequantized(load_model(model_config(tiny_model_dir))),
    }
    with torch.no_grad():
        said = {name: model.eval()(**batch, use_cache=False).logits for name, model in models.items()}
    assert (said["merged"] - said["trained"]).abs().max() < 1e-4
    assert (said["merged"] - said["in whole"]).abs().max() > 1e-2
    assert (said["merged"] - said["turned back"]).abs().max() > 1e-2


@real
@pytest.mark.slow
def test_used_in_evaluation_they_stay_as_they_are(tiny_model_dir, tiny_rows, tmp_path) -> None:
    settings = config(tiny_model_dir, tiny_rows, max_steps=2, evaluation=tiny_rows / "sft.jsonl")
    train_sft(settings, tmp_path / "run")  # which asserts at its end that what was frozen is as it was
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert any("eval_loss" in line for line in lines)


@real
@pytest.mark.slow
def test_another_model_is_not_merged_into(run, tiny_model_dir, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    other = shutil.copytree(tiny_model_dir, tmp_path / "other")
    state = load_file(other / "model.safetensors")
    name = next(name for name in state if name.endswith("layers.0.mlp.up_proj.weight"))
    save_file(state | {name: state[name] * 2}, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="not those"):
        merge(run, tmp_path / "merged", base=str(other))


@real
@pytest.mark.slow
def test_pairs_are_trained_on(tiny_model_dir, tiny_rows, tmp_path) -> None:
    result = train_dpo(config(tiny_model_dir, tiny_rows), tmp_path / "run")
    assert result.record.step == 1
    assert result.record.adapter
