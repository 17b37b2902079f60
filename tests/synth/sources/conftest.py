from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from lpt_core import Problem
from lpt_synth.config import SourceConfig
from lpt_synth.sources import SourceRow, read_source

Read = Callable[..., tuple[list[SourceRow], list[Problem]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a source to its end: (rows, problems)."""

    def run(seed: int = 42, **config: Any) -> tuple[list[SourceRow], list[Problem]]:
        problems: list[Problem] = []
        return list(stream(seed, problems, **config)), problems

    def stream(seed: int, problems: list[Problem], **config: Any) -> Iterator[SourceRow]:
        source = TypeAdapter[SourceConfig](SourceConfig).validate_python(config)
        return read_source(source, seed=seed, cache=tmp_path / "cache", report=problems.append)

    return run


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, bytes | str], Path]:
    """Writes a file and tells its path."""

    def write(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
