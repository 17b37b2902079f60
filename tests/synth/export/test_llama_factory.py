from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lpt_synth.export import CardFacts, export


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _text(segments: Any) -> str:
    return "".join(segment["text"] for segment in segments)


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_sft_rows_are_conversations_with_one_placeholder_per_image(
    sets: Path, tmp_path: Path, facts: CardFacts
) -> None:
    out = tmp_path / "out"
    export("llama-factory", sets, out, facts)
    rows, records = _load(out / "sft.json"), _records(sets / "sft.jsonl")
    for row, record in zip(rows, records, strict=True):
        human, gpt = row["conversations"]
        assert human == {"from": "human", "value": "<image>" + record["prompt"][1]["content"][1]["text"]}
        assert gpt == {"from": "gpt", "value": _text(record["response"])}
        assert row["system"] == "Think."
        assert (out / row["images"][0]).is_file()


def test_preference_rows_have_both_sides(sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    out = tmp_path / "out"
    export("llama-factory", sets, out, facts)
    for row, record in zip(_load(out / "preference.json"), _records(sets / "pairs.jsonl"), strict=True):
        assert [turn["from"] for turn in row["conversations"]] == ["human"]
        for side in ("chosen", "rejected"):
            assert row[side] == {"from": "gpt", "value": _text(record[side])}


def test_dataset_info_names_only_columns_and_files_that_are_there(
    sets: Path, tmp_path: Path, facts: CardFacts
) -> None:
    out = tmp_path / "out"
    export("llama-factory", sets, out, facts)
    info = _load(out / "dataset_info.json")
    assert set(info) == {"lpt_sft", "lpt_preference"}
    assert (info["lpt_sft"].get("ranking", False), info["lpt_preference"]["ranking"]) == (False, True)
    for entry in info.values():
        row = _load(out / entry["file_name"])[0]
        assert set(entry["columns"].values()) <= set(row)
        turn = row[entry["columns"]["messages"]][0]
        assert set(turn) == {entry["tags"]["role_tag"], entry["tags"]["content_tag"]}
        assert turn["from"] == entry["tags"]["user_tag"]
        assert entry["formatting"] == "sharegpt"


def test_media_placeholders_in_texts_do_not_count_as_media(
    sets: Path, tmp_path: Path, facts: CardFacts, rewrite: Any
) -> None:
    def edit(row: dict[str, Any]) -> None:
        row["prompt"][0]["content"][0]["text"] = "An <image> tag."
        row["prompt"][1]["content"][1]["text"] = "What does <image> say? <video>"
        side = row.get("response") or row["rejected"]
        side[1]["text"] = "It says <audio> and <<image>image>."

    rewrite(sets / "sft.jsonl", edit)
    rewrite(sets / "pairs.jsonl", edit)
    report = export("llama-factory", sets, tmp_path / "out", facts)
    rows = _load(tmp_path / "out/sft.json") + _load(tmp_path / "out/preference.json")
    for row in rows:
        turns = [*row["conversations"], *(row[side] for side in ("chosen", "rejected") if side in row)]
        text = "".join(turn["value"] for turn in turns)
        assert re.findall("<image>|<video>|<audio>", text) == ["<image>"]
        assert "What does [image] say? [video]" in text
    # One in the system prompt, two in the question, two in a thought.
    assert report.neutralised == 5 * len(rows)


def test_empty_sets_are_empty_arrays_that_no_entry_names(
    sets: Path, tmp_path: Path, facts: CardFacts
) -> None:
    (sets / "pairs.jsonl").write_text("")
    export("llama-factory", sets, tmp_path / "out", facts)
    assert _load(tmp_path / "out/preference.json") == []
    assert list(_load(tmp_path / "out/dataset_info.json")) == ["lpt_sft"]


def test_the_card_warns_that_wrong_first_thoughts_are_trained_on(
    sets: Path, tmp_path: Path, facts: CardFacts
) -> None:
    export("llama-factory", sets, tmp_path / "out", facts)
    assert "trains on wrong first thoughts" in (tmp_path / "out/README.md").read_text(encoding="utf-8")


def test_datasets_reads_the_arrays_as_llama_factory_has_it_do(
    sets: Path, tmp_path: Path, facts: CardFacts
) -> None:
    datasets = pytest.importorskip("datasets", reason="needs lpt-synth[hub]")
    datasets.disable_progress_bars()
    export("llama-factory", sets, tmp_path / "out", facts)
    for name in ("sft.json", "preference.json"):
        table = datasets.load_dataset(
            "json",
            data_files=[str(tmp_path / "out" / name)],
            split="train",
            cache_dir=str(tmp_path / "cache"),
        )
        assert list(table) == _load(tmp_path / "out" / name)
