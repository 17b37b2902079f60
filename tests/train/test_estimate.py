"""Memory and time from shapes: weights to the last one, activations as PyTorch keeps them, operations as it
counts them; and a probe of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import pytest
import torch

from lpt_core import ConfigError
from lpt_train.collate import SFTCollator
from lpt_train.config import LoraSection, ModelConfig, TrainConfig
from lpt_train.encoding import Encoder
from lpt_train.estimate import GIB, activations, estimate
from lpt_train.estimate_rows import workload_of
from lpt_train.estimate_time import DEVICES, operations
from lpt_train.model import add_adapters, load_model, load_processor, prepare
from lpt_train.probe import probe
from lpt_train.rows import read_sft
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


def test_a_packed_sequence_has_the_responses_of_several_rows(seven) -> None:
    plain = estimate(seven(data={"max_tokens": 8192}))
    packed = estimate(seven(data={"max_tokens": 8192}, sft={"packing": True}))
    assert packed.stages["sft"].logits == 8 * plain.stages["sft"].logits
    assert packed.stages["sft"].activations == plain.stages["sft"].activations
    assert packed.stages["dpo"] == plain.stages["dpo"]


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


# ---- time ------------------------------------------------------------------------------------------


def lab_config(tiny_model_dir, tiny_rows, **sft) -> TrainConfig:
    settings = {"data": tiny_rows / "sft.jsonl", "batch_size": 8, "micro_batch": 4, "save_every": 50}
    model = sft.pop("model", {})
    return TrainConfig.model_validate(
        {
            "model": {"name": str(tiny_model_dir), "precision": "float32"} | model,
            "data": {"pixels": {"limit": 84}},
            "sft": settings | {"gradient_checkpointing": False} | sft,
            "dpo": {"data": tiny_rows / "pairs.jsonl"},
        }
    )


def test_rows_are_counted_as_the_encoder_counts_them_within_two_hundredths(tiny_model_dir, tiny_rows) -> None:
    config = lab_config(tiny_model_dir, tiny_rows)
    encoder = Encoder(load_processor(str(tiny_model_dir)), pixels=config.data.pixels)
    encoded = [encoder.encode(row.prompt, row.response) for row in read_sft(tiny_rows / "sft.jsonl")]
    work = workload_of(config, "sft", read_shapes(str(tiny_model_dir)))
    assert work is not None
    assert work.rows == 24
    assert work.images == 8
    assert work.tokens == pytest.approx(sum(map(len, encoded)), rel=0.02)
    assert work.image_tokens == sum(row.regions.count("image") for row in encoded)
    scored = sum(len(row) - row.prompt_length for row in encoded)
    assert work.scored == pytest.approx(scored, rel=0.02)
    assert 1 < work.padded < 1.2


def test_pairs_that_share_take_fewer_tokens(tiny_model_dir, tiny_rows) -> None:
    config, shapes = lab_config(tiny_model_dir, tiny_rows), read_shapes(str(tiny_model_dir))
    alone = config.model_copy(update={"dpo": config.dpo.model_copy(update={"shared_prefix": False})})
    shared, plain = workload_of(config, "dpo", shapes), workload_of(alone, "dpo", shapes)
    assert shared is not None
    assert plain is not None
    assert shared.tokens < 0.7 * plain.tokens
    assert shared.scored == plain.scored


def test_operations_are_those_that_pytorch_counts(tiny_model_dir, tiny_rows) -> None:
    """Forward and backward of rows one by one: everything learns but the tower."""
    from torch.utils.flop_counter import FlopCounterMode

    config = lab_config(tiny_model_dir, tiny_rows, micro_batch=1)
    encoder = Encoder(load_processor(str(tiny_model_dir)), pixels=config.data.pixels)
    rows = [encoder.encode(row.prompt, row.response) for row in read_sft(tiny_rows / "sft.jsonl")]
    model = prepare(load_model(config.model), config.model)
    collate = SFTCollator(encoder)
    counter = FlopCounterMode(display=False)
    with counter:
        for row in rows[:6]:
            batch = collate([row])
            start = row.prompt_length - 1
            del batch["labels"], batch["regions"]
            model(**batch, logits_to_keep=torch.arange(start, len(row) - 1)).logits.sum().backward()
    shapes = read_shapes(str(tiny_model_dir))
    every = workload_of(config, "sft", shapes)
    assert every is not None
    told = operations(config, "sft", shapes, every) * sum(map(len, rows[:6])) / sum(map(len, rows))
    # The tower's own attention is not counted, and the tiny model's norms count as weights.
    assert told == pytest.approx(counter.get_total_flops(), rel=0.15)


def test_what_is_computed_more_takes_longer(tiny_model_dir, tiny_rows) -> None:
    def seconds(config: TrainConfig, **named) -> float:
        return estimate(config, **named).times["sft"].seconds[1]

    config = lab_config(tiny_model_dir, tiny_rows)
    plain = seconds(config, device=DEVICES["a40"])
    assert seconds(config, device=DEVICES["h100"]) < plain
    assert seconds(config, device=DEVICES["a40"], devices=2) == pytest.approx(plain / 2, rel=0.05)
    again = lab_config(tiny_model_dir, tiny_rows, gradient_checkpointing=True)
    assert seconds(again, device=DEVICES["a40"]) > plain
    thrice = lab_config(tiny_model_dir, tiny_rows, epochs=3)
    assert seconds(thrice, device=DEVICES["a40"]) == pytest.approx(3 * plain)
    adapters = lab_config(tiny_model_dir, tiny_rows, model={"lora": {}})
    assert seconds(adapters, device=DEVICES["a40"]) < plain


def test_without_rows_there_is_no_time_and_nothing_heavy_is_loaded(seven, tiny_model_dir, tiny_rows) -> None:
    made = estimate(seven())
    assert not made.times
    assert "time" not in made.text(memory=80)
    code = (
        "import sys; from lpt_train.config import TrainConfig; from lpt_train.estimate import estimate\n"
        f"config = TrainConfig.model_validate({{'model': {{'name': {str(tiny_model_dir)!r}}}, "
        f"'sft': {{'data': {str(tiny_rows / 'sft.jsonl')!r}}}}})\n"
        "assert estimate(config).times['sft'].rows == 24\n"
        "print([name for name in ('torch', 'transformers', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("packing", [False, True])
def test_a_probe_measures_this_machine(packing, tiny_model_dir, tiny_rows) -> None:
    more = {"packing": True, "micro_batch": 1} if packing else {"micro_batch": 1}
    config = lab_config(tiny_model_dir, tiny_rows, **more)
    if packing:
        config = config.model_copy(update={"data": config.data.model_copy(update={"max_tokens": 600})})
    measured = probe(config)
    assert measured.rate > 1e6
    assert 0 < measured.update < 5
    assert 0 < measured.row < 1
    assert measured.save is not None
    assert measured.peak > 2**26
    made = estimate(config, measured=measured)
    worst, likely, best = made.times["sft"].seconds
    assert worst == likely == best > measured.start
    assert "as a probe measured" in made.text(memory=80)
    assert made.as_json()["measured"]["device"]


def test_too_few_rows_to_probe_are_told(tiny_model_dir, tiny_rows) -> None:
    with pytest.raises(ConfigError, match="too few"):
        probe(lab_config(tiny_model_dir, tiny_rows, batch_size=32, micro_batch=16))
