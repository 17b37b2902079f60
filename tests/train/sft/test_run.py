"""Fine-tuning a tiny model: it learns, it resumes to the last bit, what is frozen stays so."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lpt_core import CheckpointRecord, ConfigError, DataError, LptError, StoreError
from lpt_train.model import load_adapters, load_model, parts_of, weights_hash
from lpt_train.resume import ResumingTrainer
from lpt_train.sft.run import train_sft

LORA = {"lora": {"rank": 4, "alpha": 8, "dropout": 0.1}}
WEIGHTS = "model.safetensors"


class StoppedError(Exception):
    pass


def stop_at(update: int):
    """A note taker that ends the training in the middle of things."""

    def note(line: str) -> None:
        if line.startswith(f"update {update} of"):
            raise StoppedError

    return note


def weights(folder: Path) -> dict[str, torch.Tensor]:
    name = WEIGHTS if (folder / WEIGHTS).is_file() else "adapter_model.safetensors"
    return load_file(folder / name)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def log(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_model_dir, tiny_rows):
    """An uninterrupted run with adapters, and one without; made once."""
    made: dict[str, Path] = {}

    def run(name: str, config) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("whole") / name
            train_sft(config, made[name])
        return made[name]

    return run


# ---- what comes out --------------------------------------------------------------------------------


def test_it_learns_and_only_the_language_model_changes(sft_config, tiny_model_dir, whole) -> None:
    run = whole("full", sft_config())
    lines = [line for line in log(run) if "token_loss" in line]
    assert lines[-1]["token_loss"] < lines[0]["token_loss"] - 1
    before, after = weights(tiny_model_dir), weights(run / "model")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any(name.startswith("visual") or ".visual" in name for name in changed)
    assert {name for name in before if name not in changed} == {name for name in before if "visual" in name}


def test_the_record_says_what_an_evaluation_must_know(sft_config, whole) -> None:
    run = whole("full", sft_config())
    record = CheckpointRecord.read(run / "model")
    assert (record.stage, record.step, record.rows, record.adapter) == ("sft", 6, 24, False)
    assert (record.pixels.rule, record.pixels.limit) == ("area", 84)
    assert len(record.systems) == 1
    assert record.weights is not None
    loaded = load_model(sft_config().model, run / "model")
    trained = {name: value for name, value in loaded.named_parameters() if "visual" not in name}
    assert weights_hash(trained.items()) == record.weights.trained


def test_the_log_has_loss_and_entropy_by_region_and_what_was_wasted(sft_config, whole) -> None:
    run = whole("full", sft_config())
    line = log(run)[0]
    for region in ("thought", "cue", "continuation", "answer", "end", "untrained_thought"):
        assert line[f"loss/{region}"] > 0
        assert line[f"entropy/{region}"] > 0
    assert 0 < line["label_share"] < 1
    assert 0 <= line["padding_share"] < 0.5
    assert line["token_loss"] == pytest.approx(line["loss"], rel=1e-5)
    assert (run / "watch.png").read_bytes().startswith(b"\x89PNG")


def test_a_wrong_first_thought_bears_loss_only_on_request(sft_config, tmp_path) -> None:
    config = sft_config(data={"prefix_loss": "full", "pixels": {"limit": 84}}, max_steps=1)
    train_sft(config, tmp_path / "run")
    assert not [name for name in log(tmp_path / "run")[0] if "untrained" in name]


def test_adapters_leave_the_base_alone_and_lie_on_the_language_model(
    sft_config, tiny_model_dir, whole
) -> None:
    before = weights(tiny_model_dir)
    run = whole("lora", sft_config(model=LORA))
    assert same(before, weights(tiny_model_dir))
    adapters = weights(run / "model")
    assert adapters
    assert all(".language_model.layers." in name and "visual" not in name for name in adapters)
    assert not (run / "model" / WEIGHTS).exists()
    config = sft_config(model=LORA).model
    loaded = load_adapters(load_model(config), run / "model", trainable=False)
    assert loaded.peft_config["default"].r == 4


def test_mixed_precision_trains_in_float32_and_hands_out_bfloat16(sft_config, tmp_path) -> None:
    train_sft(sft_config(model={"precision": "mixed"}, max_steps=2), tmp_path / "run")
    kinds = {name: value.dtype for name, value in weights(tmp_path / "run" / "checkpoint-2").items()}
    assert kinds.pop("model.embed_tokens.weight") == torch.float32
    assert {kind for name, kind in kinds.items() if "visual" in name} == {torch.bfloat16}
    assert {value.dtype for value in weights(tmp_path / "run" / "model").values()} == {torch.bfloat16}


def test_how_rows_are_split_into_micro_batches_changes_nothing(sft_config, tmp_path, whole) -> None:
    run = whole("full", sft_config())
    train_sft(sft_config(micro_batch=1), tmp_path / "run")
    for one, other in zip(log(run)[:3], log(tmp_path / "run")[:3], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["label_share"] == other["label_share"]
    assert log(tmp_path / "run")[0]["padding_share"] == 0


def test_evaluation_rows_are_measured_over_tokens(sft_config, tmp_path, tiny_rows) -> None:
    config = sft_config(evaluation=tiny_rows / "sft.jsonl", max_steps=2, learning_rate=1e-9, micro_batch=2)
    train_sft(config, tmp_path / "run")
    other = sft_config(evaluation=tiny_rows / "sft.jsonl", max_steps=2, learning_rate=1e-9, micro_batch=8)
    train_sft(other, tmp_path / "other")
    losses = [
        [line["eval_loss"] for line in log(tmp_path / d) if "eval_loss" in line] for d in ("run", "other")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert any("eval_loss/answer" in line for line in log(tmp_path / "run"))


# ---- resuming --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["full", "lora", "mixed", "recomputed"])
@pytest.mark.parametrize("update", [3, 6])
def test_a_stopped_run_ends_in_the_weights_of_an_uninterrupted_one(
    kind, update, sft_config, tmp_path, whole
) -> None:
    model = {"lora": LORA, "mixed": {"precision": "mixed"}}.get(kind, {})
    config = sft_config(model=model, gradient_checkpointing=kind == "recomputed")
    run = whole(kind, config)
    with pytest.raises(StoppedError):
        train_sft(config, tmp_path / "run", note=stop_at(update))
    result = train_sft(config, tmp_path / "run")
    assert result.resumed_from == update // 2 * 2 - (2 if update == 6 else 0)
    assert same(weights(run / "model"), weights(tmp_path / "run" / "model"))
    ours, theirs = CheckpointRecord.read(run / "model"), CheckpointRecord.read(tmp_path / "run" / "model")
    assert ours.weights == theirs.weights
    steps = [line["step"] for line in log(tmp_path / "run") if "token_loss" in line]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_is_not_trained_again(sft_config, tmp_path, whole) -> None:
    run = shutil.copytree(whole("full", sft_config()), tmp_path / "run")
    before = (run / "model" / WEIGHTS).stat().st_mtime_ns
    assert train_sft(sft_config(), run).resumed_from == 6
    assert (run / "model" / WEIGHTS).stat().st_mtime_ns == before
    shutil.rmtree(run / "model")
    assert train_sft(sft_config(), run).record.step == 6
    assert same(weights(run / "model"), weights(whole("full", sft_config()) / "model"))


def test_a_checkpoint_that_was_cut_short_is_passed_over(sft_config, tmp_path, whole) -> None:
    run = shutil.copytree(whole("full", sft_config()), tmp_path / "run")
    shutil.rmtree(run / "model")
    (run / "checkpoint-6" / "lpt_train.json").unlink()
    lines: list[str] = []
    assert train_sft(sft_config(), run, note=lines.append).resumed_from == 4
    assert any("checkpoint-6 was not written to its end" in line for line in lines)
    assert same(weights(run / "model"), weights(whole("full", sft_config()) / "model"))


@pytest.mark.parametrize(
    ("kind", "name", "part"),
    [
        ("full", "model.layers.0.self_attn.q_proj.weight", "trained"),
        ("full", "visual.blocks.0.attn.proj.weight", "frozen"),
        (
            "lora",
            "base_model.model.model.language_model.layers.0.mlp.up_proj.lora_B.weight",
            "trained",
        ),
    ],
)
def test_weights_that_are_not_those_saved_are_refused(kind, name, part, sft_config, tmp_path, whole) -> None:
    config = sft_config(model=LORA if kind == "lora" else {})
    run = shutil.copytree(whole(kind, config), tmp_path / "run")
    shutil.rmtree(run / "model")
    file = next((run / "checkpoint-6").glob("*model.safetensors"))
    state = load_file(file)
    state[name] = state[name].clone()
    state[name].view(-1)[0] += 1e-3
    save_file(state, file, {"format": "pt"})
    trainer_state = run / "checkpoint-6" / "trainer_state.json"
    trainer_state.write_text(trainer_state.read_text().replace('"max_steps": 6', '"max_steps": 7'))
    with pytest.raises(DataError, match=f"the {part} weights, loaded from"):
        train_sft(config, run)


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_checkpoints_of_another_model_are_refused_and_of_one_that_was_moved_are_not(
    kind, sft_config, tmp_path, tiny_model_dir, whole
) -> None:
    model = LORA if kind == "lora" else {}
    run = shutil.copytree(whole(kind, sft_config(model=model)), tmp_path / "run")
    shutil.rmtree(run / "model")
    moved = shutil.copytree(tiny_model_dir, tmp_path / "moved")
    assert train_sft(sft_config(model=model | {"name": str(moved)}), run).resumed_from == 6
    shutil.rmtree(run / "model")
    other = shutil.copytree(tiny_model_dir, tmp_path / "other")
    state = load_file(other / WEIGHTS)
    state["model.norm.weight"] += 0.5
    save_file(state, other / WEIGHTS, {"format": "pt"})
    with pytest.raises(DataError, match=r"are not those that .* was trained on"):
        train_sft(sft_config(model=model | {"name": str(other)}), run)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"learning_rate": 1e-3}, r"sft\.learning_rate was 0\.01 and is now 0\.001"),
        ({"max_steps": 9}, r"sft\.max_steps was 6 and is now 9"),
        ({"data": {"prefix_loss": "full", "pixels": {"limit": 84}}}, r'data\.prefix_loss was "masked"'),
        ({"data": {"pixels": {"limit": 56}}}, r"data\.pixels\.limit was 84 and is now 56"),
        ({"model": LORA}, r"model\.lora"),
    ],
)
def test_another_course_is_refused_with_what_differs(change, words, sft_config, whole) -> None:
    run = whole("full", sft_config())
    with pytest.raises(ConfigError, match=words):
        train_sft(sft_config(**change), run)


def test_other_rows_are_refused(sft_config, tmp_path, tiny_rows, whole) -> None:
    rows = shutil.copytree(tiny_rows, tmp_path / "rows")
    same_rows = sft_config()
    moved = same_rows.sft.model_copy(update={"data": rows / "sft.jsonl"})
    run = whole("full", sft_config())
    assert train_sft(same_rows.model_copy(update={"sft": moved}), run).resumed_from == 6
    lines = (rows / "sft.jsonl").read_text().splitlines(keepends=True)
    (rows / "sft.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(ConfigError, match="the rows are others"):
        train_sft(same_rows.model_copy(update={"sft": moved}), run)


def test_the_stock_way_of_loading_would_have_been_noticed(sft_config, tmp_path, whole, monkeypatch) -> None:
    """What transformers does by itself: it keeps the base's weights, and only warns."""
    import transformers

    run = shutil.copytree(whole("full", sft_config()), tmp_path / "run")
    recorded = CheckpointRecord.read(run / "checkpoint-4").weights
    model = load_model(sft_config().model)
    trainer = transformers.Trainer(
        model, transformers.TrainingArguments(str(tmp_path / "t"), use_cpu=True, report_to="none")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer._load_from_checkpoint(str(run / "checkpoint-4"))
    language = parts_of(model).language
    trained = [(f"model.language_model.{name}", value) for name, value in language.named_parameters()]
    assert recorded is not None
    assert weights_hash(trained) != recorded.trained
    right = parts_of(load_model(sft_config().model, run / "checkpoint-4")).language
    trained = [(f"model.language_model.{name}", value) for name, value in right.named_parameters()]
    assert weights_hash(trained) == recorded.trained


# ---- what is refused -------------------------------------------------------------------------------


def test_long_rows_are_refused_or_dropped_and_never_cut(sft_config, tmp_path) -> None:
    data = {"pixels": {"limit": 84}, "max_tokens": 210}
    with pytest.raises(DataError, match=r"of 24 rows are longer than 210 tokens:\n  row \d+ \("):
        train_sft(sft_config(data=data), tmp_path / "run")
    result = train_sft(sft_config(data=data | {"too_long": "drop"}, max_steps=1), tmp_path / "run")
    assert 0 < result.dropped < 24
    assert result.record.rows == 24 - result.dropped
    with pytest.raises(DataError, match="24 of 24 rows"):
        train_sft(sft_config(data={"max_tokens": 16, "too_long": "drop"}), tmp_path / "none")


def test_a_folder_with_other_things_is_refused(sft_config, tmp_path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match="is no training's folder"):
        train_sft(sft_config(), tmp_path)


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        ({"learning_rat": 1}, "has no such argument"),
        ({"learning_rate": 1}, "another setting governs this"),
        ({"gradient_checkpointing": True}, "another setting governs this"),
        ({"optim": "no_such"}, "does not fit"),
    ],
)
def test_further_arguments_are_checked(trainer, words, sft_config, tmp_path) -> None:
    with pytest.raises(ConfigError, match=words):
        train_sft(sft_config(trainer=trainer), tmp_path / "run")


def test_a_tracker_that_is_not_installed_is_told(sft_config, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("lpt_train.arguments.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"sft\.report_to: wandb is not installed"):
        train_sft(sft_config(report_to=["wandb"]), tmp_path / "run")


def test_what_is_frozen_is_looked_at_in_the_end(sft_config, tmp_path, monkeypatch) -> None:
    def spoilt(self, *args, **named):
        parts_of(self.model).visual.patch_embed.proj.weight.data[0] += 1e-6

    monkeypatch.setattr(ResumingTrainer, "train", spoilt)
    with pytest.raises(LptError, match="frozen have changed"):
        train_sft(sft_config(), tmp_path / "run")
