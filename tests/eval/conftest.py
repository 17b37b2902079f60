"""Shared by the tests of lpt-eval: questions, protocols, and whole runs with given results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

from lpt_core import MCQ, READER_VERSION, Presentation, Sampling
from lpt_eval.folder import RunFolder
from lpt_eval.protocol import Protocol
from lpt_eval.records import BenchmarkRun, Item, ModelIdentity, Response, RunInfo
from lpt_eval.scoring import score

# The machine may be busy with other things: how long an example takes says nothing.
settings.register_profile("lpt-eval", deadline=None, max_examples=60)
settings.load_profile("lpt-eval")

COLOURS = ("Red", "Blue", "Green", "Yellow")

MakeItem = Callable[..., Item]
MakeRun = Callable[..., Path]


@pytest.fixture(scope="session")
def make_item() -> MakeItem:
    """An item; its gold is option 1 ("Blue") unless said otherwise."""

    def make(
        name: str = "1",
        *,
        benchmark: str = "toy",
        options: Sequence[str] = COLOURS,
        gold: int = 1,
        order: Sequence[int] | None = None,
        category: str | None = None,
        subcategory: str | None = None,
        cluster: str | None = None,
    ) -> Item:
        mcq = MCQ.make(
            caption_id="", question=f"Which colour has door {name}?", options=tuple(options), gold=gold
        )
        shown = Presentation(
            mcq_id=mcq.id,
            order=tuple(range(len(options))) if order is None else tuple(order),
            option_style="parens",
            answer_style="letter_parens",
        )
        return Item.make(
            benchmark=benchmark,
            source_id=name,
            mcq=mcq,
            presentation=shown,
            category=category,
            subcategory=subcategory,
            cluster=cluster,
        )

    return make


@pytest.fixture(scope="session")
def protocol() -> Protocol:
    return Protocol(
        name="paper",
        form="think",
        system="Think.",
        template="{{ question }}",
        sampling=Sampling(temperature=0.0, max_tokens=1024),
    )


@pytest.fixture(scope="session")
def make_run(protocol: Protocol) -> MakeRun:
    """A run's folder whose items were answered as given: "+" right, "-" wrong, "x", "t", "f" as they sound.

    What is given stands by benchmark: items, and a string for each item with a character for each sample;
    a space is a sample that is missing.
    """
    texts = {
        "+": "<think>Hm.</think> <answer>(B)</answer>",
        "-": "<think>Hm.</think> <answer>(A)</answer>",
        "x": "<think>Hm.</think> <answer>Purple</answer>",
        "t": "<think>Hm, let me see",
        "f": "",
    }

    def answer(item: Item, sample: int, sign: str, asked: Protocol) -> Response:
        return Response(
            item_id=item.id,
            sample=sample,
            text=texts[sign],
            finish_reason={"t": "length", "f": "error"}.get(sign, "stop"),
            error="503 Service Unavailable" if sign == "f" else None,
            completion_tokens=len(texts[sign].split()),
        )

    def make(
        path: Path,
        results: Mapping[str, tuple[Sequence[Item], Sequence[str]]],
        *,
        model: str = "model",
        reader: int = READER_VERSION,
        **changes: object,
    ) -> Path:
        folder, asked = RunFolder(path), {}
        for benchmark, (items, signs) in results.items():
            n = max((len(of_item) for of_item in signs), default=1)
            used = protocol.model_copy(update={"n": n, **changes})
            asked[benchmark] = BenchmarkRun(protocol=used, items=len(items))
            folder.write_items(benchmark, items)
            rows = [
                score(item, answer(item, sample, sign, used), used)
                for item, of_item in zip(items, signs, strict=True)
                for sample, sign in enumerate(of_item)
                if sign != " "
            ]
            folder.write_rows(benchmark, rows)
        identity = ModelIdentity(kind="server", name=model)
        folder.write_info(RunInfo(model=identity, benchmarks=asked, reader=reader, versions={}))
        return path

    return make
