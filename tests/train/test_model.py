"""The model: what learns and what does not, no graph through a frozen tower, digests of weights."""

from __future__ import annotations

import warnings

import pytest
import torch

from lpt_core import ConfigError
from lpt_train.collate import SFTCollator
from lpt_train.config import LoraSection, ModelConfig
from lpt_train.encoding import Encoder
from lpt_train.images import PixelPolicy
from lpt_train.model import (
    frozen_parameters,
    load_model,
    load_processor,
    parts_of,
    prepare,
    trained_parameters,
    use_checkpointing,
    weights_hash,
)
from lpt_train.rows import read_sft


@pytest.fixture
def config(tiny_model_dir) -> ModelConfig:
    return ModelConfig(name=str(tiny_model_dir), precision="float32")


@pytest.fixture
def batch(tiny_model_dir, tiny_rows):
    encoder = Encoder(load_processor(str(tiny_model_dir)), pixels=PixelPolicy(limit=84))
    rows = [encoder.encode(row.prompt, row.response) for row in read_sft(tiny_rows / "sft.jsonl")[:2]]
    made = SFTCollator(encoder)(rows)
    made.pop("regions")
    return made


def step(model, batch) -> tuple[int, dict[str, torch.Tensor]]:
    """Forwards of tower blocks in a whole step, and the gradients."""
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1

    visual = parts_of(model).visual
    handles = [block.attn.register_forward_hook(count) for block in visual.blocks]
    model.train()
    model(**batch, use_cache=False).loss.backward()
    for handle in handles:
        handle.remove()
    return calls, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_tower_and_projector_are_frozen_by_default(config) -> None:
    model = prepare(load_model(config), config)
    trained, frozen = dict(trained_parameters(model)), dict(frozen_parameters(model))
    assert trained
    assert not any("visual" in name for name in trained)
    assert frozen
    assert all("visual" in name for name in frozen)


def test_no_graph_goes_through_a_frozen_tower_and_gradients_are_the_same(config, batch) -> None:
    naive = load_model(config)
    parts_of(naive).visual.requires_grad_(False)
    use_checkpointing(naive)
    naive.enable_input_require_grads()
    ours = prepare(load_model(config), config)
    use_checkpointing(ours)
    ours.enable_input_require_grads()
    calls, gradients = step(naive, batch)
    assert calls == 4  # two blocks, each run again in the backward pass
    ours_calls, ours_gradients = step(ours, batch)
    assert ours_calls == 2
    assert not any("visual" in name for name in ours_gradients)
    assert gradients.keys() == ours_gradients.keys()
    assert all(torch.equal(gradients[name], ours_gradients[name]) for name in gradients)


def test_a_projector_learns_alone_without_a_graph_through_the_tower(config, batch) -> None:
    config = config.model_copy(update={"train_projector": True})
    model = prepare(load_model(config), config)
    use_checkpointing(model)
    model.enable_input_require_grads()
    calls, gradients = step(model, batch)
    assert calls == 2
    visual = {name for name in gradients if "visual" in name}
    assert visual
    assert all(".merger." in name for name in visual)


def test_a_tower_learns_where_it_shall(config, batch) -> None:
    config = config.model_copy(update={"train_tower": True, "train_projector": True})
    _, gradients = step(prepare(load_model(config), config), batch)
    assert any("visual.blocks.0" in name for name in gradients)


def test_adapters_lie_on_the_language_model_alone(config) -> None:
    config = config.model_copy(update={"lora": LoraSection(rank=2)})
    model = prepare(load_model(config), config)
    names = [name for name, _ in trained_parameters(model)]
    assert len(names) == 2 * 7 * 2  # A and B of seven projections in two layers
    assert all(".language_model.layers." in name and ".lora_" in name for name in names)
    some = config.model_copy(update={"lora": LoraSection(rank=2, targets=("q_proj", "v_proj"))})
    assert len(list(trained_parameters(prepare(load_model(some), some)))) == 2 * 2 * 2


def test_the_usual_names_would_have_adapted_the_tower_as_well(config) -> None:
    from peft import LoraConfig, get_peft_model

    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stock = get_peft_model(load_model(config), LoraConfig(r=2, target_modules=names))
    assert any("visual" in name for name, _ in trained_parameters(stock))


def test_qwen3_vl_is_frozen_and_adapted_in_the_same_way() -> None:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "head_dim": 16, "vocab_size": 64, "bos_token_id": None,
            "eos_token_id": 2, "pad_token_id": 0}  # fmt: skip
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32,
              "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}  # fmt: skip

    def make():
        return Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=vision))

    full = ModelConfig(name="x", precision="float32")
    assert not any("visual" in name for name, _ in trained_parameters(prepare(make(), full)))
    projector = full.model_copy(update={"train_projector": True})
    visual = {n for n, _ in trained_parameters(prepare(make(), projector)) if "visual" in n}
    assert {name.split(".")[2] for name in visual} == {"merger", "deepstack_merger_list"}
    adapted = prepare(make(), full.model_copy(update={"lora": LoraSection(rank=2)}))
    names = [name for name, _ in trained_parameters(adapted)]
    assert len(names) == 2 * 7 * 2
    assert all(".language_model.layers." in name for name in names)


def test_a_digest_names_names_types_shapes_and_bytes() -> None:
    base = {"a": torch.arange(6.0), "b": torch.zeros(())}
    digest = weights_hash(base.items())
    assert digest == weights_hash(reversed(base.items()))
    others = [
        base | {"a": torch.arange(6.0).nextafter(torch.tensor(9.0))},
        base | {"a": torch.arange(6.0).reshape(2, 3)},
        base | {"a": torch.arange(6.0).double()},
        base | {"b": -torch.zeros(())},
        {"c": base["a"], "b": base["b"]},
        {"a": base["a"]},
    ]
    digests = {weights_hash(other.items()) for other in others}
    assert len(digests | {digest}) == 7
    odd = torch.arange(12, dtype=torch.bfloat16).reshape(3, 4)
    assert weights_hash([("x", odd.T)]) == weights_hash([("x", odd.T.contiguous())])


@pytest.mark.parametrize("name", ["text", "empty", "none"])
def test_what_is_no_model_is_told_in_a_sentence(name, tmp_path, tiny_model_dir) -> None:
    folder = tmp_path / name
    if name != "none":
        folder.mkdir()
    if name == "text":
        from transformers import Qwen2Config, Qwen2ForCausalLM

        shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 32}
        Qwen2ForCausalLM(Qwen2Config(**shape, num_attention_heads=1, num_key_value_heads=1)).save_pretrained(
            folder
        )
    with pytest.raises(ConfigError, match=r"cannot be loaded|no model whose parts"):
        load_model(ModelConfig(name=str(folder)))
    with pytest.raises(ConfigError):
        load_processor(str(folder))
