"""What must hold before a package is released: `just release-check PACKAGE`.

    python .ci/release_check.py lpt-synth                         # as it stands
    python .ci/release_check.py lpt-synth --tag lpt-synth-v0.2.0  # as the workflow of that tag does

Looks at version, changelog and tag; builds wheel and sdist without the workspace's sources; installs the
wheel into a clean environment, lpt-core beside it from this checkout, and runs the package's own tests
there; tells how the public interface differs from the last release. Exit status: 0 ready, 1 not ready.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOT_INSTALLED = {"vllm"}
"""Extras left out: this one pins another torch, and is gigabytes."""


class ReleaseError(Exception):
    """A release would be wrong, with what and what to do."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the workspace.

    Attributes:
        folder: Its own.
        metadata: Its pyproject.toml.
    """

    folder: Path
    metadata: dict[str, Any]

    @classmethod
    def named(cls, name: str, root: Path = ROOT) -> Package:
        """The package of a name.

        Raises:
            ReleaseError: There is none.
        """
        folder = root / "packages" / name
        if not (folder / "pyproject.toml").is_file():
            known = ", ".join(sorted(path.name for path in (root / "packages").iterdir()))
            raise ReleaseError(f"there is no package {name!r}; there are {known}")
        return cls(folder, tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")))

    @property
    def name(self) -> str:
        """As it is installed."""
        return self.folder.name

    @property
    def module(self) -> str:
        """As it is imported."""
        return self.name.replace("-", "_")

    @property
    def version(self) -> str:
        """As pyproject.toml has it."""
        return self.metadata["project"]["version"]

    @property
    def extras(self) -> list[str]:
        """The extras that its tests are run with."""
        return sorted(set(self.metadata["project"].get("optional-dependencies", {})) - NOT_INSTALLED)


def check_words(package: Package, tag: str | None) -> None:
    """Version, changelog and tag agree.

    Args:
        package: What is to be released.
        tag: The tag of the release; without one the changelog may still say "unreleased".

    Raises:
        ReleaseError: They do not.
    """
    changelog = (package.folder / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = re.search(r"^## (\S+)(?: \((.+)\))?$", changelog, re.MULTILINE)
    where = f"packages/{package.name}/CHANGELOG.md"
    if heading is None or heading[1] != package.version:
        found = "no heading" if heading is None else f"{heading[1]} first"
        raise ReleaseError(
            f"{where} has {found}; pyproject.toml has {package.version}: write what is new in it"
        )
    if tag is None:
        return
    if tag != f"{package.name}-v{package.version}":
        raise ReleaseError(
            f"the tag {tag} is not {package.name}-v{package.version}: tag that, or raise the version"
        )
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", heading[2] or ""):
        raise ReleaseError(
            f"{where}: write the day beside {package.version}, as in `## {package.version} (2026-12-01)`"
        )


def build(name: str, to: Path) -> tuple[Path, Path]:
    """The wheel and the sdist of a package, as somebody who has no workspace would build them.

    Raises:
        ReleaseError: They differ in what they hold.
    """
    folder = to / name
    _run(["uv", "build", "--package", name, "--no-sources", "--out-dir", folder], cwd=ROOT)
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    _run(["uv", "build", "--wheel", sdist, "--no-sources", "--out-dir", folder / "again"], cwd=to)
    [again] = (folder / "again").glob("*.whl")
    if (differ := _names(wheel) ^ _names(again)) != set():
        raise ReleaseError(f"the wheel and the wheel from the sdist differ in {', '.join(sorted(differ))}")
    return wheel, sdist


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as opened:
        return set(opened.namelist())


def install(package: Package, to: Path) -> Path:
    """A clean environment with the package's wheel, its extras and its tests' tools; its Python."""
    wheel, _ = build(package.name, to)
    core = wheel if package.name == "lpt-core" else build("lpt-core", to)[0]
    python = to / "env" / "bin" / "python"
    extras = f"[{','.join(package.extras)}]" if package.extras else ""
    tools = package.metadata.get("dependency-groups", {}).get("test", [])
    _run(["uv", "venv", "--quiet", to / "env"], cwd=to)
    wanted = [f"{package.name}{extras} @ {wheel.as_uri()}", *([] if core == wheel else [core])]
    _run(["uv", "pip", "install", "--quiet", "--python", python, *wanted, *tools], cwd=to)
    _run(["uv", "pip", "check", "--python", python], cwd=to)
    return python


def check_tests(package: Package, python: Path, chosen: Sequence[str]) -> None:
    """The package's own tests pass with what was installed.

    Raises:
        ReleaseError: They do not, or what is imported is not what was installed.
    """
    at = f"import {package.module}; print({package.module}.__file__)"
    found = _run([python, "-I", "-c", at], cwd=python.parent).stdout.strip()
    if not Path(found).is_relative_to(python.parents[1]):
        raise ReleaseError(f"{package.module} is imported from {found}, not from the wheel")
    tests = ROOT / "tests" / package.name.removeprefix("lpt-")
    plain = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PATH": f"{python.parent}:{os.environ['PATH']}"}
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, *chosen]
    if subprocess.run(command, cwd=ROOT, env=os.environ | plain).returncode:
        raise ReleaseError(f"the tests of {package.name} fail with the wheel that was built")


def check_interface(package: Package) -> str:
    """How the public interface differs from the last release's.

    Returns:
        A sentence.

    Raises:
        ReleaseError: Something that users may call is gone or different, and the version does not say so.
    """
    root = package.folder.parents[1]
    tags = _run(["git", "tag", "--list", f"{package.name}-v*", "--sort=-v:refname"], cwd=root).stdout.split()
    before = next((tag for tag in tags if not tag.endswith(f"-v{package.version}")), None)
    if before is None:
        return "no release before this one to compare the interface with"
    source = f"packages/{package.name}/src"
    command = [sys.executable, "-m", "griffe", "check", package.module, "-s", source, "-a", before]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode == 0:
        return f"nothing of the interface of {before} is gone or different"
    if _series(before.rpartition("-v")[2]) == _series(package.version):
        raise ReleaseError(
            f"the interface breaks with {before}:\n{done.stdout}{done.stderr}\n"
            "raise the version to a new series, or bring back what is gone"
        )
    return f"the interface differs from {before}, and the version says so:\n{done.stdout}"


def _series(version: str) -> tuple[str, ...]:
    """What must change where an interface breaks: the minor number below 1.0, the major one from there on."""
    parts = version.split(".")
    return tuple(parts[:2] if parts[0] == "0" else parts[:1])


def _run(command: Sequence[object], cwd: Path) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    # A virtual environment of the caller's must not be taken for the clean one.
    env = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        raise ReleaseError(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done


def main(given: Sequence[str] | None = None) -> int:
    """Check one package, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("package")
    parser.add_argument("--tag", help="of the release, as PACKAGE-vVERSION")
    parser.add_argument(
        "--tests", nargs="*", default=[], help="what pytest is given beside the folder of the tests"
    )
    parser.add_argument("--no-tests", action="store_true", help="install, and run no test")
    parser.add_argument("--to", type=Path, help="keep the wheel and the sdist here")
    asked = parser.parse_args(given)
    try:
        package = Package.named(asked.package)
        check_words(package, asked.tag)
        print(f"{package.name} {package.version}: version and changelog agree", flush=True)
        print(check_interface(package), flush=True)
        with tempfile.TemporaryDirectory(prefix="release-") as folder:
            python = install(package, Path(folder))
            print(
                "wheel and sdist are built; the wheel is installed alone, with what it declares", flush=True
            )
            if not asked.no_tests:
                check_tests(package, python, asked.tests)
            if asked.to is not None:
                asked.to.mkdir(parents=True, exist_ok=True)
                for made in (Path(folder) / package.name).glob("lpt_*"):
                    shutil.copy2(made, asked.to)
    except ReleaseError as reason:
        print(f"not ready: {reason}", file=sys.stderr)
        return 1
    print(f"{package.name} {package.version} is ready")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
