"""Configurations: what is refused, with which words; recipes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lpt_core import ConfigError
from lpt_train.settings import dump_config, load_config, load_recipe, parse_config, recipe_names

GOOD = """\
recipe: paper
model: {name: some/model}
sft:
  data: rows/sft.jsonl
  learning_rate: 1e-5
"""


def test_a_good_configuration_reads_and_its_dump_reads_as_the_same(tmp_path: Path) -> None:
    config = parse_config(GOOD, tmp_path / "c.yaml")
    assert config.sft.data == tmp_path / "rows" / "sft.jsonl"
    assert config.sft.learning_rate == 1e-5  # YAML itself takes 1e-5 for a text
    (tmp_path / "elsewhere").mkdir()
    assert parse_config(dump_config(config), tmp_path / "elsewhere" / "d.yaml") == config


def test_what_is_given_comes_before_the_recipe(tmp_path: Path) -> None:
    config = parse_config(GOOD + "  epochs: 2\n", tmp_path / "c.yaml")
    assert (config.sft.epochs, config.sft.batch_size) == (2, 256)
    assert config.model.name == "some/model"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no configuration"),
        ("- a", "holds no configuration"),
        ("a: [1, 2", r"c\.yaml:1"),
        ("x: &a [*a]", "c.yaml"),
        ("x: !!python/object:os.system {}", "c.yaml"),
        ("sft: {data: x}\n", "model: is missing"),
        (GOOD + "seed: 1\nseed: 2\n", r"c\.yaml:7: seed stands twice"),
        (GOOD + "seed: -1\n", r"c\.yaml:6: seed: .*greater than or equal to 0"),
        (GOOD + "  epoch: 2\n", r"c\.yaml:6: sft\.epoch: there is no such field"),
        (GOOD + "  epochs: .nan\n", r"c\.yaml:6: sft\.epochs: "),
        (GOOD + "  epochs: .inf\n", r"c\.yaml:6: sft\.epochs: .*finite"),
        (GOOD + "  batch_size: 6\n  micro_batch: 4\n", r"c\.yaml:3: sft: batch_size \(6\) is no multiple"),
        (GOOD + "  betas: [0.9, 1]\n", r"c\.yaml:3: sft: betas"),
        (GOOD + "  keep: 1\n", r"c\.yaml:6: sft\.keep"),
        (GOOD + "data: {pixels: {limit: 3}}\n", r"c\.yaml:6: data\.pixels\.limit"),
        (GOOD + "data: {prefix_loss: some}\n", r"c\.yaml:6: data\.prefix_loss: .*'masked' or 'full'"),
        (GOOD + "dpo: {kinds: []}\n", r"c\.yaml:6: dpo\.kinds"),
        (GOOD.replace("name: some/model", "lora: {targets: [qkv]}"), r"c\.yaml:2: model\.lora\.targets\.0"),
        (
            GOOD.replace("{name: some/model}", "{name: x, lora: {}, train_tower: true}"),
            r"c\.yaml:2: model: with lora",
        ),
        (GOOD.replace("paper", "papr"), "there is no recipe 'papr'"),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, tmp_path / "c.yaml")
    assert re.search(words, str(caught.value))


def test_a_missing_file_and_a_binary_one_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no text"):
        load_config(tmp_path / "bytes.yaml")


def test_a_stage_without_data_is_told_when_it_is_wanted(tmp_path: Path) -> None:
    config = parse_config(GOOD, tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match=r"dpo\.data is missing"):
        config.needs("dpo")
    with pytest.raises(ConfigError, match=r"sft\.data: there is no file"):
        config.needs("sft")


@pytest.mark.parametrize("name", ["paper", "released", "default"])
def test_every_recipe_is_a_configuration(name: str, tmp_path: Path) -> None:
    config = parse_config(f"recipe: {name}\n", tmp_path / "c.yaml")
    assert config.model.name == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert not config.model.train_tower
    assert not config.model.train_projector


def test_recipes_have_the_figures_of_their_sources() -> None:
    assert recipe_names() == ["default", "paper", "released"]
    paper, released = load_recipe("paper"), load_recipe("released")
    assert (paper["dpo"]["beta"], paper["dpo"]["sft_weight"]) == (1.0, 0.5)
    assert (released["dpo"]["beta"], released["dpo"]["sft_weight"]) == (0.2, 1.0)
    assert (paper["data"]["max_tokens"], released["data"]["max_tokens"]) == (1024, 2048)
    assert paper["data"]["pixels"]["rule"] == "longer_side"
    assert released["data"]["prefix_loss"] == "full"  # nobody's trainer ever read `assistant_prefix`
    assert released["dpo"]["kinds"] == ["turned_over_wrong"]
