"""Configurations in YAML: every fault is told with its file, line and field, and no value is repeated."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from lpt_core import ConfigError
from lpt_core.yaml_lines import Finding, merged, parse_yaml, read_text, validated

FILE = Path("c.yaml")


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: list[int] = Field(default=[], max_length=3)
    rate: float


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: Inner


def read(text: str, **more: object) -> Outer:
    data, lines = parse_yaml(text, FILE)
    return validated(lambda: Outer.model_validate(data), FILE, lines, **more)


def test_every_place_has_the_line_on_which_it_begins() -> None:
    data, lines = parse_yaml("a:\n  b: [1,\n    2]\nc: {d: 3}\n", FILE)
    assert data == {"a": {"b": [1, 2]}, "c": {"d": 3}}
    assert lines == {("a",): 1, ("a", "b"): 2, ("a", "b", 0): 2, ("a", "b", 1): 3, ("c",): 4, ("c", "d"): 4}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no configuration"),
        ("- a", "holds no configuration"),
        ("a: [1, 2", "c.yaml:1: "),
        ("a: 1\nb: {\n", "c.yaml:3: "),
        ("x: &a [*a]", "refers to itself"),
        ("x: !!python/object:os.system {}", "c.yaml:1: could not determine a constructor"),
        ("x: 2026-99-99", "a value cannot be read"),
        ("a: 1\nb: {c: 1, c: 2}\na: 2\n", "c.yaml:2: b.c stands twice\nc.yaml:3: a stands twice"),
        ("a: " + "[" * 5000, "c.yaml"),
    ],
)
def test_what_is_no_mapping_is_told(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, FILE)
    assert words in str(caught.value)


def test_all_findings_are_listed_with_their_lines() -> None:
    with pytest.raises(ConfigError) as caught:
        read("inner:\n  steps:\n    - 1\n    - sk-secret\n  speed: 2\n")
    listed = str(caught.value).splitlines()
    assert listed == [
        "c.yaml cannot be used:",
        "  c.yaml:4: inner.steps.1: Input should be a valid integer, unable to parse string as an integer",
        "  c.yaml:1: inner.rate: is missing",
        "  c.yaml:5: inner.speed: there is no such field",
    ]


def test_a_finding_can_be_told_otherwise() -> None:
    def retell(finding: Finding) -> Finding:
        return replace(finding, place=(*finding.place[:-1], "rate"), remedy="write rate")

    with pytest.raises(ConfigError, match=r"c\.yaml:3: inner\.rate: there is no such field \(write rate\)"):
        read("inner:\n  speed: 2\n  rate: 1\n", retell=retell)


def test_a_mapping_goes_over_another_key_by_key_and_a_list_replaces_it() -> None:
    below = {"a": {"b": 1, "c": [1, 2]}, "d": {"e": 1}}
    assert merged(below, {"a": {"c": [3]}, "d": None}) == {"a": {"b": 1, "c": [3]}, "d": None}
    assert below["a"] == {"b": 1, "c": [1, 2]}


def test_a_file_that_cannot_be_read_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read: No such file.*\n  -> make one"):
        read_text(tmp_path / "none.yaml", remedy="make one")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no text in UTF-8"):
        read_text(tmp_path / "bytes.yaml")


@given(st.text(st.sampled_from("ab:{}[]-&*!|>%@`\"'# \n\t\x00\u2028"), max_size=40))
def test_no_text_ends_in_another_error(text: str) -> None:
    with suppress(ConfigError):
        read(text)
