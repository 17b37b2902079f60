"""Writing a directory as one: built beside its place, moved there when it is whole.

A killed export leaves its half behind under a hidden name; the next one clears that away and begins anew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from lpt_core import ConfigError
from lpt_synth.export.images import FOLDER

MARKER = "lpt_export.json"
"""A file that every export has: its format, and that it is ours and may be replaced."""

OUR_NAMES = frozenset(
    {
        MARKER,
        FOLDER,
        "README.md",
        "dataset_info.json",
        "pairs.jsonl",
        "preference.json",
        "preference.jsonl",
        "prompts.jsonl",
        "sft.json",
        "sft.jsonl",
    }
)


@contextmanager
def target_directory(to: Path, fmt: str) -> Generator[Path]:
    """A directory to write into, which takes the place of ``to`` when the block ends well.

    Args:
        to: Where the export shall be: a new directory, an empty one, or an earlier export.
        fmt: Name of the format, for the marker.

    Raises:
        ConfigError: ``to`` is a file, or holds something that no export made.
        OSError: It cannot be written.
    """
    to = to.resolve()
    if not to.name:
        raise ConfigError(f"{to} is the root of a file system.", "give a directory to export into")
    partial, old = to.with_name(f".{to.name}.partial"), to.with_name(f".{to.name}.old")
    for directory in (to, partial, old):
        _check(directory)
    to.parent.mkdir(parents=True, exist_ok=True)
    _clear(partial)
    _clear(old)
    partial.mkdir()
    marker = {"made_by": "lpt-synth", "format": fmt, "schema_version": 1}
    (partial / MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")
    try:
        yield partial
    except BaseException:
        _clear(partial)
        raise
    if to.exists():
        to.rename(old)
    partial.rename(to)
    _clear(old)


def _check(directory: Path) -> None:
    """Refuse to replace anything that somebody else made or put there."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ConfigError(f"{directory} is a file.", "give a directory to export into")
    names = {entry.name for entry in directory.iterdir()}
    strange = names if names and not _marked(directory) else names - OUR_NAMES
    if strange:
        raise ConfigError(
            f"{directory} is not empty, and {min(strange)} in it was made by no export.",
            "give a new or an empty directory, or an earlier export, which is then replaced",
        )


def _marked(directory: Path) -> bool:
    try:
        marker: object = json.loads((directory / MARKER).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(marker, dict) and cast("dict[str, object]", marker).get("made_by") == "lpt-synth"


def _clear(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
