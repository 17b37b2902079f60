"""Packed rows against the same rows each by itself: the same numbers, and no padding."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from lpt_core import CheckpointRecord, ConfigError
from lpt_train import packed_attention
from lpt_train.collate import NO_LABEL, SFTCollator
from lpt_train.config import TrainConfig
from lpt_train.encoding import Encoder
from lpt_train.images import PixelPolicy
from lpt_train.model import load_processor, parts_of
from lpt_train.packed_attention import attend_row_by_row
from lpt_train.packing import PackingCollator, check_packable
from lpt_train.rows import read_sft
from lpt_train.sft.run import train_sft
from lpt_train.sft.trainer import SFTTrainer

EXACTNESS = [(torch.float64, 1e-9), (torch.float32, 1e-5)]


@pytest.fixture(scope="module")
def encoder(tiny_model_dir):
    return Encoder(load_processor(str(tiny_model_dir)), pixels=PixelPolicy(limit=112))


@pytest.fixture(scope="module")
def rows(encoder, tiny_rows):
    return [encoder.encode(row.prompt, row.response) for row in read_sft(tiny_rows / "sft.jsonl")]


def _whole_norms(model):
    """Norms in the model's own type; the library's go through float32 and round what float64 could tell."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):

            def norm(x, own=module):
                return own.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + own.variance_epsilon)

            module.forward = norm


def _qwen3(folder, processor):
    """A random Qwen3-VL with the tiny tokenizer's ids, for patches of the tiny processor's size."""
    from transformers import AutoConfig, Qwen3VLConfig, Qwen3VLForConditionalGeneration

    ids = AutoConfig.from_pretrained(folder)
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    text = {
        "vocab_size": ids.text_config.vocab_size, "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
        "max_position_embeddings": 4096, "bos_token_id": None, "pad_token_id": 0, "eos_token_id": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]},
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 64,
        "deepstack_visual_indexes": [0], "num_position_embeddings": 64,
        "patch_size": processor.image_processor.patch_size,
    }  # fmt: skip
    config = Qwen3VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True,
        **{name: getattr(ids, name) for name in names},
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = Qwen3VLForConditionalGeneration(config)
        with torch.no_grad():
            for weights in model.parameters():
                if weights.dim() > 1:
                    weights.mul_(4)
    return model


@pytest.fixture(scope="module")
def model_of(tiny_model_dir):
    from transformers import AutoModelForImageTextToText

    def make(family, dtype, attention="sdpa"):
        plain = attention.removesuffix("-rows")
        if family == "qwen3":
            model = _qwen3(tiny_model_dir, load_processor(str(tiny_model_dir)))
            model.set_attn_implementation(plain)
        else:
            model = AutoModelForImageTextToText.from_pretrained(tiny_model_dir, attn_implementation=plain)
        if attention != plain:
            attend_row_by_row(model)
        model = model.to(dtype).eval()
        _whole_norms(model)
        return model

    return make


def _logits(model, batch):
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "regions")}
    inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
    return model(**inputs, use_cache=False).logits


def _log_probs(logits, ids):
    """Of every token but the first."""
    return torch.log_softmax(logits[:-1], -1).gather(1, ids[1:, None])[:, 0]


# ---- the computation -------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["qwen2.5", "qwen3"])
@pytest.mark.parametrize(
    ("attention", "dtype", "within"),
    # Eager attention takes its softmax in float32 whatever the model is in.
    [
        ("sdpa-rows", *EXACTNESS[0]),
        ("sdpa-rows", *EXACTNESS[1]),
        ("sdpa", *EXACTNESS[0]),
        ("eager", torch.float32, 1e-5),
    ],
)
def test_log_probs_of_packed_rows_are_those_that_they_have_alone(
    encoder, rows, model_of, family, attention, dtype, within
) -> None:
    some = [rows[place] for place in (3, 0, 7, 12, 5)]
    assert len({encoder.pictures.grid(row.image) for row in some}) >= 3
    model = model_of(family, dtype, attention)
    with torch.no_grad():
        packed = _logits(model, PackingCollator(encoder)([some]))[0]
        start = 0
        for row in some:
            ids = torch.tensor(row.ids)
            alone = _log_probs(_logits(model, SFTCollator(encoder)([row]))[0], ids)
            found = _log_probs(packed[start : start + len(row)], ids)
            # Relative to the largest: float32 itself has seven digits.
            assert (found - alone).abs().max() <= within * max(1.0, alone.abs().max())
            start += len(row)
    assert start == packed.shape[0]


