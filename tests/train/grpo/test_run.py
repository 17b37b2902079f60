"""GRPO on a tiny model: what it reads, what it logs, that it resumes to the last bit, what stays frozen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lpt_core import (
    CheckpointRecord,
    ConfigError,
    DataError,
    MissingExtraError,
    PromptExample,
    SFTExample,
    verify,
)
from lpt_train.collate import SFTCollator
from lpt_train.encoding import Encoder
from lpt_train.grpo import run as run_module
from lpt_train.grpo.groups import GroupSampler
from lpt_train.grpo.prompts import prompt_tokens
from lpt_train.grpo.rewards import STATUSES
from lpt_train.grpo.run import train_grpo
from lpt_train.grpo.trainer import PolicyTrainer
from lpt_train.images import PixelPolicy
from lpt_train.model import load_processor
from lpt_train.rows import read_prompts, read_sft


class StoppedError(Exception):
    pass


def stop_at(update: int):
    def note(line: str) -> None:
        if line.startswith(f"update {update} of"):
            raise StoppedError

    return note


def weights(folder: Path) -> dict[str, torch.Tensor]:
    whole = folder / "model.safetensors"
    return load_file(whole if whole.is_file() else folder / "adapter_model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# ---- prompts -----------------------------------------------------------------------------------------


def test_a_prompt_s_tokens_are_those_that_its_sft_row_begins_with(
    tiny_model_dir: Path, tiny_rows: Path, tiny_prompts: Path
) -> None:
    encoder = Encoder(load_processor(str(tiny_model_dir)), pixels=PixelPolicy(limit=84))
    for example, row in zip(read_prompts(tiny_prompts), read_sft(tiny_rows / "sft.jsonl"), strict=True):
        encoded = encoder.encode(row.prompt, row.response)
        tokens = prompt_tokens(encoder, example)
        assert tokens == list(encoded.ids[: encoded.prompt_length])
        assert tokens.count(encoder.image_token_id) == encoder.pictures.tokens(example.image) > 0


def test_prompts_are_read_like_other_rows(tiny_prompts: Path, tiny_rows: Path, tmp_path: Path) -> None:
    text = tiny_prompts.read_text().splitlines()
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join([text[0], text[1].replace('"gold":', '"golden":'), text[2][:40]]))
    with pytest.raises(DataError, match=r"bad\.jsonl:2:mcq\.gold(.|\n)*bad\.jsonl:2:mcq\.golden(.|\n)*:3"):
        read_prompts(bad)
    with pytest.raises(DataError, match="this is SFTExample, and PromptExample is wanted here"):
        read_prompts(tiny_rows / "sft.jsonl")
    assert all(Path(one.image.path).is_file() for one in read_prompts(tiny_prompts))


@pytest.mark.parametrize(("prompts", "chunk"), [(7, 3), (2, 5), (6, 2)])
def test_groups_are_whole_and_every_epoch_shows_every_prompt(prompts: int, chunk: int) -> None:
    sampler = GroupSampler(prompts, chunk=chunk, generations=3, repeats=2, seed=5)
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == -(-prompts // chunk) * chunk * 3 * 2
    assert set(drawn) == set(range(prompts))
    assert all(len(set(drawn[at : at + 3])) == 1 for at in range(0, len(drawn), 3))
    size = chunk * 3
    for at in range(0, len(drawn), 2 * size):
        assert drawn[at : at + size] == drawn[at + size : at + 2 * size]
    again = GroupSampler(prompts, chunk=chunk, generations=3, repeats=2, seed=5)
    again.set_epoch(3)
    other = list(again)
    assert sorted(set(other)) == list(range(prompts))
    sampler.set_epoch(3)
    assert list(sampler) == other


# ---- what comes out ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory):
    made: dict[str, Path] = {}

    def run(name: str, config: Any) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("whole") / name
            train_grpo(config, made[name])
        return made[name]

    return run


def test_rewards_are_logged_by_part_and_the_language_model_alone_changes(
    grpo_config: Any, schooled: Path, whole: Any
) -> None:
    run = whole("full", grpo_config())
    logged = [line for line in lines(run / "log.jsonl") if "reward" in line]
    assert [line["step"] for line in logged] == [1, 2, 3, 4]
    for line in logged:
        weights_of = {"correct": 1, "format": 0.1, "length": 0.5}
        parts = [weight * line[f"rewards/{part}/mean"] for part, weight in weights_of.items()]
        assert line["reward"] == pytest.approx(sum(parts), abs=1e-5)
        assert line["rewards/length/mean"] < 0
        assert 0 <= line["frac_reward_zero_std"] <= 1
        assert sum(line[f"answers/{name}"] for name in STATUSES) == pytest.approx(1)
        assert 0 < line["completions/mean_length"] <= 64
    assert any(line["frac_reward_zero_std"] < 1 for line in logged), "no group has taught anything"
    assert (run / "watch.png").stat().st_size > 1000
    before, after = weights(schooled), weights(run / "model")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any("visual" in name for name in changed)
    record = CheckpointRecord.read(run / "model")
    assert (record.stage, record.step, record.rows) == ("grpo", 4, 24)
    assert not (run / "README.md").exists()


def test_what_was_written_for_the_last_update_is_kept_with_its_rewards(
    grpo_config: Any, tiny_prompts: Path, whole: Any
) -> None:
    run = whole("full", grpo_config())
    kept = lines(run / "samples.jsonl")
    assert len(kept) == 8
    assert {line["step"] for line in kept} == {4}
    examples = {one.id: one for one in read_prompts(tiny_prompts)}
    for line in kept:
        example = examples[line["id"]]
        _, verdict = verify(line["completion"], example.mcq, example.presentation)
        assert line["rewards"]["correct"] == verdict.correct
    groups = [kept[at : at + 4] for at in (0, 4)]
    assert all(len({line["id"] for line in group}) == 1 for group in groups)
    assert all(sum(line["advantage"] for line in group) == pytest.approx(0, abs=1e-4) for group in groups)


def test_a_stopped_run_goes_on_to_the_very_same_weights(grpo_config: Any, tmp_path: Path, whole: Any) -> None:
    through = whole("full", grpo_config())
    with pytest.raises(StoppedError):
        train_grpo(grpo_config(), tmp_path / "run", note=stop_at(3))
    result = train_grpo(grpo_config(), tmp_path / "run")
    assert result.resumed_from == 2
    assert same(weights(result.model), weights(through / "model"))
    assert lines(tmp_path / "run/samples.jsonl") == lines(through / "samples.jsonl")
    assert train_grpo(grpo_config(), tmp_path / "run").resumed_from == 4


def test_another_course_is_refused(grpo_config: Any, tmp_path: Path, whole: Any) -> None:
    run = whole("full", grpo_config())
    with pytest.raises(ConfigError, match=r"grpo\.temperature was 0\.5 and is now 0\.7"):
        train_grpo(grpo_config(temperature=0.7), run)


@pytest.mark.slow
def test_adapters_are_trained_and_resumed_and_the_start_holds_them_back(
    grpo_config: Any, tmp_path: Path
) -> None:
    config = grpo_config(
        model={"lora": {"rank": 4, "alpha": 8, "dropout": 0.1}},
        beta=0.1,
        iterations=2,
        gradient_checkpointing=True,
    )
    result = train_grpo(config, tmp_path / "whole")
    assert result.record.adapter
    assert all("language_model.layers" in name for name in weights(result.model))
    with pytest.raises(StoppedError):
        train_grpo(config, tmp_path / "run", note=stop_at(3))
    again = train_grpo(config, tmp_path / "run")
    assert again.resumed_from == 2
    assert same(weights(again.model), weights(result.model))
    logged = [line["kl"] for line in lines(tmp_path / "whole/log.jsonl") if "kl" in line]
    assert logged[0] == pytest.approx(0, abs=1e-6)
    assert lines(tmp_path / "run/log.jsonl")[-2]["kl"] == pytest.approx(logged[-1], abs=1e-7)


@pytest.mark.slow
def test_a_whole_model_is_held_back_by_its_start_also_after_resuming(
    grpo_config: Any, tmp_path: Path
) -> None:
    config = grpo_config(beta=0.1)
    train_grpo(config, tmp_path / "whole")
    with pytest.raises(StoppedError):
        train_grpo(config, tmp_path / "run", note=stop_at(3))
    train_grpo(config, tmp_path / "run")
    assert same(weights(tmp_path / "run/model"), weights(tmp_path / "whole/model"))


@pytest.mark.slow
def test_held_out_prompts_are_answered_on_the_way(
    grpo_config: Any, tiny_prompts: Path, tmp_path: Path
) -> None:
    held_out = tiny_prompts.parent / "held_out.jsonl"
    held_out.write_text("".join(tiny_prompts.read_text().splitlines(keepends=True)[:4]))
    told: list[str] = []
    train_grpo(grpo_config(evaluation=held_out, max_steps=2), tmp_path / "run", note=told.append)
    assert any("right on evaluation prompts" in line for line in told)
    assert any("eval_rewards/correct/mean" in line for line in lines(tmp_path / "run/log.jsonl"))


# ---- what the policy is scored by --------------------------------------------------------------------


def test_a_completion_is_scored_as_fine_tuning_would_score_it(
    grpo_config: Any, tiny_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[PolicyTrainer] = []
    monkeypatch.setattr(PolicyTrainer, "train", lambda self, **_: seen.append(self) or _stop())
    with pytest.raises(StoppedError):
        train_grpo(grpo_config(temperature=1.0), tmp_path / "run")
    trainer = seen[0]
    encoder = trainer._encoder
    rows = read_sft(tiny_rows / "sft.jsonl")[:3]
    encoded = [encoder.encode(row.prompt, row.response) for row in rows]
    examples = list(trainer._examples.values())[:3]
    inputs = _scored(trainer, examples, rows, encoder)
    batch = SFTCollator(encoder)(encoded)
    batch.pop("regions"), batch.pop("labels")
    with torch.no_grad():
        logits = trainer.model(**batch, use_cache=False).logits
    for place, one in enumerate(encoded):
        logs = logits[place, one.prompt_length - 1 : len(one) - 1].log_softmax(-1)
        ids = torch.tensor(one.ids[one.prompt_length :])
        wanted = logs.gather(1, ids[:, None])[:, 0]
        assert torch.allclose(inputs[place, : len(ids)], wanted, atol=1e-5)


def _stop() -> None:
    raise StoppedError


def _scored(
    trainer: PolicyTrainer, examples: list[PromptExample], rows: list[SFTExample], encoder: Encoder
) -> torch.Tensor:
    """Log-probabilities of the rows' own responses, as GRPO scores them: prompts filled up on the left."""
    from trl.trainer.utils import pad

    from lpt_train.collate import image_tensors

    heads, tails = [], []
    for example, row in zip(examples, rows, strict=True):
        encoded = encoder.encode(row.prompt, row.response)
        heads.append(torch.tensor(prompt_tokens(encoder, example)))
        tails.append(torch.tensor(encoded.ids[encoded.prompt_length :]))
    assert len({len(head) for head in heads}) > 1
    ids = torch.cat(
        [pad(heads, encoder.pad, padding_side="left"), pad(tails, encoder.pad, padding_side="right")], 1
    )
    ones = [torch.ones_like(part) for part in heads], [torch.ones_like(part) for part in tails]
    mask = torch.cat([pad(ones[0], 0, padding_side="left"), pad(ones[1], 0, padding_side="right")], 1)
    trainer._shown = image_tensors(encoder.pictures, [one.image for one in examples]) | {
        "num_images": [1] * len(examples)
    }
    with torch.no_grad():
        logs, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, max(len(tail) for tail in tails), batch_size=2
        )
    return logs


