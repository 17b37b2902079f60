from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lpt_synth.export import CardFacts, export

HOSTILE = (
    "2024-01-01",
    "line\u2028separator\u0085 and \x00 and \x1b[31m",
    "<image> <|image_pad|> <think>",
    '"quotes" \\back\\slashes\\ {"json": [1]}',
    "👩‍👩‍👧 e\u0301 \ufeff",
    "x" * 300_000,
    "None",
)


@pytest.fixture(scope="module")
def datasets() -> Any:
    library = pytest.importorskip("datasets", reason="needs lpt-synth[hub]")
    library.disable_progress_bars()
    library.config.HF_HUB_OFFLINE = True
    return library


def _load(datasets: Any, folder: Path, name: str) -> Any:
    cache = folder.parent / f"cache-{folder.name}"
    return datasets.load_dataset(str(folder), name, split="train", cache_dir=str(cache))


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_sft_loads_with_images_and_segments(
    datasets: Any, sets: Path, tmp_path: Path, facts: CardFacts
) -> None:
    export("trl", sets, tmp_path / "out", facts)
    table, records = _load(datasets, tmp_path / "out", "sft"), _rows(sets / "sft.jsonl")
    assert table.features["images"] == datasets.List(datasets.Image())
    assert len(table) == len(records)
    for row, record in zip(table, records, strict=True):
        (image,) = row["images"]
        assert (image.width, image.height) == (record["image"]["width"], record["image"]["height"])
        assert row["segments"] == record["response"]
        text = "".join(segment["text"] for segment in row["segments"])
        assert row["completion"] == [{"role": "assistant", "content": text}]
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]
        assert row["prompt"][1]["content"] == record["prompt"][1]["content"][1]["text"]
        assert [row[key] for key in ("id", "kind", "mcq_id", "trace_id", "caption_id")] == [
            record[key] for key in ("id", "kind", "mcq_id", "trace_id", "caption_id")
        ]


def test_preference_loads_with_images_and_segments(
    datasets: Any, sets: Path, tmp_path: Path, facts: CardFacts
) -> None:
    export("trl", sets, tmp_path / "out", facts)
    table, records = _load(datasets, tmp_path / "out", "preference"), _rows(sets / "pairs.jsonl")
    assert len(table) == len(records)
    for row, record in zip(table, records, strict=True):
        assert row["images"][0].width == record["image"]["width"]
        for side in ("chosen", "rejected"):
            assert row[f"{side}_segments"] == record[side]
            text = "".join(segment["text"] for segment in record[side])
            assert row[side] == [{"role": "assistant", "content": text}]
            assert row[f"{side}_trace_id"] == record[f"{side}_trace_id"]


def test_many_rows_share_one_stored_image(sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    report = export("trl", sets, tmp_path / "out", facts)
    assert report.sft > 20 > report.images == len(list((tmp_path / "out/images").iterdir()))


@pytest.mark.parametrize(
    "names", [["a.png"], ["a.png", "b.jpg"], ["a.png", "b.jpg", "c.webp"], ["a.png", "b.png"]]
)
def test_it_loads_however_few_images_of_an_extension_there_are(
    datasets: Any, names: list[str], make_sets: Any, make_image: Any, tmp_path: Path, facts: CardFacts
) -> None:
    folder = make_sets([make_image(name, shade) for shade, name in enumerate(names)])
    export("trl", folder, tmp_path / "out", facts)
    for name in ("sft", "preference"):
        table = _load(datasets, tmp_path / "out", name)
        assert {row["images"][0].width for row in table} == set(range(8, 8 + len(names)))


@pytest.mark.parametrize(("empty", "name"), [("pairs.jsonl", "sft"), ("sft.jsonl", "preference")])
def test_one_set_loads_where_the_other_is_empty(
    datasets: Any, empty: str, name: str, sets: Path, tmp_path: Path, facts: CardFacts
) -> None:
    (sets / empty).write_text("")
    export("trl", sets, tmp_path / "out", facts)
    assert len(_load(datasets, tmp_path / "out", name)) > 0
    front = yaml.safe_load((tmp_path / "out/README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert [config["config_name"] for config in front["configs"]] == [name]


def test_hostile_texts_come_through_unchanged(
    datasets: Any, sets: Path, tmp_path: Path, facts: CardFacts, rewrite: Any
) -> None:
    texts = iter(HOSTILE * 100)

    def edit(row: dict[str, Any]) -> None:
        row["response"][1]["text"] = next(texts)

    rewrite(sets / "sft.jsonl", edit)
    export("trl", sets, tmp_path / "out", facts)
    table = _load(datasets, tmp_path / "out", "sft")
    read = [row["segments"][1]["text"] for row in table.remove_columns("images")]
    assert read == list(HOSTILE * 100)[: len(read)]
    assert len(read) >= len(HOSTILE)