@pytest.mark.parametrize("family", ["qwen2.5", "qwen3"])
@pytest.mark.parametrize(("dtype", "within"), EXACTNESS)
def test_the_gradient_of_an_update_is_that_of_the_padded_batch(
    encoder, rows, model_of, family, dtype, within
) -> None:
    some = rows[:6]
    model = model_of(family, dtype, "sdpa-rows")

    def gradient(batches):
        model.zero_grad()
        number = sum(int((batch["labels"][:, 1:] != NO_LABEL).sum()) for batch in batches)
        for batch in batches:
            logits, targets = _logits(model, batch)[:, :-1], batch["labels"][:, 1:]
            loss = functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), ignore_index=NO_LABEL, reduction="sum"
            )
            (loss / number).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    wanted = gradient([SFTCollator(encoder)(some[:2]), SFTCollator(encoder)(some[2:])])
    found = gradient([PackingCollator(encoder)([some[:4]]), PackingCollator(encoder)([some[4:]])])
    assert found.keys() == wanted.keys()
    largest = max(float(value.abs().max()) for value in wanted.values())
    for name, value in wanted.items():
        # The tower's rotations compute in float32 whatever the model is in.
        bound = max(within, 1e-6) if ".visual." in name else within
        assert float((found[name] - value).abs().max()) <= bound * largest, name


def test_a_change_of_one_row_leaves_the_others_alone(encoder, rows, model_of) -> None:
    model = model_of("qwen2.5", torch.float64, "sdpa-rows")
    collate = PackingCollator(encoder)
    first, other, last = rows[0], rows[1], rows[2]
    with torch.no_grad():
        one = _logits(model, collate([[first, rows[4], last]]))[0]
        two = _logits(model, collate([[first, other, last]]))[0]
    assert (one[: len(first)] - two[: len(first)]).abs().max() < 1e-10
    assert (one[-len(last) :] - two[-len(last) :]).abs().max() < 1e-10


def test_no_scores_between_rows_are_computed(encoder, rows, model_of, monkeypatch) -> None:
    seen = []
    stock = packed_attention.sdpa_attention_forward

    def watched(module, query, key, value, mask, **named):
        seen.append((query.shape[2], key.shape[2], mask))
        return stock(module, query, key, value, mask, **named)

    monkeypatch.setattr(packed_attention, "sdpa_attention_forward", watched)
    model = model_of("qwen2.5", torch.float32, "sdpa-rows")
    with torch.no_grad():
        _logits(model, PackingCollator(encoder)([rows[:3]]))
    assert seen == 2 * [(len(row), len(row), None) for row in rows[:3]]
    seen.clear()
    with torch.no_grad():
        _logits(model, SFTCollator(encoder)(rows[:2]))
    assert [mask is None for _, _, mask in seen] == [False, False]


# ---- the batch -------------------------------------------------------------------------------------


def test_nothing_predicts_the_first_token_of_a_row(encoder, rows) -> None:
    spoilt = [
        replace(row, labels=(True, *row.labels[1:]), regions=("answer", *row.regions[1:])) for row in rows
    ]
    batch = PackingCollator(encoder)([spoilt[:3]])
    starts = [0, len(rows[0]), len(rows[0]) + len(rows[1])]
    assert batch["labels"][0, starts].tolist() == [NO_LABEL] * 3
    assert batch["regions"][0, starts].tolist() == [0] * 3
    bears = [place for row in rows[:3] for place in row.labels]
    assert (batch["labels"] != NO_LABEL)[0].tolist() == bears
    assert batch["position_ids"][0, 0, starts].tolist() == [0] * 3


def test_a_pack_has_the_images_of_all_its_rows_and_no_padding(encoder, rows) -> None:
    batch = PackingCollator(encoder)([rows[:4]])
    assert [tuple(grid) for grid in batch["image_grid_thw"].tolist()] == [
        encoder.pictures.grid(row.image) for row in rows[:4]
    ]
    assert batch["input_ids"][0].tolist() == [token for row in rows[:4] for token in row.ids]
    assert batch["position_ids"].shape == (4, 1, sum(map(len, rows[:4])))
    assert "attention_mask" not in batch
    with pytest.raises(ValueError, match="one sequence"):
        PackingCollator(encoder)([rows[:2], rows[2:4]])


def test_rows_of_an_evaluation_are_padded_as_ever(encoder, rows) -> None:
    ours, plain = PackingCollator(encoder)(rows[:3]), SFTCollator(encoder)(rows[:3])
    assert all(torch.equal(ours[name], plain[name]) for name in plain)


