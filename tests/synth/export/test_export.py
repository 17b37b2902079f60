from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from lpt_core import ConfigError, DataError, StoreError
from lpt_synth.export import FORMATS, CardFacts, export

every_format = pytest.mark.parametrize("fmt", list(FORMATS))


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@every_format
def test_the_report_counts_what_is_there(fmt: Any, sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    report = export(fmt, sets, tmp_path / "out", facts)
    names = ("prompts.jsonl",) if fmt == "prompts" else ("sft.jsonl", "pairs.jsonl")
    lines = [len((sets / name).read_text().splitlines()) for name in names]
    found = [report.prompts] if fmt == "prompts" else [report.sft, report.pairs]
    assert found == lines
    assert report.sft + report.pairs + report.prompts == sum(lines)
    assert report.images == len(list((tmp_path / "out/images").iterdir())) == 3
    assert min(lines) > 0


@every_format
def test_the_same_sets_give_the_same_bytes(fmt: Any, sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    export(fmt, sets, tmp_path / "one", facts)
    export(fmt, sets, tmp_path / "deep/er/two", facts)
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "deep/er/two")


@every_format
def test_where_the_images_lay_leaves_no_trace(
    fmt: Any, make_sets: Any, make_image: Any, tmp_path: Path, facts: CardFacts
) -> None:
    for folder in ("here", "there"):
        images = [make_image("a.png", 1, folder), make_image("b.png", 2, folder)]
        export(fmt, make_sets(images, f"sets-{folder}"), tmp_path / f"out-{folder}", facts)
    assert _bytes(tmp_path / "out-here") == _bytes(tmp_path / "out-there")
    assert not any(str(tmp_path).encode() in content for content in _bytes(tmp_path / "out-here").values())


@every_format
def test_an_image_that_changed_is_named(fmt: Any, sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    image = tmp_path / "photos/b.png"
    image.write_bytes(image.read_bytes() + b"\0")
    with pytest.raises(DataError, match=r"photos/b\.png has changed"):
        export(fmt, sets, tmp_path / "out", facts)
    assert {entry.name for entry in tmp_path.iterdir()} == {"photos", "sets"}


@every_format
def test_an_image_that_is_gone_is_named(fmt: Any, sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    (tmp_path / "photos/b.png").unlink()
    with pytest.raises(DataError, match=r"photos/b\.png cannot be read: No such file"):
        export(fmt, sets, tmp_path / "out", facts)


@every_format
def test_empty_sets_make_a_valid_export(fmt: Any, tmp_path: Path, facts: CardFacts) -> None:
    (tmp_path / "sets").mkdir()
    for name in ("sft.jsonl", "pairs.jsonl", "prompts.jsonl"):
        (tmp_path / "sets" / name).touch()
    report = export(fmt, tmp_path / "sets", tmp_path / "out", facts)
    assert (report.sft, report.pairs, report.prompts, report.images) == (0, 0, 0, 0)
    assert "configs:" not in (tmp_path / "out/README.md").read_text(encoding="utf-8")


def test_a_run_without_sets_is_told_to_finish(tmp_path: Path, facts: CardFacts) -> None:
    with pytest.raises(DataError, match=r"sft\.jsonl cannot be read(.|\n)*finish `lpt-synth run` first"):
        export("trl", tmp_path, tmp_path / "out", facts)


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"id": 1}', "\x00", '{"a": "\\ud800"}'])
def test_a_damaged_line_is_named(line: str, sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    lines = (sets / "pairs.jsonl").read_text().splitlines()
    (sets / "pairs.jsonl").write_text("\n".join([*lines[:2], line, *lines[2:]]) + "\n")
    with pytest.raises(DataError, match=r"pairs\.jsonl, line 3: "):
        export("jsonl", sets, tmp_path / "out", facts)


# ---- the target directory --------------------------------------------------------------------------


def test_an_earlier_export_is_replaced_whole(sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    export("llama-factory", sets, tmp_path / "out", facts)
    export("trl", sets, tmp_path / "out", facts)
    export("trl", sets, tmp_path / "fresh", facts)
    assert _bytes(tmp_path / "out") == _bytes(tmp_path / "fresh")
    assert {entry.name for entry in tmp_path.iterdir()} == {"photos", "sets", "out", "fresh"}


def test_an_empty_directory_will_do(sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    (tmp_path / "out").mkdir()
    export("trl", sets, tmp_path / "out", facts)
    assert (tmp_path / "out/sft.jsonl").stat().st_size


@pytest.mark.parametrize("ours_before", [False, True])
def test_what_somebody_else_put_there_is_never_touched(
    ours_before: bool, sets: Path, tmp_path: Path, facts: CardFacts
) -> None:
    out = tmp_path / "out"
    if ours_before:
        export("trl", sets, out, facts)
    (out / ".git").mkdir(parents=True)
    (out / ".git/config").write_text("precious")
    before = _bytes(out)
    with pytest.raises(ConfigError, match=r"\.git in it was made by no export"):
        export("trl", sets, out, facts)
    assert _bytes(out) == before


def test_files_with_our_names_are_not_ours_without_the_marker(
    sets: Path, tmp_path: Path, facts: CardFacts
) -> None:
    with pytest.raises(ConfigError, match="made by no export"):
        export("jsonl", sets, sets, facts)
    assert (sets / "sft.jsonl").exists()


@pytest.mark.parametrize("marker", ["", "[]", "null", '{"made_by": "you"}', "\xff"])
def test_a_strange_marker_marks_nothing(marker: str, sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/lpt_export.json").write_text(marker, encoding="latin-1")
    with pytest.raises(ConfigError):
        export("trl", sets, tmp_path / "out", facts)


def test_a_file_is_no_directory(sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(ConfigError, match="out is a file"):
        export("trl", sets, tmp_path / "out", facts)


def test_the_root_is_no_place(sets: Path, facts: CardFacts) -> None:
    with pytest.raises(ConfigError, match="root"):
        export("trl", sets, Path("/"), facts)


def test_a_place_that_cannot_be_written_is_told(sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        export("trl", sets, tmp_path / "file/out", facts)


def test_a_killed_export_is_simply_run_again(sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    export("trl", sets, tmp_path / "out", facts)
    wanted = _bytes(tmp_path / "out")
    # Killed while writing, and killed between the two moves at the end.
    shutil.copytree(tmp_path / "out", tmp_path / ".out.partial")
    (tmp_path / ".out.partial/preference.jsonl").unlink()
    (tmp_path / "out").rename(tmp_path / ".out.old")
    export("trl", sets, tmp_path / "out", facts)
    assert _bytes(tmp_path / "out") == wanted
    assert {entry.name for entry in tmp_path.iterdir()} == {"photos", "sets", "out"}


def test_a_failed_export_leaves_the_earlier_one(sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    export("trl", sets, tmp_path / "out", facts)
    wanted = _bytes(tmp_path / "out")
    (sets / "pairs.jsonl").write_text("{\n")
    with pytest.raises(DataError):
        export("trl", sets, tmp_path / "out", facts)
    assert _bytes(tmp_path / "out") == wanted
    assert {entry.name for entry in tmp_path.iterdir()} == {"photos", "sets", "out"}


def test_the_marker_tells_the_format(sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    export("llama-factory", sets, tmp_path / "out", facts)
    marker = json.loads((tmp_path / "out/lpt_export.json").read_text())
    assert marker == {"made_by": "lpt-synth", "format": "llama-factory", "schema_version": 1}


@every_format
def test_memory_does_not_grow_with_the_rows(fmt: Any, sets: Path, tmp_path: Path, facts: CardFacts) -> None:
    peaks: list[int] = []
    export(fmt, sets, tmp_path / "warm", facts)
    for times in (1, 20):
        many = tmp_path / f"sets-{times}"
        many.mkdir()
        for name in ("sft.jsonl", "pairs.jsonl", "prompts.jsonl"):
            (many / name).write_bytes((sets / name).read_bytes() * times)
        tracemalloc.start()
        export(fmt, many, tmp_path / f"out-{times}", facts)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000
