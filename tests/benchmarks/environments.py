"""An environment of its own for each peer, with every version pinned, in ``.bench/`` of the repository.

    python tests/benchmarks/environments.py            # makes what is missing
    python tests/benchmarks/environments.py curator    # only this one

``requirements/NAME.txt`` is what ``uv pip install bespokelabs-curator==0.1.31`` and
``uv pip install 'distilabel[openai]==1.5.3' requests`` resolved to on 22 November 2026. distilabel 1.5.3
imports ``requests`` without depending on it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1] / ".bench"
NAMES = ("curator", "distilabel")


def interpreter(name: str) -> Path | None:
    """The Python of a peer's environment, or None where it is not made or is out of date."""
    python = ROOT / name / "bin" / "python"
    mark = ROOT / name / "made-from"
    made = python.exists() and mark.is_file() and mark.read_text() == _digest(name)
    return python if made else None


def _digest(name: str) -> str:
    pinned = (HERE / "requirements" / f"{name}.txt").read_bytes()
    return hashlib.sha256(pinned + sys.version.encode()).hexdigest()


def make(name: str) -> Path:
    """Make a peer's environment unless it is there, with the Python that runs this.

    Raises:
        SystemExit: uv is not there, or it could not install what is pinned.
    """
    if python := interpreter(name):
        return python
    if shutil.which("uv") is None:
        sys.exit("uv is not there: the peers' environments are made with it")
    folder = ROOT / name
    if folder.exists():
        shutil.rmtree(folder)
    # Compiled ahead, so that no peer pays for compiling its modules during its work.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    python = folder / "bin" / "python"
    pinned = HERE / "requirements" / f"{name}.txt"
    pip = ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--no-deps"]
    for command in (
        ["uv", "venv", "--quiet", "--python", sys.executable, str(folder)],
        [*pip, "--python", str(python), "--requirement", str(pinned)],
    ):
        done = subprocess.run(command, env=environment)
        if done.returncode:
            sys.exit(f"the environment of {name} could not be made: `{' '.join(command)}` failed")
    (folder / "made-from").write_text(_digest(name))
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{' or '.join(NAMES)}; default: all")
    names = parser.parse_args().names or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    for name in names:
        print(f"{name}: {make(name)}")


if __name__ == "__main__":
    main()
