"""The rules of the workspace that no linter knows: sizes, metadata, versions, directions, what is named."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement  # pytest itself depends on packaging
from packaging.utils import canonicalize_name

Command = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
NAMES = [package.name for package in PACKAGES]

SOFT, HARD = 300, 500
LONG = {
    "packages/lpt-core/src/lpt_core/schema.py": 333,
}
"""The sources over the soft limit, with their lines. Lower a number or strike a line; never add one."""

MOST_DEPENDENCIES = {"lpt-core": 2, "lpt-eval": 13, "lpt-synth": 12, "lpt-train": 15}
"""Direct ones, without extras."""

ASKED_FOR = {"lpt-eval": {"math-verify"}, "lpt-train": {"accelerate", "bitsandbytes"}}
"""Distributions that another's code asks for: transformers' Trainer refuses to work without accelerate,
and its ``BitsAndBytesConfig`` without bitsandbytes; beside lmms-eval alone a resolver takes a math-verify so
old that lmms-eval's own imports fail."""

PART_OF = {"yarl": "aiohttp", "pydantic-core": "pydantic"}
"""Distributions whose names are part of another's documented interface, and so come with that one."""


def files() -> list[str]:
    """The files of the repository as a commit of everything would have them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def project(package: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text())["project"]


def import_name(package: str) -> str:
    return package.replace("-", "_")


# ---- files -------------------------------------------------------------------------------------------


SOURCE = re.compile(r"packages/[^/]+/src/.+\.py")


def test_no_python_file_is_longer_than_the_hard_limit() -> None:
    lines = {name: (ROOT / name).read_text().count("\n") for name in files() if name.endswith(".py")}
    assert len(lines) > 50
    assert {name: count for name, count in lines.items() if count > HARD} == {}


def test_sources_are_short_and_the_exceptions_only_shrink() -> None:
    lines = {name: (ROOT / name).read_text().count("\n") for name in files() if SOURCE.fullmatch(name)}
    over = {name: count for name, count in lines.items() if count > SOFT}
    assert {name: count for name, count in over.items() if count > LONG.get(name, SOFT)} == {}, "split these"
    assert set(LONG) - set(over) == set(), "these are short now: strike them from LONG"


def test_every_module_says_what_it_is_for() -> None:
    sources = [name for name in files() if SOURCE.fullmatch(name)]
    assert sources
    silent = [name for name in sources if not ast.get_docstring(ast.parse((ROOT / name).read_text()))]
    assert silent == []


@pytest.mark.parametrize("package", NAMES)
def test_the_folders_of_the_tests_are_those_of_the_source(package: str) -> None:
    tests = ROOT / "tests" / package.removeprefix("lpt-")
    source = ROOT / "packages" / package / "src" / import_name(package)
    assert tests.is_dir()
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    assert [str(folder) for folder in folders if not (source / folder).is_dir()] == []


MACHINE = re.compile(r"(?<![\w.:~-])/(?:work|root|opt|tmp)/[\w.]")
REGISTRY = re.compile(
    r"pypi\.(?:org|python)|pythonhosted\.org|npmjs\.(?:org|com)|pytorch\.org/whl|conda\.anaconda", re.I
)


def lines_with(pattern: re.Pattern[str]) -> Iterator[str]:
    for name in files():
        if name != "uv.lock":  # a lock is a list of where things were found
            text = (ROOT / name).read_text(errors="replace")
            for number, line in enumerate(text.splitlines(), 1):
                if pattern.search(line):
                    yield f"{name}:{number}: {line.strip()[:100]}"


def test_no_file_names_a_path_of_one_machine() -> None:
    assert list(lines_with(MACHINE)) == []


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert list(lines_with(REGISTRY)) == []


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (MACHINE, ["open", "('", "/work", "/main')"]),
        (MACHINE, ["at ", "/root", "/.cache"]),
        (REGISTRY, ["https://", "pypi", ".org/simple"]),
        (REGISTRY, ["https://files.", "python", "hosted.org/"]),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], words: list[str]) -> None:
    assert pattern.search("".join(words))


# ---- packages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", NAMES)
def test_a_package_has_all_that_a_release_needs(package: str) -> None:
    folder, module = ROOT / "packages" / package, import_name(package)
    for name in ("README.md", "CHANGELOG.md", "LICENSE", f"src/{module}/py.typed"):
        assert (folder / name).is_file(), f"{package} has no {name}"
    facts = project(package)
    assert facts["name"] == package
    assert "version" not in facts.get("dynamic", [])
    assert facts["version"] == import_module(module).__version__
    entries = re.findall(r"^## (\S+)", (folder / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert facts["version"] in entries, f"CHANGELOG.md of {package} has no entry {facts['version']}"
    assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("package", NAMES)
def test_a_readme_tells_how_the_package_is_installed(package: str) -> None:
    assert f"pip install {package}" in (ROOT / "packages" / package / "README.md").read_text()


@pytest.mark.parametrize("package", NAMES)
def test_the_declared_ranges_of_siblings_hold_the_workspaces_versions(package: str) -> None:
    """Within a workspace uv takes any version of a sibling; who installs from a registry does not."""
    declared = [Requirement(text) for text in project(package)["dependencies"]]
    siblings = [requirement for requirement in declared if requirement.name in NAMES]
    assert siblings or package == "lpt-core"
    for requirement in siblings:
        version = project(requirement.name)["version"]
        assert requirement.specifier.contains(version), f"{package} wants {requirement}, there is {version}"
        assert any(part.operator == "<" for part in requirement.specifier), f"{requirement} has no upper end"


@pytest.mark.parametrize("package", NAMES)
def test_a_package_has_few_direct_dependencies(package: str) -> None:
    assert len(project(package)["dependencies"]) <= MOST_DEPENDENCIES[package]


def imported(package: str) -> set[str]:
    """The distributions of which a package's source imports something, anywhere, its own left out."""
    modules: set[str] = set()
    for path in (ROOT / "packages" / package / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    modules |= {name.name for name in names}
                case ast.ImportFrom(module=str(module), level=0):
                    modules.add(module)
                case ast.Call(func=ast.Name("import_module"), args=[ast.Constant(value=str(module))]):
                    modules.add(module)
    tops = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {import_name(package)}
    of = packages_distributions() | {import_name(name): [name] for name in NAMES}
    found = {canonicalize_name(distribution) for top in tops for distribution in of.get(top, [top])}
    return {PART_OF.get(distribution, distribution) for distribution in found}


@pytest.mark.parametrize("package", NAMES)
def test_what_is_imported_is_declared_and_what_is_declared_is_imported(package: str) -> None:
    facts = project(package)
    texts = [*facts["dependencies"], *chain(*facts.get("optional-dependencies", {}).values())]
    assert imported(package) | ASKED_FOR.get(package, set()) == {Requirement(text).name for text in texts}


def locked_tree(package: str, *without: str) -> set[str]:
    """Everything that a package, with all its extras but some, brings along according to the lock."""
    locked = {one["name"]: one for one in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    own = set(locked[package].get("optional-dependencies", {})) - set(without)
    found: set[tuple[str, str]] = set()
    todo = [(package, extra) for extra in ("", *own)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) not in found:
            found.add((name, extra))
            of = locked[name]
            needs = (
                of.get("optional-dependencies", {}).get(extra, []) if extra else of.get("dependencies", [])
            )
            todo += [(needed["name"], asked) for needed in needs for asked in ("", *needed.get("extra", ()))]
    return {name for name, _ in found}


def test_lpt_synth_brings_along_a_framework_only_with_the_extras_that_are_named_so() -> None:
    assert {"torch", "transformers"} <= locked_tree("lpt-synth")
    tree = locked_tree("lpt-synth", "transformers", "vllm", "ray")
    assert {"lpt-core", "pydantic", "pyarrow", "multidict"} <= tree  # the walk goes deep, and into extras
    assert "pyyaml" in tree  # and into those that are asked of others: lpt-core[yaml]
    assert tree & {"torch", "torchvision", "transformers", "tensorflow", "jax", "vllm", "ray"} == set()


def test_lpt_core_brings_along_pydantic_and_jinja_and_what_they_need() -> None:
    assert locked_tree("lpt-core", "images", "yaml") == {
        "lpt-core", "jinja2", "markupsafe", "pydantic", "pydantic-core", "annotated-types",
        "typing-extensions", "typing-inspection",
    }  # fmt: skip


# ---- versions and directions -------------------------------------------------------------------------


def test_the_lock_is_that_of_the_declared_dependencies(command: Command, uv: Path) -> None:
    command([uv, "lock", "--check"])


def test_what_is_installed_fits_together(command: Command, uv: Path) -> None:
    command([uv, "pip", "check", "--python", sys.executable])


LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def test_imports_go_in_the_agreed_directions(command: Command) -> None:
    command([LINT_IMPORTS, "--no-cache"])


def test_every_package_is_under_the_contracts() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert sorted(linter["root_packages"]) == [import_name(name) for name in NAMES]


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("lpt-core/src/lpt_core/answers.py", "import lpt_synth", "core imports none of them"),
        ("lpt-core/src/lpt_core/answers.py", "import yaml", "core is light"),
        ("lpt-synth/src/lpt_synth/stages/ask.py", "import lpt_synth.store", "stages know no engine"),
        ("lpt-synth/src/lpt_synth/config.py", "import lpt_synth.cli", "nothing below the command line"),
    ],
)
def test_an_import_against_a_direction_is_found(
    command: Command, tmp_path: Path, file: str, line: str, contract: str
) -> None:
    paths: list[str] = []
    for package in PACKAGES:
        copy = tmp_path / "packages" / package.name / "src"
        shutil.copytree(package / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        paths.append(str(copy))
    wrong = tmp_path / "packages" / file
    future = "from __future__ import annotations\n"
    wrong.write_text(wrong.read_text().replace(future, f"{future}\n{line}\n", 1))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    code = f"import sys; sys.path[:0] = {paths}; from importlinter import cli; cli.lint_imports_command()"
    done = command([sys.executable, "-c", code, "--no-cache"], cwd=tmp_path, status=1)
    broken = re.search(rf"^.*{contract}.* (KEPT|BROKEN)", done.stdout, re.MULTILINE)
    assert broken is not None, done.stdout
    assert broken[1] == "BROKEN"
