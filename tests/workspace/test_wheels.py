"""The built distributions, in clean environments of their own, as somebody who installs them has them."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path

import pytest
from PIL import Image

Command = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow

NAMES = ["lpt-core", "lpt-synth"]

VERIFY = """
from lpt_core import MCQ, Presentation, verify
mcq = MCQ.make(caption_id="c", question="Which colour is the sky?", options=("red", "blue"), gold=1)
shown = Presentation.derive(mcq, 42)
letter = "AB"[shown.order.index(1)]
answer, verdict = verify(f"<think>It is day.</think> <answer>({letter})</answer>", mcq, shown)
assert (answer.status, verdict.correct) == ("found", True), (answer, verdict)
answer, verdict = verify("<think>It is", mcq, shown)
assert (verdict.status, verdict.correct) == ("truncated", False), verdict

from lpt_core import load_prompt, prompt_names
names = prompt_names()
assert ("question", 1) in names and all(load_prompt(*name) for name in names)
"""

INSTALLED = """
import importlib.metadata as metadata, json
print(json.dumps(sorted(one.name.lower().replace("_", "-") for one in metadata.distributions())))
"""


@pytest.fixture(scope="module")
def built(command: Command, uv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of each package."""
    folder = tmp_path_factory.mktemp("built")
    for package in NAMES:
        command([uv, "build", "--package", package, "--no-sources", "--out-dir", folder])
    return folder


def one(folder: Path, package: str, ending: str) -> Path:
    (found,) = folder.glob(f"{package.replace('-', '_')}-*{ending}")
    return found


def sources(root: Path, package: str) -> set[str]:
    """What git knows of a package's source, as paths from its folder src."""
    folder = f"packages/{package}/src/"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return {name.removeprefix(folder) for name in listed if (root / name).is_file()}


def installed(command: Command, python: Path, cwd: Path) -> set[str]:
    return set(json.loads(command([python, "-I", "-c", INSTALLED], cwd=cwd).stdout))


def requirements(built: Path, package: str) -> list[str]:
    """What a wheel says that it needs, extras left out."""
    with zipfile.ZipFile(one(built, package, ".whl")) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(wheel.read(name).decode())
    return [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]


