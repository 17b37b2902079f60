"""What a fresh process loads, how long ``--help`` takes, and what is said where an extra is absent."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main

from lpt_synth.cli.app import app

Command = Callable[..., subprocess.CompletedProcess[str]]

HEAVY = {"torch", "transformers", "datasets", "pyarrow", "pandas", "numpy", "aiohttp", "PIL", "rich"}
VERBS = sorted(typer.main.get_command(app).commands)

LOADED = """
import atexit, sys
atexit.register(lambda: sys.stderr.write("loaded " + " ".join(sys.modules)))
"""


def loaded_by(command: Command, code: str) -> set[str]:
    """The packages that a fresh process has loaded when the code has run."""
    told = command([sys.executable, "-I", "-c", LOADED + code]).stderr
    return {name.partition(".")[0] for name in told.rpartition("loaded ")[2].split()}


def cli(*arguments: str) -> str:
    return f"sys.argv = {['lpt-synth', *arguments]!r}\nfrom lpt_synth.cli import main\nmain()"


def test_the_probe_sees_what_is_loaded(command: Command) -> None:
    assert "aiohttp" in loaded_by(command, "import aiohttp")


@pytest.mark.parametrize("package", ["lpt_core", "lpt_synth", "lpt_synth.config", "lpt_synth.sources"])
def test_importing_a_package_loads_nothing_heavy(command: Command, package: str) -> None:
    assert loaded_by(command, f"import {package}") & HEAVY == set()


def test_the_commands_that_scripts_rely_on_are_there() -> None:
    assert {"init", "run", "plan", "status", "export"} <= set(VERBS)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)])
def test_help_loads_nothing_heavy(command: Command, arguments: list[str]) -> None:
    assert loaded_by(command, cli(*arguments)) & HEAVY == set()


def test_help_takes_under_three_tenths_of_a_second(command: Command) -> None:
    """In CPU time of the process, as time on the wall tells how busy the machine is; the best of five."""
    script = Path(sys.executable).with_name("lpt-synth")
    spent: list[float] = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        told = command([script, "--help"])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "Usage: lpt-synth" in told.stdout
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.3, spent


# ---- an extra that is not installed ------------------------------------------------------------------

WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def config(source: dict[str, object]) -> str:
    ends = {
        role: {"base_url": "http://127.0.0.1:9/v1", "model": role}
        for role in ("asker", "thinker", "expander")
    }
    return json.dumps({"source": source, "endpoints": ends})


@pytest.mark.parametrize(
    ("extra", "absent", "source"),
    [
        ("parquet", {"pyarrow"}, {"kind": "table", "captions": "captions.parquet"}),
        ("hub", {"datasets", "pyarrow"}, {"kind": "hub", "captions": "owner/name"}),
    ],
)
def test_an_absent_extra_names_the_line_that_installs_it(
    command: Command, tmp_path: Path, extra: str, absent: set[str], source: dict[str, object]
) -> None:
    (tmp_path / "captions.parquet").write_bytes(b"PAR1")
    (tmp_path / "c.yaml").write_text(config(source))
    code = WITHOUT.format(absent=absent) + cli("run", "c.yaml", "--out", "out")
    done = command([sys.executable, "-I", "-c", code], cwd=tmp_path, status=None)
    told = done.stdout + done.stderr
    assert done.returncode in (1, 2), told
    assert f"pip install 'lpt-synth[{extra}]'" in told
    assert "Traceback" not in told


def test_init_with_a_parquet_file_names_the_extra_too(command: Command, tmp_path: Path) -> None:
    (tmp_path / "captions.parquet").write_bytes(b"PAR1")
    asked = ("init", "c.yaml", "--captions", "captions.parquet", "--base-url", "http://127.0.0.1:9/v1")
    code = WITHOUT.format(absent={"pyarrow"}) + cli(*asked)
    done = command([sys.executable, "-I", "-c", code], cwd=tmp_path, status=None)
    assert done.returncode in (1, 2)
    assert "pip install 'lpt-synth[parquet]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "c.yaml").exists()
