"""Shards that are merged: the run that they are parts of, byte by byte."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lpt_core import ConfigError, StoreError
from lpt_synth.config import RunConfig
from lpt_synth.jobs import as_shard, export, run
from lpt_synth.merge import merge
from lpt_synth.rundir import RunDir
from lpt_synth.status import status

Config = Callable[..., RunConfig]


@pytest.fixture
def many(a_config: Config, tmp_path: Path) -> Config:
    """The play server's configuration with six captions, one of them twice."""
    from PIL import Image

    folder = tmp_path / "captions"
    for place in range(3, 6):
        Image.new("RGB", (30, 30 + place), (place * 20, 80, 10)).save(folder / f"{place}.png")
        (folder / f"{place}.txt").write_text(f"{place % 3 + 1}: picture {place} of numbers")
    for end in ("png", "txt"):
        shutil.copy(folder / f"5.{end}", folder / f"6.{end}")
    return a_config


def shards(config: RunConfig, out: Path, of: int, only: Sequence[int] = ()) -> list[Path]:
    folders = []
    for index in only or range(1, of + 1):
        part, folder = as_shard(config, out, f"{index}/{of}")
        assert run(part, folder).result.done
        folders.append(folder)
    return folders


def begun(config: RunConfig, out: Path, of: int, only: Sequence[int] = ()) -> list[Path]:
    """The directories of shards that were killed before the first answer."""
    folders = []
    for index in only or range(1, of + 1):
        part, folder = as_shard(config, out, f"{index}/{of}")
        RunDir(folder).create()
        RunDir(folder).keep(part)
        RunDir(folder).open_store(create=True).close()
        folders.append(folder)
    return folders


def exported(run_dir: Path, to: Path) -> dict[str, bytes]:
    export(RunDir(run_dir), "trl", to)
    return {str(path.relative_to(to)): path.read_bytes() for path in sorted(to.rglob("*")) if path.is_file()}


def test_merged_shards_export_what_one_run_exports(many: Config, play: Any, tmp_path: Path) -> None:
    run(many(), tmp_path / "whole")
    asked = len(play.calls)
    play.calls.clear()
    folders = shards(many(), tmp_path / "run", 3)
    assert [folder.name for folder in folders] == [f"run.shard-{i}-of-3" for i in (1, 2, 3)]
    assert len(play.calls) == asked, "the shards ask together what one run asks"
    report = merge(tmp_path / "run")
    assert (report.done, report.shards, report.missing, report.unfinished) == (True, 3, (), ())
    assert exported(tmp_path / "run", tmp_path / "a") == exported(tmp_path / "whole", tmp_path / "b")
    merged, whole = (status(RunDir(tmp_path / name)) for name in ("run", "whole"))
    assert merged == whole
    assert run(many(), tmp_path / "run").result.done
    assert len(play.calls) == asked, "nothing is left to be asked"


