"""Preference training of a tiny model: it learns, it resumes to the last bit, its reference is right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lpt_core import ConfigError, DataError
from lpt_train.config import TrainConfig
from lpt_train.dpo.collate import PairCollator, Scored
from lpt_train.dpo.pairs import TokenPair
from lpt_train.dpo.reference import ReferenceCache
from lpt_train.dpo.run import train_dpo
from lpt_train.dpo.shared import pair_log_probs
from lpt_train.dpo.trainer import PreferenceTrainer
from lpt_train.encoding import Encoder
from lpt_train.model import load_model, load_processor
from lpt_train.rows import read_pairs

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def dpo_config(tiny_model_dir: Path, tiny_rows: Path) -> MakeConfig:
    """``dpo_config(model={...}, data={...}, **dpo)``: a configuration of 6 updates, 3 checkpoints."""

    def make(
        model: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        pairs: Path | None = None,
        **dpo: Any,
    ) -> TrainConfig:
        settings = {
            "data": pairs or tiny_rows / "pairs.jsonl",
            "learning_rate": 3e-3,
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
                "dpo": settings | dpo,
            }
        )

    return make


def weights(folder: Path) -> dict[str, torch.Tensor]:
    [file] = folder.glob("*.safetensors")
    return load_file(file)


def log(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def lines(run: Path) -> list[dict[str, Any]]:
    [file] = (run / "reference").iterdir()
    rows = (json.loads(line) for line in file.read_text().splitlines())
    return sorted(rows, key=lambda row: row["pair"])


LORA = {"lora": {"rank": 4, "alpha": 8}}


@pytest.mark.parametrize("model", [{}, LORA], ids=["full", "lora"])
def test_it_learns_to_prefer_and_leaves_the_tower_alone(dpo_config, tiny_model_dir, tmp_path, model):
    result = train_dpo(
        dpo_config(model, max_steps=12, learning_rate=1e-2 if model else 3e-3), tmp_path / "run"
    )
    history = [line for line in log(tmp_path / "run") if "margin" in line]
    # At the first step the model is its own reference.
    assert history[0]["margin"] == pytest.approx(0, abs=1e-3)
    assert history[0]["dpo_loss"] == pytest.approx(0.6931, abs=1e-3)
    assert history[-1]["margin"] > 1
    assert history[-1]["dpo_loss"] < 0.6
    assert history[-1]["accuracy"] > 0.7
    assert history[-1]["sft_loss"] < history[0]["sft_loss"]
    assert history[-1]["saved_share"] > 0.4
    assert result.record.stage == "dpo"
    if not model:
        before, after = weights(tiny_model_dir), weights(result.model)
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed
        assert not any("visual" in name for name in changed)


def test_what_it_leaves_is_loaded_with_its_processor_as_what_it_began_with_is(dpo_config, tmp_path):
    config = dpo_config(max_steps=1)
    left, began = (
        load_processor(str(name)) for name in (train_dpo(config, tmp_path).model, config.model.name)
    )
    assert type(left) is type(began)
    assert left.image_processor.to_dict() == began.image_processor.to_dict()


def test_the_cached_reference_is_a_live_one(dpo_config, tmp_path):
    config = dpo_config(max_steps=1, save_every=1)
    train_dpo(config, tmp_path / "run")
    kept = {row["pair"]: (row["chosen"], row["rejected"]) for row in lines(tmp_path / "run")}
    encoder = Encoder(load_processor(config.model.name), pixels=config.data.pixels)
    model = load_model(config.model).eval()
    collator = PairCollator(encoder.pictures, encoder.pad, model.config.image_token_id, 2, share=False)
    pairs = [
        TokenPair.of(one.id, *(encoder.encode(one.prompt, side) for side in (one.chosen, one.rejected)))
        for one in read_pairs(config.needs("dpo"))
    ]
    assert len(kept) == len(pairs) == 16
    for pair in pairs:
        with torch.no_grad():
            live = pair_log_probs(model, collator([Scored(pair)]))
        assert kept[pair.key] == pytest.approx((live.chosen.item(), live.rejected.item()), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", [{}, LORA], ids=["full", "lora"])
def test_a_stopped_run_ends_in_the_same_weights(dpo_config, tmp_path, model, monkeypatch):
    config = dpo_config(model)
    whole = train_dpo(config, tmp_path / "whole")

    real = PreferenceTrainer.training_step

    def cut(self, *args, **named):
        if self.state.global_step == 5:
            raise KeyboardInterrupt
        return real(self, *args, **named)

    with monkeypatch.context() as patched:
        patched.setattr(PreferenceTrainer, "training_step", cut)
        with pytest.raises(KeyboardInterrupt):
            train_dpo(config, tmp_path / "cut")
    again = train_dpo(config, tmp_path / "cut")
    assert again.resumed_from == 4
    one, other = weights(whole.model), weights(again.model)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert train_dpo(config, tmp_path / "cut").resumed_from == 6


@pytest.mark.slow
def test_a_lost_reference_is_made_anew_from_the_weights_that_the_run_began_with(
    dpo_config, tmp_path, monkeypatch
):
    config = dpo_config()
    whole = train_dpo(config, tmp_path / "run")
    before = lines(tmp_path / "run")
    for file in (tmp_path / "run" / "reference").iterdir():
        file.unlink()
    # As if it had been killed after its second checkpoint.
    shutil.rmtree(whole.model)
    shutil.rmtree(tmp_path / "run" / "checkpoint-6")
    again = train_dpo(config, tmp_path / "run")
    assert again.resumed_from == 4
    assert lines(tmp_path / "run") == before


@pytest.mark.slow
def test_killed_while_it_makes_the_reference_it_goes_on(dpo_config, tmp_path, monkeypatch):
    config = dpo_config(micro_batch=1, max_steps=2, save_every=2)
    whole = train_dpo(config, tmp_path / "whole")
    real = ReferenceCache.add

    def cut(self, found):
        real(self, found)
        if len(lines(tmp_path / "cut")) == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ReferenceCache, "add", cut)
        with pytest.raises(KeyboardInterrupt):
            train_dpo(config, tmp_path / "cut")
    [file] = (tmp_path / "cut" / "reference").iterdir()
    # What a kill in the middle of a line leaves.
    with file.open("ab") as torn:
        torn.write(b'{"pair": "0123", "cho')
    again = train_dpo(config, tmp_path / "cut")
    one, other = weights(whole.model), weights(again.model)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_runs_from_the_same_weights_share_a_reference(dpo_config, tmp_path):
    told: list[str] = []
    cache = tmp_path / "cache"
    train_dpo(dpo_config(max_steps=1), tmp_path / "one", reference=cache, note=told.append)
    train_dpo(dpo_config(max_steps=1, beta=0.7), tmp_path / "two", reference=cache, note=told.append)
    assert len([line for line in told if "reference" in line]) == 1
    train_dpo(
        dpo_config(data={"pixels": {"limit": 56}}, max_steps=1),
        tmp_path / "three",
        reference=cache,
        note=told.append,
    )
    assert len([line for line in told if "reference" in line]) == 2
    assert len(list(cache.iterdir())) == 2


@pytest.mark.slow
def test_shared_or_not_it_ends_in_the_same_weights(dpo_config, tmp_path):
    made = [
        train_dpo(dpo_config(shared_prefix=shared, max_steps=2, sft_over=over), tmp_path / f"{over}{shared}")
        for over in ("sequence", "token")
        for shared in (True, False)
    ]
    for one, other in (made[:2], made[2:]):
        first, second = weights(one.model), weights(other.model)
        # Adam divides by the gradient's own size, which makes rounding of tiny gradients visible.
        assert all((first[name] - second[name]).abs().max() < 2e-4 for name in first)


def test_activations_computed_twice_change_nothing(dpo_config, tmp_path):
    made = [
        train_dpo(dpo_config(gradient_checkpointing=twice, max_steps=2), tmp_path / str(twice))
        for twice in (False, True)
    ]
    one, other = (weights(result.model) for result in made)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "attention"), [({}, "sdpa"), (LORA, "eager")], ids=["full", "lora"])
def test_in_half_precision_it_begins_at_nought(dpo_config, tmp_path, model, attention):
    half = {"precision": "mixed", "attention": attention} | model
    train_dpo(dpo_config(half, max_steps=3, gradient_checkpointing=True), tmp_path / "run")
    history = [line for line in log(tmp_path / "run") if "margin" in line]
    assert history[0]["margin"] == pytest.approx(0, abs=0.3)
    assert history[-1]["margin"] > history[0]["margin"] + 0.1


def test_a_wrong_first_thought_bears_loss_only_on_request(dpo_config, tmp_path):
    made = {}
    for prefix in ("masked", "full"):
        config = dpo_config(
            data={"prefix_loss": prefix}, max_steps=1, kinds=["turned_over_wrong"], batch_size=4
        )
        train_dpo(config, tmp_path / prefix)
        made[prefix] = log(tmp_path / prefix)[0]
    assert made["masked"]["scored_share"] < made["full"]["scored_share"]
    assert made["masked"]["sft_loss"] != pytest.approx(made["full"]["sft_loss"], rel=1e-3)


def test_evaluation_pairs_are_measured(dpo_config, tiny_rows, tmp_path):
    config = dpo_config(evaluation=tiny_rows / "pairs.jsonl", max_steps=2)
    train_dpo(config, tmp_path / "run")
    [measured] = [line for line in log(tmp_path / "run") if "eval_margin" in line]
    assert measured["eval_margin"] > 0
    assert measured["eval_pairs"] == 16
    assert measured["eval_loss"] == pytest.approx(
        measured["eval_dpo_loss"] + measured["eval_sft_mean"], rel=1e-4
    )
    # Loss, margin, share of chosen preferred, loss on chosen, learning rate: five panels of 300 pixels.
    with Image.open(tmp_path / "run" / "watch.png") as plot:
        assert plot.height == 5 * 300


def test_what_cannot_be_trained_on_is_said(dpo_config, tiny_rows, tmp_path):
    with pytest.raises(DataError, match=r"are longer than 64 tokens"):
        train_dpo(dpo_config(data={"max_tokens": 64}), tmp_path / "a")
    lone = tmp_path / "pairs.jsonl"
    first = json.loads((tiny_rows / "pairs.jsonl").read_text().splitlines()[0])
    first["rejected"] = first["chosen"]
    first["image"]["path"] = str(tiny_rows / first["image"]["path"])
    first["prompt"][1]["content"][0]["image"]["path"] = first["image"]["path"]
    lone.write_text(json.dumps(first))
    with pytest.raises(DataError, match="chosen and rejected are the same"):
        train_dpo(dpo_config(pairs=lone), tmp_path / "b")
    with pytest.raises(DataError, match="no pairs of the kinds compact_over_long"):
        train_dpo(dpo_config(pairs=lone, kinds=["compact_over_long"]), tmp_path / "c")
    adapters = tmp_path / "adapters"
    adapters.mkdir()
    (adapters / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds adapters"):
        train_dpo(dpo_config(start=adapters), tmp_path / "d")
