from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from lpt_core import DataError, ImagePart, PromptExample, SFTExample, verify
from lpt_synth.export import CardFacts, export


def _prompts(folder: Path) -> list[PromptExample]:
    lines = (folder / "prompts.jsonl").read_bytes().splitlines()
    return [PromptExample.model_validate_json(line) for line in lines]


def test_nothing_that_was_thought_is_in_it(sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    export("prompts", sets, tmp_path / "out", facts)
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"README.md", "lpt_export.json", "images", "prompts.jsonl"}
    assert b'provenance":{' not in (tmp_path / "out/prompts.jsonl").read_bytes()


def test_a_prompt_is_message_by_message_that_of_the_rows_that_were_made_of_its_question(
    sets: Path, tmp_path: Path, facts: CardFacts
) -> None:
    export("prompts", sets, tmp_path / "prompts", facts)
    export("jsonl", sets, tmp_path / "jsonl", facts)
    asked = {example.mcq.id: example for example in _prompts(tmp_path / "prompts")}
    lines = (tmp_path / "jsonl/sft.jsonl").read_bytes().splitlines()
    for row in map(SFTExample.model_validate_json, lines):
        example = asked[row.mcq_id]
        assert (example.prompt, example.image) == (row.prompt, row.image)
        assert verify(row.text, example.mcq, example.presentation)[1].correct
    assert len(asked) >= len(lines) / 20 > 0


def test_images_lie_beside_the_prompts(sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    out = tmp_path / "out"
    export("prompts", sets, out, facts)
    for old, new in zip(_prompts(sets), _prompts(out), strict=True):
        images = [part.image for m in new.prompt for part in m.content if isinstance(part, ImagePart)]
        assert images == [new.image]
        assert hashlib.sha256((out / new.image.path).read_bytes()).hexdigest() == old.image.sha256
        assert (new.id, new.mcq, new.presentation) == (old.id, old.mcq, old.presentation)


def test_a_prompt_whose_question_was_exchanged_is_refused(
    sets: Path, tmp_path: Path, facts: CardFacts, rewrite: Any
) -> None:
    def exchange(row: dict[str, Any]) -> None:
        row["presentation"]["mcq_id"] = "f" * 32

    rewrite(sets / "prompts.jsonl", exchange)
    with pytest.raises(DataError, match=r"prompts\.jsonl, line 1: .*another question"):
        export("prompts", sets, tmp_path / "out", facts)
    assert not (tmp_path / "out").exists()
