"""Replicas of another engine, as a configuration asks for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lpt_core import ConfigError
from lpt_synth.config import RayEndpoint, RunConfig
from lpt_synth.flow import Flow
from lpt_synth.settings import dump_config, parse_config

TEXT = """\
recipe: default
source: {{ kind: folder, captions: captions }}
endpoints:
  asker: {asker}
  thinker: {{ base_url: "http://h/v1", model: m }}
  expander: {{ base_url: "http://h/v1", model: e }}
"""


def config(tmp_path: Path, asker: str) -> RunConfig:
    return parse_config(TEXT.format(asker=asker), tmp_path / "c.yaml")


def test_replicas_are_the_same_model_to_everything_but_the_engine(tmp_path: Path) -> None:
    inner = '{ base_url: "http://h/v1", model: m, revision: r, licence: MIT, price: { input: 1, output: 2 } }'
    plain, ray = config(tmp_path, inner), config(tmp_path, f"{{ engine: ray, inner: {inner}, replicas: 3 }}")
    end = ray.endpoints.asker
    assert isinstance(end, RayEndpoint)
    assert end.identity == plain.endpoints.asker.identity
    assert (end.licence, end.paid) == ("MIT", plain.endpoints.asker.paid)
    assert end.parallel == 3 * plain.endpoints.asker.parallel
    assert Flow(ray).plan == Flow(plain).plan
    assert parse_config(dump_config(ray), tmp_path / "c.yaml") == ray
    assert ray.pinned() == ray


def test_what_a_recipe_says_of_a_model_is_said_of_the_model_in_there(tmp_path: Path) -> None:
    theirs = "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"
    text = TEXT.format(asker="{ engine: lab_teacher }").replace(
        '{ base_url: "http://h/v1", model: e }',
        f'{{ engine: ray, inner: {{ base_url: "http://h/v1", model: {theirs} }} }}',
    )
    same = parse_config(text, tmp_path / "c.yaml").endpoints.expander
    other = parse_config(text.replace(theirs, "another"), tmp_path / "c.yaml").endpoints.expander
    assert (same.identity.name, same.licence) == (theirs, "MIT")
    assert other.licence is None


def test_the_folder_of_a_model_is_made_absolute_and_pinned(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    made = config(tmp_path, "{ engine: ray, inner: { engine: transformers, model: ./model } }")
    end = made.endpoints.asker
    assert isinstance(end, RayEndpoint)
    assert end.inner.model == str(folder)
    pinned = made.pinned().endpoints.asker
    assert isinstance(pinned, RayEndpoint)
    assert pinned.inner.identity.revision == end.identity.revision is not None


@pytest.mark.parametrize(
    ("asker", "said"),
    [
        ("{ engine: ray }", r":4: endpoints\.asker\.inner: is missing"),
        (
            "{ engine: ray, inner: { engine: ray } }",
            r"asker\.inner\.engine: none of openai, transformers, vllm, lab_teacher$",
        ),
        (
            "{ engine: ray, inner: { engine: lab_teacher, lapses: 1 } }",
            r"asker\.inner\.lapses: there is no such",
        ),
        ("{ engine: ray, inner: { engine: lab_teacher }, replicas: 0 }", r"asker\.replicas: "),
        (
            '{ engine: ray, inner: { base_url: "http://h/v1", model: m, batch: true } }',
            r"inner\.batch: a batch API",
        ),
    ],
)
def test_what_cannot_be_is_named_where_it_stands(tmp_path: Path, asker: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"(?m){said}"):
        config(tmp_path, asker)


def test_importing_the_engine_imports_no_ray() -> None:
    code = "import sys, lpt_synth.engines.ray, lpt_synth.make_engines; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
