"""What of lpt-eval works where neither torch nor lmms-eval is: everything but asking a model."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path

import pytest
import typer.main

from lpt_core import MCQ, READER_VERSION, Presentation
from lpt_eval.cli.app import app
from lpt_eval.folder import RunFolder
from lpt_eval.presets import preset
from lpt_eval.records import BenchmarkRun, Item, ModelIdentity, Response, RunInfo
from lpt_eval.scoring import score

Command = Callable[..., subprocess.CompletedProcess[str]]

HEAVY = {"torch", "torchvision", "transformers", "vllm", "lmms_eval", "datasets", "pyarrow", "pandas"}
VERBS = sorted(typer.main.get_command(app).commands)  # pyright: ignore[reportAttributeAccessIssue] # a group
LIGHT = ("jinja2", "numpy", "pillow", "pydantic", "typer")

LOADED = """
import atexit, sys
atexit.register(lambda: sys.stderr.write("loaded " + " ".join(sys.modules)))
sys.argv = {words!r}
from lpt_eval.cli import main
main()
"""


def make_run(path: Path, said: list[str]) -> Path:
    """A run of as many questions as there are answers."""
    protocol, folder = preset("paper", "think", "vstar"), RunFolder(path)
    items: list[Item] = []
    for number in range(len(said)):
        mcq = MCQ.make(caption_id="", question=f"Which is door {number}?", options=("red", "blue"), gold=1)
        shown = Presentation(mcq_id=mcq.id, order=(0, 1), option_style="parens", answer_style="letter_parens")
        items.append(
            Item.make(
                benchmark="vstar",
                source_id=str(number),
                mcq=mcq,
                presentation=shown,
                category="ab"[number % 2],
            )
        )
    folder.write_items("vstar", items)
    responses = [
        Response(item_id=item.id, text=f"<think>Hm.</think> <answer>{text}</answer>", finish_reason="stop")
        for item, text in zip(items, said, strict=True)
    ]
    folder.write_rows(
        "vstar", [score(item, one, protocol) for item, one in zip(items, responses, strict=True)]
    )
    asked = BenchmarkRun(protocol=protocol, items=len(items))
    model = ModelIdentity(kind="server", name=path.name)
    folder.write_info(RunInfo(model=model, benchmarks={"vstar": asked}, reader=READER_VERSION, versions={}))
    return path


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs "base" and "tuned"."""
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "base", ["(A)", "(B)", "Purple", "(B)"])
    make_run(folder / "tuned", ["(B)", "(B)", "(B)", "(B)"])
    return folder


SPOKEN = {
    "compare": (
        ["compare", "base", "tuned", "--draws", "100", "--max-failures", "0.5"],
        "tuned against base",
    ),
    "rescore": (["rescore", "base", "--out", "again"], "0 answers are read otherwise"),
    "report": (["report", "base", "tuned", "--out", "page.html", "--draws", "100"], "page.html"),
    "tasks": (["tasks", "vstar", "--protocol", "released"], "Select the correct answer"),
}
"""What needs no model, and a word of what it says."""


def test_the_commands_are_there() -> None:
    assert {"run", "conformance", *SPOKEN} <= set(VERBS)


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)])
def test_help_loads_nothing_heavy(command: Command, words: list[str]) -> None:
    told = command([sys.executable, "-I", "-c", LOADED.format(words=["lpt-eval", *words])]).stderr
    there = {name.partition(".")[0] for name in told.rpartition("loaded ")[2].split()}
    assert there & (HEAVY | {"numpy", "PIL", "aiohttp"}) == set()


def test_help_takes_under_three_tenths_of_a_second(command: Command) -> None:
    """In CPU time of the process, as time on the wall tells how busy the machine is; the best of five."""
    script, spent = Path(sys.executable).with_name("lpt-eval"), list[float]()
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "Usage: lpt-eval" in command([script, "--help"]).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.3, spent


@pytest.mark.parametrize("verb", sorted(SPOKEN))
def test_what_needs_no_model_loads_none(command: Command, two_runs: Path, tmp_path: Path, verb: str) -> None:
    words, said = SPOKEN[verb]
    for name in ("base", "tuned"):
        (tmp_path / name).symlink_to(two_runs / name)
    done = command([sys.executable, "-I", "-c", LOADED.format(words=["lpt-eval", *words])], cwd=tmp_path)
    assert said in done.stdout
    there = {name.partition(".")[0] for name in done.stderr.rpartition("loaded ")[2].split()}
    assert there & HEAVY == set()


# ---- the wheel -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(command: Command, uv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    for package in ("lpt-core", "lpt-eval"):
        command([uv, "build", "--package", package, "--no-sources", "--out-dir", folder])
    return folder


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


@pytest.mark.slow
def test_the_wheel_has_all_of_the_source_and_names_core_by_range(built: Path, root: Path) -> None:
    folder = "packages/lpt-eval/src/"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    sources = {name.removeprefix(folder) for name in listed if (root / name).is_file()}
    with zipfile.ZipFile(one(built, "lpt_eval-*.whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        needed = Parser().parsestr(wheel.read(metadata).decode()).get_all("Requires-Dist", [])
    assert names == sources
    assert {"lpt_eval/data/golden.json", "lpt_eval/data/paper.json", "lpt_eval/py.typed"} <= names
    plain = [text for text in needed if "extra ==" not in text]
    assert [text for text in plain if "@" in text] == [], "a path or URL of this machine"
    assert [text for text in plain if re.match(r"(torch|transformers|vllm)\b", text)] == []
    (sibling,) = (text for text in plain if text.startswith("lpt-core"))
    assert re.fullmatch(r"lpt-core(\[\w+\])?<[\d.]+,>=[\d.]+", sibling)
    with tarfile.open(one(built, "lpt_eval-*.tar.gz")) as sdist:
        papers = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"} <= papers


@pytest.mark.slow
def test_the_installed_wheel_compares_and_reports_where_nothing_heavy_is(
    command: Command, uv: Path, built: Path, two_runs: Path, tmp_path: Path
) -> None:
    """Without its heavy dependencies, which only asking a model and conformance's stock scorers need."""
    python = tmp_path / "env" / "bin" / "python"
    command([uv, "venv", "--quiet", tmp_path / "env"], cwd=tmp_path)
    install = [uv, "pip", "install", "--quiet", "--python", python]
    command([*install, *LIGHT], cwd=tmp_path)
    wheels = [one(built, f"{package}-*.whl") for package in ("lpt_core", "lpt_eval")]
    command([*install, "--no-deps", *wheels], cwd=tmp_path)
    for name in ("base", "tuned"):
        (tmp_path / name).symlink_to(two_runs / name)
    script = python.with_name("lpt-eval")
    assert "Usage: lpt-eval" in command([script, "--help"], cwd=tmp_path).stdout
    for words, said in SPOKEN.values():
        assert said in command([script, *words], cwd=tmp_path).stdout
    told = command([script, "conformance"], cwd=tmp_path, status=2).stderr
    assert told.split("\n")[0] == "error: lmms-eval is not installed."
