"""Runs whose answers are given word for word."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from lpt_core import READER_VERSION
from lpt_eval.folder import RunFolder
from lpt_eval.protocol import Protocol
from lpt_eval.records import BenchmarkRun, Item, ModelIdentity, Response, RunInfo
from lpt_eval.scoring import score

Say = Callable[..., Path]


@pytest.fixture(scope="session")
def say(protocol: Protocol) -> Say:
    """A run's folder: by benchmark its items, and for each the texts of its samples, by order of options."""

    def make(
        path: Path,
        said: Mapping[str, Sequence[tuple[Item, Sequence[str]]]],
        *,
        shuffles: int = 1,
        tokens: bool = True,
    ) -> Path:
        folder, asked = RunFolder(path), {}
        for benchmark, answers in said.items():
            n = max(len(texts) for _, texts in answers) // shuffles
            used = protocol.model_copy(update={"n": n})
            asked[benchmark] = BenchmarkRun(protocol=used, items=len(answers))
            folder.write_items(benchmark, [item for item, _ in answers])
            rows = [
                score(
                    item,
                    Response(
                        item_id=item.id,
                        sample=number % n,
                        shuffle=number // n,
                        text=text,
                        finish_reason="stop",
                        completion_tokens=len(text.split()) if tokens else None,
                    ),
                    used,
                )
                for item, texts in answers
                for number, text in enumerate(texts)
            ]
            folder.write_rows(benchmark, rows)
        identity = ModelIdentity(kind="server", name="model")
        info = RunInfo(
            model=identity, benchmarks=asked, shuffles=shuffles, reader=READER_VERSION, versions={}
        )
        folder.write_info(info)
        return path

    return make


def thought(letter: str, words: int = 4, end: str = "") -> str:
    return f"<think>{' '.join(['hm'] * words)}.{end}</think> <answer>({letter})</answer>"


@pytest.fixture(scope="session")
def thinks() -> Callable[..., str]:
    """A response: letter answered, words of thought, and how the thought ends."""
    return thought