# ---- what is refused ---------------------------------------------------------------------------------


def test_vllm_that_is_not_installed_is_named(grpo_config: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(run_module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lpt-train\[vllm\]'"):
        train_grpo(grpo_config(use_vllm=True), tmp_path / "run")


def test_prompts_without_room_for_a_completion_are_refused_or_dropped(
    grpo_config: Any, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"24 of 24 prompts are longer(.|\n)*and 64 for a completion"):
        train_grpo(grpo_config(data={"max_tokens": 100, "too_long": "drop"}), tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"generations": 3}, "no multiple of generations"),
        ({"iterations": 2, "save_every": 3}, "no multiple of iterations"),
        ({"sort_window": 4}, "sort_window"),
        ({"rewards": {"correct": 0, "format": 0}}, "nothing would be rewarded"),
        ({"rewards": {"length": 1}}, "length_buffer is more"),
        ({"vllm": {}}, "use_vllm is false"),
        ({"rewards": {"brevity": 1}}, "brevity"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    grpo_config: Any, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        grpo_config(**settings)


@pytest.mark.parametrize(
    ("key", "words"),
    [("num_generations", "another setting governs this"), ("bogus", "TRL's GRPOConfig has no such")],
)
def test_arguments_of_the_trainer_are_checked(grpo_config: Any, tmp_path: Path, key: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        train_grpo(grpo_config(trainer={key: 1}), tmp_path / "run")
