"""Configurations: what is refused, with which words; recipes; what init writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lpt_core import ConfigError, LptError
from lpt_synth.init import InitOptions, write_config
from lpt_synth.settings import dump_config, load_config, load_recipe, parse_config, recipe_names

GOOD = """\
recipe: paper
source: {kind: table, captions: captions.jsonl}
endpoints:
  asker: {base_url: "http://localhost:8000/v1", model: a}
  thinker: {base_url: "http://localhost:8000/v1", model: b}
  expander: {base_url: "http://localhost:8000/v1", model: c}
"""


def swapped(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_good_configuration_reads_and_its_dump_reads_as_the_same(tmp_path: Path) -> None:
    config = parse_config(GOOD, tmp_path / "c.yaml")
    assert config.think.n == 3
    assert config.source.captions == tmp_path / "captions.jsonl"
    (tmp_path / "elsewhere").mkdir()
    assert parse_config(dump_config(config), tmp_path / "elsewhere" / "d.yaml") == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no configuration"),
        ("- a\n- b", "holds no configuration"),
        ("just words", "holds no configuration"),
        ("a: [1, 2", r"c\.yaml:1"),
        ("a: \tb\n  c: d", r"c\.yaml:\d"),
        ("x: &a [*a]", "c.yaml"),
        ("x: !!python/object:os.system {}", "c.yaml"),
        (GOOD + "seed: 1\nseed: 2\n", r"c\.yaml:8: seed stands twice"),
        (GOOD + "think: {n: 0}\n", r"c\.yaml:7: think\.n: .*greater than or equal to 1"),
        (GOOD + "think: {n: many}\n", r"c\.yaml:7: think\.n: .*integer"),
        (GOOD + "think: {m: 3}\n", r"c\.yaml:7: think\.m: there is no such field"),
        (GOOD + "thinking: {}\n", r"c\.yaml:7: thinking: there is no such field"),
        (GOOD + "expand: {cues: []}\n", r"c\.yaml:7: expand\.cues"),
        (GOOD + "expand: {cues: [' Wait,']}\n", r"expand\.cues: a cue is empty or begins"),
        (GOOD + "expand: {breaks: ['x']}\n", r"c\.yaml:7: expand\.breaks\.0"),
        (GOOD + "expand: {sampling: {temperature: -1}}\n", r"expand\.sampling\.temperature"),
        (GOOD + "expand: {sampling: {top_p: 2}}\n", r"expand\.sampling\.top_p"),
        (GOOD + "expand: {sampling: {temprature: 1}}\n", r"temprature: there is no such field"),
        (GOOD + "think: {pixels: {rule: round}}\n", r"think\.pixels\.rule"),
        (GOOD + "think: {pixels: {limit: 3}}\n", r"think\.pixels\.limit"),
        (GOOD + "judge: {enabled: true}\n", r"judge\.enabled needs endpoints\.judge"),
        (GOOD + "select: {sft: {keep_right: 0}}\n", r"select\.sft\.keep_right"),
        (GOOD + "select: {pairs: {compact_ratio: 1}}\n", r"compact_ratio"),
        (GOOD + "ask: {near_duplicate: 2}\n", r"ask\.near_duplicate"),
        (GOOD + "ask: {options: 11}\n", r"ask\.options"),
        (swapped("recipe: paper", "recipe: papr"), "there is no recipe 'papr'"),
        (swapped("kind: table", "kind: tabel"), r"c\.yaml:2: source"),
        (swapped("kind: table, ", ""), r"c\.yaml:2: source"),
        (swapped(", captions: captions.jsonl", ""), r"source\.captions: is missing"),
        (
            swapped('{base_url: "http://localhost:8000/v1", model: a}', "{model: a}"),
            r"asker\.base_url: is mis",
        ),
        (swapped("  thinker", "  thinkr"), r"endpoints\.thinkr: there is no such field"),
        (swapped("http://localhost:8000/v1", "localhost:8000"), r"c\.yaml:4: .*not an http"),
        (swapped("http://localhost:8000/v1", "http://me:hunter2@host/v1"), "holds credentials"),
        (swapped("model: a}", "model: a, api_key: sk-123456}"), "api_key_env"),
        (swapped("model: a}", "model: a, api_key_env: sk-123456}"), "the NAME of an environment variable"),
        (swapped("model: a}", "model: a, concurrency: 0}"), r"c\.yaml:4: endpoints\.asker\.concurrency"),
        (swapped("model: a}", "model: a, prefill: maybe}"), r"endpoints\.asker\.prefill"),
        (swapped("model: a}", "model: a, price: {input: 1}}"), r"asker\.price\.output: is missing"),
        (swapped("model: a}", 'model: ""}'), r"endpoints\.asker\.model"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_secrets_are_not(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, tmp_path / "c.yaml")
    assert re.search(words, str(caught.value))
    assert "sk-123456" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    text = GOOD + "think: {n: 0, m: 1}\nexpand: {n: 0}\n"
    with pytest.raises(ConfigError) as caught:
        parse_config(text, tmp_path / "c.yaml")
    assert all(name in str(caught.value) for name in ("think.n", "think.m", "expand.n"))


def test_a_prompt_of_ones_own_is_found_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("---\nname: mine\nversion: 1\nvariables: caption\n---\n{{ caption }}?")
    config = parse_config(GOOD + "ask: {prompt: mine.md}\n", tmp_path / "c.yaml")
    assert config.ask.prompt == str(tmp_path / "mine.md")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_makes_a_configuration_that_runs(tmp_path: Path, name: str) -> None:
    config = parse_config(GOOD.replace("recipe: paper", f"recipe: {name}"), tmp_path / "c.yaml")
    assert config.recipe == name


def test_the_papers_numbers_are_the_papers() -> None:
    # The paper's appendix B: three samples, T 0.7, top_p 0.8, top_k 50, repetition penalty 1.05.
    paper, released = load_recipe("paper"), load_recipe("released")
    assert (paper["think"]["n"], paper["expand"]["n"], paper["source"]["limit"]) == (3, 3, 500)
    assert paper["expand"]["sampling"] == {
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 50,
        "repetition_penalty": 1.05,
        "max_tokens": 256,
    }
    assert paper["think"]["pixels"] == {"rule": "longer_side", "limit": 512}
    assert (released["think"]["n"], released["expand"]["cues"]) == (10, ["Wait,"])
    assert released["select"]["pairs"]["compact_over_long"] == {"enabled": False}


def options(path: Path, **fields: object) -> InitOptions:
    given = {"recipe": "paper", "captions": str(path), "images": None, "base_url": "http://h/v1"}
    return InitOptions(**(given | fields))


def test_init_writes_what_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    captions = tmp_path / "data" / "c.jsonl"
    captions.write_text('{"id": "1", "caption": "a", "image": "a.png"}\n')
    path = tmp_path / "configs" / "c.yaml"
    write_config(
        path,
        options(captions, short_cots=10, long_cots=2, cues=["Wait,"], models={"asker": "gpt"}, limit=7),
    )
    config = load_config(path)
    assert (config.think.n, config.expand.n, config.expand.cues) == (10, 2, ("Wait,",))
    assert (config.endpoints.asker.model, config.source.limit) == ("gpt", 7)
    assert config.endpoints.thinker.model == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert config.source.captions == captions


def test_init_does_not_write_over_a_file_unless_told_to(tmp_path: Path) -> None:
    captions = tmp_path / "c.jsonl"
    captions.write_text('{"id": "1", "caption": "a", "image": "a.png"}\n')
    path = tmp_path / "c.yaml"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        write_config(path, options(captions))
    assert path.read_text() == "mine"
    write_config(path, options(captions), force=True)
    assert load_config(path).recipe == "paper"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"captions": "nowhere/at/all.jsonl"}, "nowhere"),
        ({"recipe": "mine"}, "no recipe 'mine'"),
        ({"base_url": "host:80"}, "not an http"),
        ({"api_key_env": "sk-123456"}, "NAME of an environment"),
        ({"cues": [" x"]}, "a cue is empty"),
    ],
)
def test_init_refuses_what_would_not_run_and_leaves_no_file(
    tmp_path: Path, fields: dict[str, object], words: str
) -> None:
    captions = tmp_path / "c.jsonl"
    captions.write_text('{"id": "1", "caption": "a", "image": "a.png"}\n')
    path = tmp_path / "c.yaml"
    with pytest.raises(LptError, match=words):
        write_config(path, options(captions, **fields))
    assert not path.exists()
