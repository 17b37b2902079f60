"""Benchmarks: rows in a benchmark's own schema become items, and rows that cannot are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lpt_core import ConfigError
from lpt_eval.benchmarks import mcq_file
from lpt_eval.benchmarks.data import Benchmark
from lpt_eval.benchmarks.published import PUBLISHED


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of benchmark.

    Attributes:
        summary: What it is, in a line.
        load: Gives its items from where they lie.
        protocol: Under which protocol it is asked unless told otherwise.
    """

    summary: str
    load: Callable[[str | None], Benchmark]
    protocol: str = "paper"


def _mcq_file(where: str | None) -> Benchmark:
    if where is None:
        raise ConfigError("mcq_file needs to know where: mcq_file=DIR.")
    return mcq_file.load(Path(where))


KINDS = {
    mcq_file.NAME: Kind(
        "=DIR: questions of your own (mcqs.jsonl, captions.jsonl, images)", _mcq_file, protocol="lpt"
    ),
    **{one.name: Kind(f"{one.source}, or =DIR with its rows", one.load) for one in PUBLISHED},
}
"""What can be asked, by name."""


def load(task: str) -> Benchmark:
    """A benchmark's items.

    Args:
        task: ``NAME`` or ``NAME=WHERE``.

    Raises:
        ConfigError: There is no such benchmark, or nothing where it should lie.
        DataError: Rows cannot be used; they are named.
    """
    name, _, where = task.partition("=")
    return kind_of(name).load(where or None)


def kind_of(name: str) -> Kind:
    """The kind of benchmark with a name.

    Raises:
        ConfigError: There is none.
    """
    if name not in KINDS:
        raise ConfigError(f"there is no task {name!r}.", f"one of: {', '.join(KINDS)}")
    return KINDS[name]
