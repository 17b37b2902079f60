"""The environments in which CI runs each package's own tests: they have that package alone.

The tests themselves are run there by ``.ci/isolated`` (``just isolated``); here is shown what that proves.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow

INSTALLED = """
import importlib.metadata, json
print(json.dumps([one.name.lower() for one in importlib.metadata.distributions()]))
"""


@pytest.fixture(scope="module")
def isolated(command: Command, root: Path) -> Command:
    def run(package: str, *arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
        return command(["bash", root / ".ci" / "isolated", package, *arguments], **options)

    return run


@pytest.mark.parametrize(
    ("package", "has", "has_not"),
    [
        (
            "lpt-core",
            {"lpt-core", "pillow", "pyyaml", "pytest", "hypothesis"},
            {"lpt-synth", "aiohttp", "numpy", "ruff"},
        ),
        (
            "lpt-synth",
            {"lpt-core", "lpt-synth", "pytest", "pyarrow", "datasets"},
            {"pyright", "ruff", "grimp"},
        ),
    ],
)
def test_an_environment_has_one_package_and_what_it_declares(
    isolated: Command, package: str, has: set[str], has_not: set[str]
) -> None:
    there = set(json.loads(isolated(package, "python", "-c", INSTALLED).stdout))
    assert has <= there
    assert there & has_not == set()


def test_an_import_that_is_not_declared_fails_there(isolated: Command, tmp_path: Path) -> None:
    test = tmp_path / "test_undeclared.py"
    test.write_text(
        "import pytest\n"
        "def test_declared():\n    import lpt_core, jinja2, pydantic\n"
        "@pytest.mark.parametrize('name', ['lpt_synth', 'numpy', 'aiohttp'])\n"
        "def test_undeclared(name):\n    __import__(name)\n"
    )
    told = isolated("lpt-core", "pytest", "-q", "-p", "no:cacheprovider", test, status=1).stdout
    assert "3 failed, 1 passed" in told
    assert "No module named 'lpt_synth'" in told