def test_images_inside_the_source_come_along(many: Config, play: Any, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    folder = tmp_path / "captions"
    rows = [
        {"id": path.stem, "caption": path.read_text(), "image": path.with_suffix(".png").read_bytes()}
        for path in sorted(folder.glob("*.txt"))
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "all.parquet")
    data = many().model_dump(mode="json")
    data["source"] = {"kind": "table", "captions": str(tmp_path / "all.parquet")}
    config = RunConfig.model_validate_json(json.dumps(data))
    run(config, tmp_path / "whole")
    folders = shards(config, tmp_path / "run", 2)
    assert merge(tmp_path / "run").done
    for shard in folders:
        shutil.rmtree(shard)
    assert exported(tmp_path / "run", tmp_path / "a") == exported(tmp_path / "whole", tmp_path / "b")
    asked = len(play.calls)
    assert run(config, tmp_path / "run").result.done
    assert len(play.calls) == asked


def test_missing_shards_are_named_and_may_be_left_to_the_next_run(
    many: Config, play: Any, tmp_path: Path
) -> None:
    config = many(think={"n": 2}, expand={"n": 1})
    folders = shards(config, tmp_path / "run", 4, only=(1, 3))
    with pytest.raises(ConfigError, match="2 of 4 shards are missing: 2/4, 4/4"):
        merge(tmp_path / "run", folders)
    assert not (tmp_path / "run").exists()
    report = merge(tmp_path / "run", folders, partial=True)
    assert (report.done, report.missing) == (False, (2, 4))
    assert run(config, tmp_path / "run").result.done
    asked = len(play.calls)
    run(config, tmp_path / "whole")
    assert len(play.calls) == 2 * asked, "what the shards had answered was asked again"
    assert exported(tmp_path / "run", tmp_path / "a") == exported(tmp_path / "whole", tmp_path / "b")


def test_a_shard_that_was_stopped_is_named(many: Config, play: Any, tmp_path: Path) -> None:
    begun(many(), tmp_path / "run", 2, only=(1,))
    play.faults = [401]
    part, folder = as_shard(many(), tmp_path / "run", "2/2")
    run(part, folder)
    report = merge(tmp_path / "run")
    assert (report.done, report.unfinished[1:]) == (False, (folder,))


def test_shards_of_other_configurations_are_refused_by_the_field_that_differs(
    many: Config, play: Any, tmp_path: Path
) -> None:
    one = begun(many(), tmp_path / "run", 2, only=(1,))
    moved = {"base_url": play.base_url.replace("127.0.0.1", "localhost"), "concurrency": 3}
    two = begun(many(think={"n": 2}, every_endpoint=moved), tmp_path / "run", 2, only=(2,))
    with pytest.raises(ConfigError, match=r"1/2 and 2/2 .* think\.n is 4 in .* and 2 in "):
        merge(tmp_path / "run", one + two)
    begun(many(every_endpoint=moved), tmp_path / "run", 2, only=(2,))
    report = merge(tmp_path / "run", one + two)
    assert report.unfinished == (*one, *two), "where an endpoint lies is no difference"


def test_shards_of_other_captions_are_refused(many: Config, play: Any, tmp_path: Path) -> None:
    config = many(think={"n": 1}, expand={"n": 1})
    one = shards(config, tmp_path / "run", 2, only=(1,))
    (tmp_path / "captions" / "4.txt").unlink()
    two = shards(config, tmp_path / "run", 2, only=(2,))
    with pytest.raises(ConfigError, match=r"different sources: 7 rows, .* 6 rows, "):
        merge(tmp_path / "run", one + two)


def test_answers_that_contradict_each_other_are_refused_or_the_first_is_kept(
    many: Config, play: Any, tmp_path: Path
) -> None:
    config = many(think={"n": 1}, expand={"n": 1})
    folders = shards(config, tmp_path / "run", 2)
    _say_otherwise(folders)
    with pytest.raises(
        StoreError, match=r"other answers .* for 1 samples; the first is of stage ask, about "
    ):
        merge(tmp_path / "run")
    report = merge(tmp_path / "run", take_first=True)
    assert (report.contradictions, report.done) == (1, True)
    before = len(play.calls)
    assert run(config, tmp_path / "run").result.done
    assert len(play.calls) == before


def _say_otherwise(folders: list[Path]) -> None:
    """Put into the second store what the first holds, one answer changed."""
    with closing(sqlite3.connect(folders[1] / "store.sqlite")) as connection, connection:
        connection.execute("ATTACH DATABASE ? AS first", (str(folders[0] / "store.sqlite"),))
        connection.execute(
            "CREATE TEMP TABLE two AS SELECT key FROM first.requests WHERE stage = 'ask' LIMIT 2"
        )
        connection.execute("INSERT INTO requests SELECT * FROM first.requests WHERE key IN two")
        names = "key, sample, ok, text, detail, status"
        copied = f"SELECT {names} FROM first.outcomes WHERE key IN two"
        connection.execute(f"INSERT INTO outcomes ({names}) {copied}")
        connection.execute("UPDATE outcomes SET text = 'else' WHERE key = (SELECT min(key) FROM two)")


@pytest.mark.parametrize("wrong", ["twice", "no shard", "other split", "nothing", "target", "no run"])
def test_what_are_not_the_shards_of_one_run_is_refused(
    many: Config, play: Any, tmp_path: Path, wrong: str
) -> None:
    config = many()
    folders = begun(config, tmp_path / "run", 2) if wrong != "nothing" else []
    out, said = tmp_path / "run", ""
    if wrong == "twice":
        shutil.copytree(folders[1], tmp_path / "again")
        folders, said = [*folders, tmp_path / "again"], "both hold shard 2/2"
    elif wrong == "no shard":
        RunDir(tmp_path / "plain").create()
        RunDir(tmp_path / "plain").keep(config)
        folders, said = [*folders, tmp_path / "plain"], "is no shard"
    elif wrong == "other split":
        folders, said = [*folders, *begun(config, out, 3, only=(3,))], "different splits: 1/2, 2/2, 3/3"
    elif wrong == "nothing":
        said = "no shards beside"
    elif wrong == "target":
        out, said = folders[0], "another lpt-synth is running"
    else:
        (tmp_path / "empty").mkdir()
        folders, said = [tmp_path / "empty"], "is no run directory"
    with pytest.raises((ConfigError, StoreError), match=said):
        merge(out, folders)


def test_a_directory_with_a_run_is_not_merged_over(many: Config, play: Any, tmp_path: Path) -> None:
    begun(many(), tmp_path / "run", 2)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".store.merging").write_bytes(b"of a merge that was killed")
    RunDir(tmp_path / "run").keep(many())
    merge(tmp_path / "run")
    with pytest.raises(StoreError, match="holds a run already"):
        merge(tmp_path / "run")