# ---- what is in them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("package", NAMES)
def test_a_wheel_has_all_of_the_source_and_nothing_else(built: Path, root: Path, package: str) -> None:
    with zipfile.ZipFile(one(built, package, ".whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (licence,) = (name for name in wheel.namelist() if name.endswith("licenses/LICENSE"))
        assert wheel.read(licence) == (root / "LICENSE").read_bytes()
    assert names == sources(root, package)
    kinds = {"lpt-core": {"py.typed", ".md", ".json"}, "lpt-synth": {"py.typed", ".yaml"}}[package]
    assert {kind for kind in kinds if not any(name.endswith(kind) for name in names)} == set()
    assert not [name for name in names if re.search(r"(^|/)(tests/|test_|conftest)", name)]


@pytest.mark.parametrize("package", NAMES)
def test_an_sdist_has_what_its_wheel_is_built_from_and_the_papers(
    built: Path, root: Path, package: str
) -> None:
    with tarfile.open(one(built, package, ".tar.gz")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"} <= names
    assert {name.removeprefix("src/") for name in names if name.startswith("src/")} == sources(root, package)


@pytest.mark.parametrize("package", NAMES)
def test_a_wheels_metadata_names_its_siblings_by_range(built: Path, package: str) -> None:
    needed = requirements(built, package)
    assert len(needed) == {"lpt-core": 2, "lpt-synth": len(needed)}[package]
    assert len(needed) <= 12
    assert not [text for text in needed if "@" in text], "a path or URL of this machine"
    if package != "lpt-core":
        (sibling,) = (text for text in needed if text.startswith("lpt-core"))
        assert re.fullmatch(r"lpt-core(\[[a-z,]+\])?<[\d.]+,>=[\d.]+", sibling)


# ---- what they do ------------------------------------------------------------------------------------


def test_lpt_core_works_alone(command: Command, uv: Path, built: Path, tmp_path: Path) -> None:
    python = tmp_path / "env" / "bin" / "python"
    command([uv, "venv", "--quiet", tmp_path / "env"], cwd=tmp_path)
    command([uv, "pip", "install", "--python", python, one(built, "lpt-core", ".whl")], cwd=tmp_path)
    assert installed(command, python, tmp_path) == {
        "lpt-core", "jinja2", "markupsafe", "pydantic", "pydantic-core", "annotated-types",
        "typing-extensions", "typing-inspection",
    }  # fmt: skip
    command([python, "-I", "-W", "error", "-c", VERIFY], cwd=tmp_path)


@pytest.fixture(scope="module")
def with_pip(command: Command, uv: Path, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts' folder of a clean environment into which pip has put lpt-synth.

    Both wheels are named by path: looked for by name, somebody else's lpt-core could be found. That
    the sibling is in the declared range is still checked, by pip.
    """
    folder = tmp_path_factory.mktemp("with-pip")
    command([uv, "venv", "--quiet", "--seed", folder / "env"], cwd=folder)
    scripts = folder / "env" / "bin"
    wheels = [one(built, package, ".whl") for package in NAMES]
    command([scripts / "python", "-m", "pip", "install", "--quiet", *wheels], cwd=folder, timeout_s=600)
    return scripts


def test_pip_installs_lpt_synth_without_any_framework(
    command: Command, with_pip: Path, tmp_path: Path
) -> None:
    there = installed(command, with_pip / "python", tmp_path)
    assert {"lpt-core", "lpt-synth", "aiohttp", "pillow"} <= there
    assert there & {"torch", "transformers", "datasets", "pyarrow", "numpy", "pandas"} == set()
    command([with_pip / "python", "-m", "pip", "check"], cwd=tmp_path)
    assert "Usage: lpt-synth" in command([with_pip / "lpt-synth", "--help"], cwd=tmp_path).stdout
    told = command([with_pip / "lpt-synth", "--version"], cwd=tmp_path).stdout
    assert re.fullmatch(r"lpt-synth \d+\.\d+\.\d+\n", told)


def make_run(command: Command, synth: Path, base_url: str, folder: Path) -> None:
    """From captions to sets, with an installed command; the run is the folder RUN."""
    (folder / "captions").mkdir()
    for number in range(3):
        Image.new("RGB", (40 + number, 30), (90 * number, 40, 90)).save(folder / "captions" / f"{number}.png")
        (folder / "captions" / f"{number}.txt").write_text(f"A table under a blue sky, number {number}.")
    models = [word for role in ("asker", "thinker", "expander") for word in (f"--{role}", role)]
    init = ["--recipe", "paper", "--captions", "captions", "--base-url", base_url, *models]
    command([synth, "init", "c.yaml", *init, "--short-cots", "4", "--long-cots", "2"], cwd=folder)
    command([synth, "plan", "c.yaml", "--out", "RUN"], cwd=folder)
    command([synth, "run", "c.yaml", "--out", "RUN"], cwd=folder)


@pytest.fixture(scope="module")
def a_run(command: Command, with_pip: Path, base_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the command that pip installed has made a run."""
    folder = tmp_path_factory.mktemp("a-run")
    make_run(command, with_pip / "lpt-synth", base_url, folder)
    return folder


def test_the_installed_command_makes_training_sets(command: Command, with_pip: Path, a_run: Path) -> None:
    status = json.loads(command([with_pip / "lpt-synth", "status", "RUN", "--json"], cwd=a_run).stdout)
    assert (status["captions"], status["mcqs"], status["failed"]) == (3, 6, 0)
    assert status["short_cots"] == {"requested": 24, "parsed": 24, "correct": 12}
    assert status["long_cots"] == {"requested": 48, "parsed": 48, "correct": 48}
    assert status["sft"] > 0
    assert status["pairs"] > 0


@pytest.mark.parametrize(
    ("fmt", "sft", "pairs", "more"),
    [
        ("trl", "sft.jsonl", "preference.jsonl", set()),
        ("llama-factory", "sft.json", "preference.json", {"dataset_info.json"}),
        ("jsonl", "sft.jsonl", "pairs.jsonl", set()),
    ],
)
def test_the_installed_command_exports(
    command: Command, with_pip: Path, a_run: Path, fmt: str, sft: str, pairs: str, more: set[str]
) -> None:
    told = command([with_pip / "lpt-synth", "export", "RUN", "--format", fmt, "--to", fmt], cwd=a_run).stdout
    to = a_run / fmt
    assert {"README.md", "images", sft, pairs} | more <= {path.name for path in to.iterdir()}

    def rows(name: str) -> int:
        text = (to / name).read_text()
        return len(text.splitlines()) if name.endswith(".jsonl") else len(json.loads(text))

    images = len(list((to / "images").iterdir()))
    assert f"{rows(sft)} SFT examples, {rows(pairs)} pairs, {images} images" in told
    assert min(rows(sft), rows(pairs), images) > 0


# ---- the oldest versions that are declared -----------------------------------------------------------


def test_the_declared_lower_bounds_are_true(
    command: Command, uv: Path, built: Path, base_url: str, tmp_path: Path
) -> None:
    """A range that begins too early fails on the machine of whoever has the old version already."""
    env = tmp_path / "env"
    command([uv, "venv", "--quiet", env], cwd=tmp_path)
    wheels = [one(built, package, ".whl") for package in NAMES]
    # Only what is named counts as direct, so what the wheels need is named too.
    needed = [text for package in NAMES for text in requirements(built, package) if "lpt-" not in text]
    oldest = ["--resolution", "lowest-direct", "--python", env / "bin" / "python"]
    command([uv, "pip", "install", "--quiet", *oldest, *wheels, *needed], cwd=tmp_path)
    synth = env / "bin" / "lpt-synth"
    for verb in ("init", "plan", "run", "status", "export"):
        assert f"Usage: lpt-synth {verb}" in command([synth, verb, "--help"], cwd=tmp_path).stdout
    make_run(command, synth, base_url, tmp_path)
    command([synth, "status", "RUN"], cwd=tmp_path)
    for fmt in ("trl", "llama-factory", "jsonl"):
        command([synth, "export", "RUN", "--format", fmt, "--to", fmt], cwd=tmp_path)
