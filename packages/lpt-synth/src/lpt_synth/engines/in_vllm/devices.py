"""How much of the GPUs' memory is in use, to see that a model has left nothing behind."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence

_SLACK_MIB = 512  # what others do on a device meanwhile
_WAIT_S = 30.0


def used_mib(places: Sequence[int]) -> dict[int, int]:
    """MiB in use on each of these GPUs; empty where there are none, or none that NVIDIA's driver knows."""
    if shutil.which("nvidia-smi") is None:
        return {}
    command = ["nvidia-smi", "--query-gpu=index,memory.used", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[int, int] = {}
    for line in said.splitlines():
        index, _, used = line.partition(",")
        if index.strip().isdigit() and used.strip().isdigit():
            found[int(index)] = int(used)
    return {place: found[place] for place in places if place in found}


def wait_until_free(before: dict[int, int]) -> str | None:
    """Wait until GPUs are as empty as they were; says what is left where they do not become so.

    Args:
        before: What was in use before the model was loaded.
    """
    deadline = time.monotonic() + _WAIT_S
    while True:
        now = used_mib(tuple(before))
        kept = {p: now[p] - before[p] for p in now if now[p] > before[p] + _SLACK_MIB}
        if not kept:
            return None
        if time.monotonic() > deadline:
            return ", ".join(f"GPU {place} holds {mib} MiB more than before" for place, mib in kept.items())
        time.sleep(0.5)
