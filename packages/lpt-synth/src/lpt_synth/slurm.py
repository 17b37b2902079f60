"""A job script for Slurm: an array with a task for each shard."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path

from lpt_core import ConfigError

_TEMPLATE = "slurm_array.sh"


def job_script(config: Path, out: Path, shards: int) -> str:
    """The script, with absolute paths, to be submitted with ``sbatch``.

    Args:
        config: The configuration; read by every task when it begins.
        out: The directory that the shards will be merged into.
        shards: How many there are, which is how many tasks the array has.

    Raises:
        ConfigError: There is no such configuration, or a path cannot stand in a line of a script.
    """
    if not config.is_file():
        raise ConfigError(f"there is no file {config}.", "`lpt-synth init` writes a configuration")
    text = resources.files("lpt_synth").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    paths = {"CONFIG": config.resolve(), "OUT": out.resolve()}
    for name, path in paths.items():
        if not str(path).isprintable():
            raise ConfigError(f"{str(path)!r} cannot stand in a line of a script.", "choose another name")
        text = text.replace(f"@{name}@", shlex.quote(str(path)))
    return text.replace("@SHARDS@", str(shards))
