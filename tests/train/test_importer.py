"""LLaMA-Factory's configurations in our terms, with nothing left out in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from lpt_core import ConfigError
from lpt_train.importer import Imported, import_file
from lpt_train.settings import load_config

# As the authors' release has them (commit ab1a9a0), shortened paths apart.
SFT = """\
### model
model_name_or_path: Qwen/Qwen2.5-VL-7B-Instruct
image_max_pixels: 262144
trust_remote_code: true
### method
stage: sft
do_train: true
finetuning_type: full
freeze_vision_tower: true
freeze_multi_modal_projector: true
freeze_language_model: false
deepspeed: examples/deepspeed/ds_z3_config.json
### dataset
dataset: lpt_sft
template: qwen2_vl
cutoff_len: 2048
overwrite_cache: true
### output
output_dir: saves/x
logging_steps: 1
save_steps: 50
plot_loss: true
### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 4
learning_rate: 1.0e-5
num_train_epochs: 1.0
lr_scheduler_type: cosine
warmup_steps: 5
bf16: true
ddp_timeout: 180000000
enable_liger_kernel: true
"""
DPO = SFT.replace("stage: sft", "stage: dpo\npref_beta: 0.2\npref_loss: sigmoid\npref_ftx: 1.0")


@pytest.fixture
def take(tmp_path):
    def made(text: str) -> Imported:
        (tmp_path / "lf.yaml").write_text(text)
        return import_file(tmp_path / "lf.yaml")

    return made


def fates(imported: Imported) -> dict[str, str]:
    return {one.key: one.fate for one in imported.findings if one.key}


def test_the_authors_configuration_means_the_same(take) -> None:
    config = take(SFT).config
    assert (config.sft.learning_rate, config.sft.epochs, config.sft.batch_size) == (1e-5, 1.0, 4)
    assert (config.sft.schedule, config.sft.warmup_steps, config.sft.save_every) == ("cosine", 5, 50)
    assert (config.data.pixels.rule, config.data.pixels.limit) == ("area", 512)
    assert (config.model.precision, config.model.lora) == ("mixed", None)
    assert config.data.prefix_loss == "full"
    assert config.data.too_long == "drop"


def test_dpo_has_its_own_section(take) -> None:
    config = take(DPO).config
    assert (config.dpo.beta, config.dpo.sft_weight, config.dpo.sft_over) == (0.2, 1.0, "sequence")
    assert config.dpo.learning_rate == 1e-5
    assert fates(take(SFT + "pref_beta: 0.2\n"))["pref_beta"] == "ignored"


def test_every_key_is_told_of_with_its_line(take) -> None:
    for text in (SFT, DPO):
        imported = take(text)
        keys = [line.split(":")[0] for line in text.splitlines() if not line.startswith("#")]
        assert set(fates(imported)) == set(keys)
        for one in imported.findings:
            assert not one.key or text.splitlines()[one.line - 1].startswith(one.key)
            assert one.why or one.fate == "honoured"
    report = take(SFT).report()
    assert "changed  line 16: cutoff_len -> data.max_tokens (longer rows are dropped" in report
    assert "ignored  line 12: deepspeed" in report
    assert "added    data.prefix_loss" in report


def test_the_yaml_reads_as_the_same_configuration(take, tmp_path: Path) -> None:
    for text in (SFT, DPO):
        imported = take(text)
        to = tmp_path / f"ours-{hash(text)}.yaml"
        imported.write(to)
        assert load_config(to) == imported.config
        with pytest.raises(ConfigError, match="is there already"):
            imported.write(to)


def test_what_goes_without_saying_there_is_said_here(take) -> None:
    config = take("model_name_or_path: x/y\n").config
    assert config.model.lora is not None
    assert (config.model.lora.rank, config.model.lora.alpha) == (8, 16)
    assert (config.sft.learning_rate, config.sft.epochs, config.sft.batch_size) == (5e-5, 3.0, 8)
    assert (config.sft.schedule, config.sft.warmup_steps) == ("linear", 0)
    assert config.data.pixels.limit == 768


@pytest.mark.parametrize(
    ("line", "fate", "words"),
    [
        ("no_such_key: 1", "ignored", "not known"),
        ("neat_packing: true", "ignored", "give sft.packing"),
        ("train_on_prompt: true", "ignored", "prompts bear no loss"),
        ("train_on_prompt: false", "honoured", ""),
        ("pure_bf16: true", "honoured", ""),
        ("fp16: true", "ignored", "no float16"),
        ("save_total_limit: 1", "changed", "must be whole"),
        ("flash_attn: fa2", "honoured", ""),
        ("flash_attn: [x]", "ignored", "becomes auto"),
        ("report_to: [wandb, neptune]", "changed", "without neptune"),
        ("lora_rank: 4", "ignored", "lora alone"),
        ("quantization_bit: 4", "ignored", "lora alone"),
        ("max_steps: -1", "honoured", ""),
        ("adam_beta2: 0.95", "honoured", ""),
    ],
)
def test_other_keys(line, fate, words, take) -> None:
    key = line.split(":")[0]
    found = [one for one in take(SFT + line + "\n").findings if one.key == key]
    assert [one.fate for one in found] == [fate]
    assert words in found[0].why


def test_adapters_are_aimed_at_the_language_model(take) -> None:
    text = SFT.replace("finetuning_type: full", "finetuning_type: lora\nlora_rank: 4\nlora_target: all")
    imported = take(text)
    assert imported.config.model.lora is not None
    assert len(imported.config.model.lora.targets) == 7
    assert fates(imported)["lora_target"] == "changed"
    some = take(text.replace("lora_target: all", "lora_target: q_proj,qkv,v_proj")).config.model.lora
    assert some is not None
    assert some.targets == ("q_proj", "v_proj")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SFT.replace("stage: sft", "stage: ppo"), "stage is 'ppo'"),
        (SFT.replace("type: full", "type: freeze"), "finetuning_type is 'freeze'"),
        (SFT.replace("language_model: false", "language_model: true"), "language model always learns"),
        (SFT.replace("learning_rate: 1.0e-5", "learning_rate: fast"), r"lf\.yaml:26: sft\.learning_rate"),
        (
            SFT.replace("image_max_pixels: 262144", "image_max_pixels: many"),
            r"lf\.yaml:3: data\.pixels\.limit",
        ),
        (
            SFT.replace("gradient_accumulation_steps: 4", "gradient_accumulation_steps: [4]"),
            r"sft\.batch_size",
        ),
        ("learning_rate: 1\n", r"model\.name: is missing"),
        ("- x", "holds no configuration"),
    ],
)
def test_what_cannot_be_taken_is_told(text, words, take) -> None:
    with pytest.raises(ConfigError, match=words):
        take(text)


def test_four_bits_are_taken_and_eight_are_not(take) -> None:
    adapters = SFT.replace("finetuning_type: full", "finetuning_type: lora") + "quantization_bit: "
    imported = take(adapters + "4\n")
    assert imported.config.model.quantize == "nf4"
    with pytest.raises(ConfigError, match="in four bits, or not at all"):
        take(adapters + "8\n")
