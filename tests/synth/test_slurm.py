"""The job script for Slurm, run as Slurm would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpt_core import ConfigError
from lpt_synth.config import RunConfig
from lpt_synth.merge import merge
from lpt_synth.rundir import RunDir
from lpt_synth.settings import dump_config
from lpt_synth.slurm import job_script


def submitted(script: Path, task: int, tasks: int, tools: Path) -> subprocess.CompletedProcess[str]:
    """One task of the array, with the variables that Slurm sets."""
    env = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(tools), "LC_ALL": "C.UTF-8"}
    env |= {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(tasks), "SLURM_JOB_ID": "7"}
    return subprocess.run(["bash", str(script)], env=env, capture_output=True, text=True, timeout=60)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with the command, as an environment that was activated has it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "lpt-synth").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lpt_synth "$@"\n')
    (folder / "lpt-synth").chmod(0o755)
    return folder


@pytest.mark.slow
def test_the_array_runs_every_shard_and_single_tasks_go_on_as_the_same_shards(
    a_config: Callable[..., RunConfig], play: Any, tmp_path: Path, tools: Path
) -> None:
    folder = tmp_path / "it's a run"
    folder.mkdir()
    config, script = folder / "c.yaml", folder / "job.sbatch"
    config.write_text(dump_config(a_config(think={"n": 1}, expand={"n": 1})))
    script.write_text(job_script(config, folder / "out", 2))
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "#SBATCH --array=1-2\n" in script.read_text()
    assert "@" not in script.read_text().replace("TERM@300", "")
    first = submitted(script, 1, 2, tools)
    assert first.returncode == 0, first.stderr
    again = submitted(script, 2, 1, tools)  # sbatch --array=2 counts one task
    assert again.returncode == 0, again.stderr
    assert sorted(path.name for path in folder.glob("out.*")) == ["out.shard-1-of-2", "out.shard-2-of-2"]
    assert "lpt-synth merge" in first.stdout
    assert merge(folder / "out").done
    assert RunDir(folder / "out").config().source.shard is None


def test_a_task_that_the_split_does_not_have_and_a_missing_command_are_misuse(
    tmp_path: Path, tools: Path
) -> None:
    (tmp_path / "c.yaml").write_text("recipe: paper\n")
    script = tmp_path / "job.sbatch"
    script.write_text(job_script(tmp_path / "c.yaml", tmp_path / "out", 2))
    (tools / "lpt-synth").unlink()
    without = submitted(script, 1, 2, tools)
    assert without.returncode == 2
    assert "activate its environment" in without.stderr


def test_a_script_needs_a_configuration_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        job_script(tmp_path / "none.yaml", tmp_path / "out", 2)
    (tmp_path / "a\nb.yaml").touch()
    with pytest.raises(ConfigError, match="cannot stand in a line"):
        job_script(tmp_path / "a\nb.yaml", tmp_path / "out", 2)
    assert os.sep in job_script(_touched(tmp_path / "c.yaml"), tmp_path / "out", 2)


def _touched(path: Path) -> Path:
    path.touch()
    return path
