"""Handing a command to ``accelerate launch`` with a preset."""

from __future__ import annotations

import os
import sys
from importlib import resources
from pathlib import Path

from lpt_core import ConfigError
from lpt_core.yaml_lines import parse_yaml, read_text


def preset_names() -> list[str]:
    """The presets that ship with lpt-train."""
    files = resources.files("lpt_train.presets").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def preset_path(name: str) -> Path:
    """The file of a preset, or of a person's own configuration of accelerate.

    Raises:
        ConfigError: There is no such preset, and no such file.
    """
    if name in preset_names():
        return Path(str(resources.files("lpt_train.presets") / f"{name}.yaml"))
    if Path(name).is_file():
        return Path(name)
    raise ConfigError(
        f"there is no preset {name!r}.", f"one of {', '.join(preset_names())}, or a file of accelerate's"
    )


def launch_line(name: str, arguments: list[str]) -> list[str]:
    """The command that runs ``lpt-train`` in as many processes as a preset says.

    Raises:
        ConfigError: There is no such preset, or nothing to run.
    """
    if not arguments or arguments[0] not in ("sft", "dpo", "grpo"):
        raise ConfigError(
            "launch needs a command that trains.", f"lpt-train launch {name} sft CONFIG.yaml --out RUN_DIR"
        )
    file = preset_path(name)
    settings, _ = parse_yaml(read_text(file), file)
    if settings.get("distributed_type") == "MULTI_CPU":
        # accelerate starts several processes on a CPU through MPI alone, and without it just one.
        run = [
            "torch.distributed.run",
            "--standalone",
            f"--nproc_per_node={settings.get('num_processes', 1)}",
        ]
    else:
        run = ["accelerate.commands.accelerate_cli", "launch", "--config_file", str(file)]
    return [sys.executable, "-m", *run, "-m", "lpt_train", *arguments]


def launch(name: str, arguments: list[str]) -> None:
    """Become the launcher; does not return.

    Raises:
        ConfigError: As ``launch_line``.
    """
    line = launch_line(name, arguments)
    os.execv(line[0], line)
