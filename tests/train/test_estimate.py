"""Memory from shapes: weights to the last one, states as the anchors have them, activations as PyTorch keeps
them."""

from __future__ import annotations

import json
import warnings

import pytest
import torch

from lpt_core import ConfigError
from lpt_train.config import LoraSection, ModelConfig, TrainConfig
from lpt_train.estimate import GIB, activations, estimate
from lpt_train.model import add_adapters
from lpt_train.shapes import read_shapes, shapes_of

# Qwen2.5-VL-7B-Instruct's own, as its config.json has them: the language model's at the top.
SEVEN = {
    "model_type": "qwen2_5_vl",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
    "vision_config": {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "out_hidden_size": 3584,
        "in_chans": 3,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    },
}


@pytest.fixture
def seven(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(SEVEN))

    def make(**changes) -> TrainConfig:
        model = {"name": str(tmp_path)} | changes.pop("model", {})
        return TrainConfig.model_validate({"model": model, **changes})

    return make


def text_shape(**more):
    return {
        "hidden_size": 128,
        "intermediate_size": 320,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 600,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]},
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 0,
    } | more


VISION = {"depth": 2, "hidden_size": 64, "intermediate_size": 96, "num_heads": 2, "out_hidden_size": 128}


def tiny(layers: int = 2, *, tied: bool = True):
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    vision = VISION | {"fullatt_block_indexes": [1], "window_size": 112}
    text = text_shape(num_hidden_layers=layers)
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)
    )


def tiny_3(*, tied: bool):
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    vision = VISION | {"num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]}
    text = text_shape(head_dim=32, tie_word_embeddings=tied)
    return Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)
    )


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("make", [tiny, tiny_3])
def test_weights_are_counted_to_the_last_one(make, tied) -> None:
    model = make(tied=tied)
    shapes = shapes_of(json.loads(model.config.to_json_string(use_diff=False)))
    visual = model.model.visual
    projector = [*visual.merger.parameters()]
    for merger in getattr(visual, "deepstack_merger_list", ()):
        projector += merger.parameters()
    count = sum(p.numel() for p in model.parameters())
    assert shapes.projector == sum(p.numel() for p in projector)
    assert shapes.tower + shapes.projector == sum(p.numel() for p in visual.parameters())
    assert shapes.total == count


def test_adapters_are_counted_to_the_last_weight() -> None:
    for targets in (("q_proj", "v_proj"), ("o_proj", "down_proj", "gate_proj", "k_proj", "up_proj")):
        lora = LoraSection(rank=3, targets=targets)
        model = tiny()
        shapes = shapes_of(json.loads(model.config.to_json_string(use_diff=False)))
        adapted = add_adapters(model, lora)
        made = sum(p.numel() for name, p in adapted.named_parameters() if "lora_" in name)
        assert shapes.adapters(lora) == made


def test_the_seven_billion_model_has_what_it_is_known_to_have(seven) -> None:
    shapes = read_shapes(seven().model.name)
    assert shapes.total == 8_292_166_656  # as the hub counts them
    assert (shapes.tower + shapes.projector) / 1e9 == pytest.approx(0.677, abs=5e-4)
    assert shapes.projector / 1e9 == pytest.approx(0.045, abs=5e-4)


@pytest.mark.parametrize(
    ("model", "gib"),
    [({"precision": "float32"}, 116), ({"precision": "bfloat16"}, 58), ({"precision": "mixed"}, 114.8)],
)
def test_states_of_full_training_are_those_of_the_literature(model, gib, seven) -> None:
    states = estimate(seven(model=model)).stages["sft"].states / GIB
    assert states == pytest.approx(gib, abs=0.6)


def test_sharding_over_four_devices_quarters_the_states(seven) -> None:
    one = estimate(seven()).stages["sft"]
    four = estimate(seven(), devices=4, sharded=True).stages["sft"]
    assert four.states == one.states / 4
    assert four.states / GIB == pytest.approx(29, abs=0.5)
    assert four.activations == one.activations


def test_adapters_fit_where_full_training_does_not(seven) -> None:
    full, lora = estimate(seven()), estimate(seven(model={"lora": {}}))
    assert lora.stages["sft"].total < 24 * GIB < full.stages["sft"].total
    assert "sft, on each device" in lora.text(memory=24)
    assert "does not fit into 24 GiB" in full.text(memory=24)
    assert full.parameters["learning"] == read_shapes(seven().model.name).language


def kept(model, *, mixed: bool) -> int:
    """Bytes that the layers keep for the backward pass of 2 x 200 tokens, weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes = {tuple(s) for p in model.parameters() if p.dim() == 2 for s in (p.shape, p.T.shape)}
    seen: dict[int, int] = {}
    alive: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tuple(tensor.shape) not in sizes:
            seen[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    ids = torch.randint(10, 500, (2, 200), generator=torch.Generator().manual_seed(1))
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=mixed),
    ):
        model.train().model(input_ids=ids, use_cache=False)
    return sum(seen.values())


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "float32"},
        {"precision": "mixed"},
        {"precision": "bfloat16"},
        {"precision": "mixed", "lora": LoraSection(rank=2)},
        {"precision": "mixed", "lora": LoraSection(rank=2, dropout=0.1)},
    ],
)
def test_activations_are_those_that_pytorch_keeps(settings) -> None:
    config = ModelConfig(name="x", **settings)

    def make(layers: int):
        model = tiny(layers)
        if config.precision == "bfloat16" or config.lora:
            model = model.to(torch.bfloat16)
        if config.lora:
            model.requires_grad_(False)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = add_adapters(model, config.lora).base_model.model
        return model

    mixed = config.precision != "float32"
    # What a layer keeps is what two layers more make two layers' worth of.
    measured = (kept(make(4), mixed=mixed) - kept(make(2), mixed=mixed)) / 2
    shapes = shapes_of(json.loads(tiny().config.to_json_string(use_diff=False)))
    told = activations(shapes, config, 400, recompute=False) / shapes.layers
    assert told == pytest.approx(measured, rel=0.05)


def test_recomputing_keeps_little(seven) -> None:
    long = {"micro_batch": 4, "gradient_checkpointing": False}
    without = estimate(seven(sft=long)).stages["sft"].activations
    recomputed = estimate(seven(sft=long | {"gradient_checkpointing": True})).stages["sft"].activations
    assert recomputed < without / 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ('{"model_type": "llama"}', "shapes of a llama are not known"),
        ('{"model_type": "qwen2_5_vl"}', "lacks"),
        ('{"model_type": "qwen2_5_vl", "vision_config": 3, "hidden_size": "x"}', "lacks|cannot be read"),
        ("[]", "lacks|not known|cannot"),
    ],
)
def test_what_is_no_configuration_of_a_model_is_told(text, words, tmp_path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_shapes(str(tmp_path))


def test_a_folder_without_a_configuration_is_told(tmp_path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_shapes(str(tmp_path))
