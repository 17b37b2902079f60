"""Which GPUs are meant, and what of their memory is in use: to see that a model has left nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence

from lpt_core import ConfigError

_SLACK_MIB = 512  # what others do on a device meanwhile
_WAIT_S = 30.0


def names(places: Sequence[int]) -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls these devices: the numbers count those that it shows to us.

    Raises:
        ConfigError: It shows fewer.
    """
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return [str(place) for place in places]
    there = [name.strip() for name in shown.split(",") if name.strip()]
    if max(places, default=0) >= len(there):
        raise ConfigError(
            f"device {max(places)} is wanted, and CUDA_VISIBLE_DEVICES shows {len(there)}: {shown!r}.",
            "name others in devices, or lower tensor_parallel_size or data_parallel_size",
        )
    return [there[place] for place in places]


def used_mib(devices: Sequence[str]) -> dict[str, int]:
    """MiB in use on GPUs, by number or UUID; empty where NVIDIA's driver knows none of them."""
    if shutil.which("nvidia-smi") is None:
        return {}
    command = ["nvidia-smi", "--query-gpu=index,uuid,memory.used", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, int] = {}
    for line in said.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3 and fields[2].isdigit():
            found[fields[0]] = found[fields[1]] = int(fields[2])
    return {device: found[device] for device in devices if device in found}


def wait_until_free(before: dict[str, int]) -> str | None:
    """Wait until GPUs are as empty as they were; says what is left where they do not become so.

    Args:
        before: What was in use before the model was loaded.
    """
    deadline = time.monotonic() + _WAIT_S
    while True:
        now = used_mib(tuple(before))
        kept = {name: now[name] - before[name] for name in now if now[name] > before[name] + _SLACK_MIB}
        if not kept:
            return None
        if time.monotonic() > deadline:
            return ", ".join(f"GPU {name} holds {mib} MiB more than before" for name, mib in kept.items())
        time.sleep(0.5)
