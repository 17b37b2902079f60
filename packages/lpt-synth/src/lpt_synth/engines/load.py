"""How busy a vLLM server says it is: what its ``/metrics`` tell, looked at now and then.

A saturated vLLM refuses nothing: what it cannot run it lets wait, and a client that knows only of 429s goes
on sending. vLLM tells how many sequences run and wait, and how full its KV cache is (the names below are
those of versions 0.4 to 0.32).
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

LOOK_S = 1.0
"""Seconds between two looks."""

LOOK_AGAIN_S = 30.0
"""Seconds until the next look at a server that told something before, and then did not."""

STARTING = 10
"""So many looks in vain, one after the other, are given a server that has not told anything yet."""

MOST_BYTES = 1 << 22
"""More than this is read of no page of metrics. vLLM's have about 50 kB."""

_LINE = re.compile(
    rb"^vllm:(num_requests_waiting|num_requests_running|kv_cache_usage_perc|gpu_cache_usage_perc)"
    rb"(\{[^\n]*\})?[ \t]+(\S{1,40})",
    re.MULTILINE,
)
_MOST = 1e7  # sequences that no server has


@dataclass(frozen=True, slots=True)
class Load:
    """What a server says of itself.

    Attributes:
        running: Sequences that it works on.
        waiting: Sequences that it has taken and does not work on yet.
        cache: How full its KV cache is, between 0 and 1; None where it does not say.
    """

    running: float
    waiting: float
    cache: float | None = None


def read_load(raw: bytes, model: str = "") -> Load | None:
    """The load in a page of metrics; None where there is none, or what cannot be true. Never raises.

    The engines of a data-parallel server are added up, the fullest cache counts. Where lines bear the name of
    ``model``, those of other models are passed over.

    Args:
        raw: Prometheus' text format.
        model: The model's name as it is asked for.
    """
    mine = f'model_name="{model}"'.encode("utf-8", "replace")
    lines = [match.groups() for match in _LINE.finditer(raw[:MOST_BYTES])]
    if model and any(mine in (labels or b"") for _, labels, _ in lines):
        lines = [line for line in lines if mine in (line[1] or b"")]
    found: defaultdict[bytes, list[float]] = defaultdict(list)
    for name, _, value in lines:
        number = _number(value)
        if number is None:
            return None
        found[name].append(number)
    running, waiting = found[b"num_requests_running"], found[b"num_requests_waiting"]
    if not running or not waiting:
        return None
    caches = found[b"kv_cache_usage_perc"] or found[b"gpu_cache_usage_perc"]
    cache = max(caches, default=None)
    return Load(sum(running), sum(waiting), cache if cache is not None and cache <= 1 else None)


def _number(value: bytes) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number <= _MOST else None


async def watch(
    look: Callable[[], Awaitable[bytes | None]],
    tell: Callable[[Load | None], None],
    busy: Callable[[], bool],
    model: str = "",
) -> None:
    """Look at a server's load for as long as it has one to tell; then return.

    Args:
        look: Gives the page: None where nobody is there, b"" where the server has none.
        tell: Is given each load, and None where there is none any more.
        busy: Whether there is anything to look for; where nothing is asked, nothing is looked at.
        model: See ``read_load``.
    """
    told, misses = False, 0
    while True:
        pause = LOOK_S
        if busy():
            raw = await look()
            load = None if raw is None else read_load(raw, model)
            if load is None and raw is not None and not told:
                return
            if load is not None or told:
                tell(load)
            misses = 0 if load is not None else misses + 1
            told |= load is not None
            # A server that never told anything may still be starting.
            pause = LOOK_S if misses < (1 if told else STARTING) else LOOK_AGAIN_S
        await asyncio.sleep(pause)
