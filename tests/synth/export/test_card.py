from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from lpt_core import load_prompt
from lpt_synth.config import RunConfig
from lpt_synth.export import FORMATS, CardFacts, ModelFacts, card_facts
from lpt_synth.export.card import config_echo, licence_id, render_card
from lpt_synth.export.records import Contents

SECRET = "sk-do-not-show"


@pytest.fixture
def contents() -> Contents:
    found = Contents()
    found.sft.update({"short_right": 1200, "wrong_right": 3})
    found.pairs.update({"right_over_wrong": 7})
    found.images.update({".jpg": 2})
    return found


@pytest.fixture
def config() -> RunConfig:
    endpoint = {
        "base_url": "http://gpu-node-17.cluster:8000/v1",
        "api_key_env": "MY_KEY",
        "licence": "Apache-2.0",
        "extra_body": {"token": SECRET},
    }
    return RunConfig.model_validate(
        {
            "recipe": "paper",
            "source": {
                "kind": "docci",
                "captions": "/home/lovelace/docci/descriptions.jsonlines",
                "images": "/home/lovelace/docci/images",
                "licence": "CC BY 4.0",
            },
            "endpoints": {
                role: {**endpoint, "model": f"maker/{role}", "revision": f"r-{role}"}
                for role in ("asker", "thinker", "expander", "judge")
            },
            "ask": {"prompt": "/home/lovelace/prompts/mine.md"},
        }
    )


def _render(facts: CardFacts, contents: Contents, fmt: Any = "trl") -> tuple[dict[str, Any], str]:
    _, front, body = render_card(facts, FORMATS[fmt], contents).split("---\n", 2)
    return yaml.safe_load(front), body


@pytest.mark.parametrize("fmt", [name for name in FORMATS if name != "prompts"])
def test_the_card_states_models_revisions_prompts_licences_and_yields(
    facts: CardFacts, contents: Contents, fmt: Any
) -> None:
    front, body = _render(facts, contents, fmt)
    assert front["license"] == "other"
    assert "sft" in [config["config_name"] for config in front["configs"]]
    for fact in ("gpt-4o-mini", "2024-07-18", "Apache-2.0", "ask.v1 (3f2a90)", "CC BY 4.0", "158", "65.8%"):
        assert fact in body
    assert "1,203 SFT examples and 7 preference pairs about 2 images" in body
    assert FORMATS[fmt].notes in body


def test_the_card_of_prompts_counts_questions(facts: CardFacts) -> None:
    contents = Contents()
    contents.prompts.update({"Spatial": 1200, "other": 3})
    contents.images.update({".png": 40})
    front, body = _render(facts, contents, "prompts")
    assert front["configs"] == [
        {"config_name": "prompts", "data_files": [{"split": "train", "path": "prompts.jsonl"}]}
    ]
    assert "1,203 questions about 40 images" in body
    assert "0 SFT examples" not in body


def test_the_configuration_can_be_read_back(facts: CardFacts, contents: Contents) -> None:
    _, body = _render(facts, contents)
    assert yaml.safe_load(body.split("````yaml\n")[1].split("````")[0]) == facts.config


def test_a_run_s_facts_hold_no_host_path_or_secret(config: RunConfig, contents: Contents) -> None:
    prompts = [("ask", load_prompt("ask")), ("think", load_prompt("think_system"))]
    facts = card_facts(config, source="DOCCI", prompts=prompts, funnel=[("ask", "mcq.kept", 3)])
    text = render_card(facts, FORMATS["trl"], contents)
    for hidden in ("gpu-node", "8000", "MY_KEY", SECRET, "/home", "lovelace"):
        assert hidden not in text
    assert "maker/asker" in text
    assert "r-expander" in text
    assert "mine.md" in text
    assert load_prompt("ask").fingerprint in text


def test_a_judge_that_was_off_is_not_among_the_models(config: RunConfig) -> None:
    def roles(run: RunConfig) -> list[str]:
        return [model.role for model in card_facts(run, source="x", prompts=[], funnel=[]).models]

    assert roles(config) == ["asker", "thinker", "expander"]
    judged = config.model_copy(update={"judge": config.judge.model_copy(update={"enabled": True})})
    assert roles(judged) == ["asker", "thinker", "expander", "judge"]


def test_the_echo_keeps_what_decides_the_content(config: RunConfig) -> None:
    echo = config_echo(config)
    assert echo["source"]["split"] == "train"
    assert echo["select"]["sft"]["keep_right"] == config.select.sft.keep_right
    assert echo["expand"]["cues"] == list(config.expand.cues)
    assert "endpoints" not in echo


def test_names_cannot_break_out_of_their_cells(facts: CardFacts, contents: Contents) -> None:
    evil = ModelFacts("asker", "a | b\n\n## Owned <script>[x](y)`", None, None)
    _, body = _render(dataclasses.replace(facts, models=(evil,)), contents)
    assert "\n## Owned" not in body
    (line,) = [line for line in body.splitlines() if "Owned" in line]
    assert line.replace(r"\|", "").count("|") == 5
    assert r"\<script\>\[x\](y)" in line


def test_a_card_without_facts_has_no_empty_sections(contents: Contents) -> None:
    front, body = _render(CardFacts(source="somebody"), contents)
    assert front["license"] == "unknown"
    assert "## Funnel" not in body
    assert "## Yields" not in body
    assert "None" not in body
    assert "|  |" not in body


@pytest.mark.parametrize(
    ("captions", "models", "wanted"),
    [
        ("CC BY 4.0", ["cc-by-4.0"], "cc-by-4.0"),
        ("CC BY 4.0", ["Apache-2.0"], "other"),
        ("CC BY 4.0", [None], "other"),
        (None, ["MIT", "MIT"], "other"),
        (None, [None], "unknown"),
        (None, [], "unknown"),
    ],
)
def test_one_licence_is_claimed_only_where_all_share_it(
    captions: str | None, models: list[str | None], wanted: str
) -> None:
    facts = CardFacts(
        source="x", source_licence=captions, models=tuple(ModelFacts("r", "m", None, m) for m in models)
    )
    assert licence_id(facts) == wanted


def test_nothing_of_the_card_depends_on_where_it_is_written(
    facts: CardFacts, contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = render_card(facts, FORMATS["trl"], contents)
    monkeypatch.chdir(tmp_path)
    assert render_card(facts, FORMATS["trl"], contents) == one