# ---- training --------------------------------------------------------------------------------------


def _log(run):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "token_loss" in line]


def _packed(sft_config, **changes):
    data = {"pixels": {"limit": 84}, "max_tokens": changes.pop("max_tokens", 1024)}
    return sft_config(data=data, micro_batch=1, packing=True, **changes)


def test_a_packed_training_is_the_unpacked_one(sft_config, tmp_path, tiny_rows) -> None:
    plain = sft_config(data={"pixels": {"limit": 84}, "max_tokens": 1024}, micro_batch=1, max_steps=4)
    train_sft(plain, tmp_path / "plain")
    train_sft(_packed(sft_config, max_steps=4, evaluation=tiny_rows / "sft.jsonl"), tmp_path / "packed")
    for one, other in zip(_log(tmp_path / "plain"), _log(tmp_path / "packed"), strict=True):
        # Adam divides by small gradients' own size: rounding grows from step to step.
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)
        for name in ("tokens", "rows", "label_share"):
            assert other[name] == one[name]
        assert other["padding_share"] == 0
    assert CheckpointRecord.read(tmp_path / "packed" / "model").course["sft.packing"] is True
    assert "lpt_rows" not in (tmp_path / "packed" / "model" / "config.json").read_text()


def test_sequences_are_fewer_than_rows_and_within_max_tokens(sft_config, tmp_path, monkeypatch) -> None:
    taken = []
    stock = SFTTrainer.compute_loss

    def watched(self, model, inputs, *args, **named):
        taken.append(inputs["input_ids"].shape[1])
        return stock(self, model, inputs, *args, **named)

    monkeypatch.setattr(SFTTrainer, "compute_loss", watched)
    train_sft(_packed(sft_config, max_steps=3, max_tokens=700), tmp_path / "run")
    assert len(taken) < 3 * 8
    assert max(taken) <= 700
    assert max(taken) > 350


class StoppedError(Exception):
    pass


def test_a_stopped_packed_run_ends_in_the_same_weights(sft_config, tmp_path) -> None:
    def stop(line: str) -> None:
        if line.startswith("update 5 of"):
            raise StoppedError

    config = _packed(sft_config, batch_size=7 * 1, max_steps=6)  # 24 rows: the last update has three
    train_sft(config, tmp_path / "whole")
    with pytest.raises(StoppedError):
        train_sft(config, tmp_path / "run", note=stop)
    assert train_sft(config, tmp_path / "run").resumed_from == 4
    ours, theirs = (CheckpointRecord.read(tmp_path / name / "model").weights for name in ("whole", "run"))
    assert ours == theirs


def test_a_frozen_tower_has_no_graph_under_packing(sft_config, tmp_path, monkeypatch) -> None:
    calls = []
    stock = SFTTrainer.compute_loss

    def watched(self, model, inputs, *args, **named):
        def note(module, given, made):
            calls.append(made.pooler_output[0].grad_fn if hasattr(made, "pooler_output") else made)

        handle = parts_of(model.get_base_model()).visual.register_forward_hook(note)
        try:
            return stock(self, model, inputs, *args, **named)
        finally:
            handle.remove()

    monkeypatch.setattr(SFTTrainer, "compute_loss", watched)
    config = _packed(sft_config, model={"lora": {"rank": 2}}, max_steps=1, gradient_checkpointing=True)
    train_sft(config, tmp_path / "run")
    assert calls
    assert all(call is None for call in calls)


# ---- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("sft", [{"packing": "yes"}, {"packing": 1}, {"packing": True, "micro_batch": 2}])
def test_packing_is_true_or_false_and_takes_one_sequence(sft) -> None:
    with pytest.raises(ValueError, match="packing"):
        TrainConfig.model_validate({"model": {"name": "x"}, "sft": sft})


def test_models_that_would_let_rows_see_each_other_are_refused() -> None:
    check_packable("qwen3_vl")
    with pytest.raises(ConfigError, match="a llava is not known"):
        check_packable("llava")


def test_workers_prepare_the_same_batches(sft_config, tmp_path) -> None:
    for name, workers in (("alone", 0), ("workers", 2)):
        train_sft(_packed(sft_config, max_steps=2, workers=workers), tmp_path / name)
    assert [line["loss"] for line in _log(tmp_path / "alone")] == [
        line["loss"] for line in _log(tmp_path / "workers")
    ]
