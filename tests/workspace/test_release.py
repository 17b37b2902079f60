"""What is checked before a release, and that versions may move apart within what is declared."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

Command = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release_check", ROOT / ".ci" / "release_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["release_check"] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """A repository with one small package: ``small(version, changelog, source)`` writes and commits it."""
    folder = tmp_path / "packages" / "lpt-core"
    (folder / "src" / "lpt_core").mkdir(parents=True)

    def git(*words: str) -> None:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    def write(version: str, changelog: str, source: str = "", tag: str | None = None) -> Path:
        (folder / "pyproject.toml").write_text(f'[project]\nname = "lpt-core"\nversion = "{version}"\n')
        (folder / "CHANGELOG.md").write_text(changelog)
        (folder / "src" / "lpt_core" / "__init__.py").write_text(source)
        git("init", "-q")
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", version)
        if tag:
            git("tag", tag)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("version", "changelog", "tag", "said"),
    [
        ("0.2.0", "# Log\n\n## 0.1.0 (2026-01-01)\n", None, "has 0.1.0 first"),
        ("0.2.0", "# Log\n", None, "no heading"),
        ("0.2.0", "## 0.2.0 (unreleased)\n", "lpt-core-v0.2.0", "write the day"),
        ("0.2.0", "## 0.2.0 (2026-01-01)\n", "lpt-core-v0.3.0", "is not lpt-core-v0.2.0"),
        ("0.2.0", "## 0.2.0 (2026-01-01)\n", "v0.2.0", "is not lpt-core-v0.2.0"),
    ],
)
def test_a_version_that_was_not_written_up_is_not_ready(check, small, version, changelog, tag, said) -> None:
    package = check.Package.named("lpt-core", small(version, changelog))
    with pytest.raises(check.ReleaseError, match=said):
        check.check_words(package, tag)


def test_one_that_was_is(check, small) -> None:
    check.check_words(check.Package.named("lpt-core", small("0.2.0", "## 0.2.0 (unreleased)\n")), None)
    dated = check.Package.named("lpt-core", small("0.2.0", "## 0.2.0 (2026-01-01)\n"))
    check.check_words(dated, "lpt-core-v0.2.0")
    with pytest.raises(check.ReleaseError, match="there are lpt-core"):
        check.Package.named("lpt-cor", dated.folder.parents[1])


def test_what_users_call_goes_only_with_a_new_series(check, small) -> None:
    named = check.Package.named
    root = small("0.1.0", "", "def read(text: str) -> str:\n    return text\n", tag="lpt-core-v0.1.0")
    assert "no release before" in check.check_interface(named("lpt-core", root))
    small("0.1.1", "", "def read(text: str, strict: bool = False) -> str:\n    return text\n")
    assert "nothing of the interface" in check.check_interface(named("lpt-core", root))
    small("0.1.1", "", "def parse(text: str) -> str:\n    return text\n")
    with pytest.raises(check.ReleaseError, match="read"):
        check.check_interface(named("lpt-core", root))
    small("0.2.0", "", "def parse(text: str) -> str:\n    return text\n")
    assert "the version says so" in check.check_interface(named("lpt-core", root))


def test_each_package_has_a_workflow_of_its_own_that_checks_before_it_publishes() -> None:
    for package in PACKAGES:
        text = (ROOT / ".github" / "workflows" / f"release-{package}.yml").read_text()
        flow = yaml.safe_load(text)
        assert flow[True] == {"push": {"tags": [f"{package}-v*"]}}  # YAML reads `on` as true
        assert flow["jobs"]["check"]["with"] == {"package": package}
        assert flow["jobs"]["publish"]["needs"] == "check"
        assert flow["jobs"]["publish"]["permissions"] == {"id-token": "write"}
        assert "secrets" not in text


@pytest.mark.slow
def test_the_check_of_a_real_package_ends_ready(command: Command, tmp_path: Path) -> None:
    done = command(
        [sys.executable, ROOT / ".ci" / "release_check.py", "lpt-core", "--no-tests", "--to", tmp_path]
    )
    assert done.stdout.endswith("is ready\n")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".gz", ".whl"]


# ---- versions that move apart ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cores(command: Command, uv: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The wheel of lpt-core as it is, under another version: ``cores("0.1.0")``."""
    folder = tmp_path_factory.mktemp("cores")
    copy = folder / "lpt-core"
    shutil.copytree(ROOT / "packages" / "lpt-core", copy, ignore=shutil.ignore_patterns("__pycache__"))

    def make(version: str) -> Path:
        settings = (ROOT / "packages" / "lpt-core" / "pyproject.toml").read_text()
        (copy / "pyproject.toml").write_text(
            re.sub(r'^version = ".*"$', f'version = "{version}"', settings, flags=re.MULTILINE)
        )
        command([uv, "build", "--wheel", "--out-dir", folder / version, copy])
        [wheel] = (folder / version).glob("*.whl")
        return wheel

    return make


@pytest.mark.slow
@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "lpt-core"])
def test_a_core_within_the_declared_range_is_taken_and_one_outside_is_refused_by_name(
    command: Command, uv: Path, cores: Callable[[str], Path], package: str, tmp_path: Path
) -> None:
    [needed] = re.findall(
        r'"(lpt-core(?:\[.+\])?>=([\d.]+),<([\d.]+))"',
        (ROOT / "packages" / package / "pyproject.toml").read_text(),
    )
    _, oldest, first_outside = needed
    source = tmp_path / package
    command([uv, "build", "--wheel", "--no-sources", "--package", package, "--out-dir", source])
    [wheel] = source.glob("*.whl")

    def resolve(core: Path, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        asked = tmp_path / "asked.in"
        asked.write_text(f"{package} @ {wheel.as_uri()}\nlpt-core @ {core.as_uri()}\n")
        return command([uv, "pip", "compile", "--quiet", asked], status=status)

    assert "lpt-core @" in resolve(cores(f"{oldest}.0")).stdout
    assert "lpt-core @" in resolve(cores(f"{oldest}.7")).stdout
    refused = resolve(cores(f"{first_outside}.0"), status=None)
    assert refused.returncode != 0
    assert "lpt-core" in refused.stderr
    assert f"<{first_outside}" in refused.stderr


@pytest.mark.slow
def test_the_oldest_core_that_is_declared_works_with_the_synthesis_of_today(
    command: Command, uv: Path, cores: Callable[[str], Path], tmp_path: Path
) -> None:
    """Until there are releases, the oldest core has today's code; from then on the tag's is to be taken."""
    command([uv, "build", "--wheel", "--no-sources", "--package", "lpt-synth", "--out-dir", tmp_path])
    [wheel] = tmp_path.glob("*.whl")
    python = tmp_path / "env" / "bin" / "python"
    command([uv, "venv", "--quiet", tmp_path / "env"])
    command([uv, "pip", "install", "--quiet", "--python", python, wheel, cores("0.1.0")])
    told = command([python.with_name("lpt-synth"), "--version"], cwd=tmp_path).stdout
    assert told.startswith("lpt-synth ")
    shown = command([python.with_name("lpt-synth"), "show-recipe", "default"], cwd=tmp_path).stdout
    assert "\nendpoints:" in shown
