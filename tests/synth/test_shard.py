"""Which captions a shard takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lpt_core import ConfigError, Problem
from lpt_synth.config import RunConfig, TableSource
from lpt_synth.shard import Shard, SourceSum, shard_argument, shard_folders
from lpt_synth.sources import read_source

TEXTS = [f"{number}: a red house by the sea" for number in range(300)]


@pytest.mark.parametrize(
    "text", ["", "0/3", "4/3", "2", "a/b", "2/0", "-1/3", "1/3/5", "1.0/2", "1000000/1000000"]
)
def test_what_is_no_shard_is_said_so(text: str) -> None:
    with pytest.raises(ConfigError, match="no shard"):
        shard_argument(text)


def test_every_caption_is_in_exactly_one_shard_and_the_shards_are_of_like_size() -> None:
    shards = [Shard(index, 4) for index in range(1, 5)]
    held = [[text for text in TEXTS if shard.holds(text, 7)] for shard in shards]
    assert sorted(text for part in held for text in part) == sorted(TEXTS)
    assert all(50 < len(part) < 100 for part in held)
    assert [text for text in TEXTS if shards[0].holds(text, 8)] != held[0], "another seed, another split"


def test_folders_are_named_after_the_run_and_found_again(tmp_path: Path) -> None:
    out = tmp_path / "run[1]"
    folders = [Shard(index, 12).folder(out) for index in (1, 2, 11)]
    for folder in reversed(folders):
        folder.mkdir()
    (tmp_path / "run[1].shard-x-of-3").mkdir()
    (tmp_path / "run1.shard-1-of-12").mkdir()
    assert [folder.name for folder in shard_folders(out)] == [
        "run[1].shard-1-of-12",
        "run[1].shard-2-of-12",
        "run[1].shard-11-of-12",
    ]


def table(folder: Path, texts: list[str], **more: object) -> TableSource:
    path = folder / "captions.jsonl"
    rows = [{"id": text[:4], "caption": text, "image": f"{text[:3]}.png"} for text in texts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return TableSource.model_validate({"kind": "table", "captions": path, **more})


def read(source: TableSource, tmp_path: Path) -> tuple[list[str], str]:
    problems: list[Problem] = []
    whole = SourceSum()
    rows = read_source(source, seed=3, cache=tmp_path / "cache", report=problems.append, whole=whole)
    return [row.text for row in rows], str(whole)


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_split_does_not_know_the_order_of_the_rows(tmp_path: Path, shuffle: bool) -> None:
    one = read(table(tmp_path, TEXTS, shard="2/3", shuffle=shuffle), tmp_path)
    two = read(table(tmp_path, TEXTS[::-1], shard="2/3", shuffle=shuffle), tmp_path)
    assert sorted(one[0]) == sorted(two[0])
    assert one[1] == two[1], "all shards sum up the same source"
    assert one[1] != read(table(tmp_path, TEXTS[:-1], shard="2/3"), tmp_path)[1]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_limit_counts_the_captions_of_all_shards(tmp_path: Path, shuffle: bool) -> None:
    whole, mark = read(table(tmp_path, TEXTS, limit=40, shuffle=shuffle), tmp_path)
    parts = [
        read(table(tmp_path, TEXTS, limit=40, shuffle=shuffle, shard=f"{i}/3"), tmp_path) for i in (1, 2, 3)
    ]
    assert sorted(text for texts, _ in parts for text in texts) == sorted(whole)
    assert {part for _, part in parts} == {mark}
    texts, place = parts[1][0], {text: place for place, text in enumerate(whole)}
    assert [place[text] for text in texts] == sorted(place[text] for text in texts), "in the whole's order"


def test_a_shard_without_captions_is_no_error(tmp_path: Path) -> None:
    sizes = [len(read(table(tmp_path, TEXTS[:1], shard=f"{i}/9"), tmp_path)[0]) for i in range(1, 10)]
    assert sorted(sizes) == [0] * 8 + [1]


def test_images_that_a_source_holds_are_written_by_their_own_shard_alone(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    image = b"\x89PNG\r\n\x1a\n"
    rows = [{"id": text[:4], "caption": text, "image": image + text.encode()} for text in TEXTS[:30]]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "captions.parquet")
    for shuffle in (False, True):
        source = TableSource(
            kind="table", captions=tmp_path / "captions.parquet", shard="1/3", shuffle=shuffle, limit=25
        )
        cache = tmp_path / f"cache-{shuffle}"
        found = list(read_source(source, seed=3, cache=cache, report=lambda _: None))
        assert 0 < len(found) < 25
        assert sorted(row.image for row in found) == sorted(cache.iterdir())


def test_a_configuration_refuses_what_is_no_shard(a_config: Callable[..., RunConfig]) -> None:
    config = a_config()
    assert config.source.shard is None
    with pytest.raises(ValueError, match="counted from 1 to 2"):
        type(config.source).model_validate(config.source.model_dump() | {"shard": "3/2"})
