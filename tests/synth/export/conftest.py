from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lpt_core import ImageRef
from lpt_synth.config import SelectConfig, SFTMix
from lpt_synth.export import CardFacts, ModelFacts, PromptFacts
from lpt_synth.select import select
from lpt_synth.select.examples import prompt_example


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[..., ImageRef]:
    """Writes an image file of one colour and refers to it."""

    def make(name: str, shade: int = 0, folder: str = "photos") -> ImageRef:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8 + shade, 6), (shade, 0, 0)).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return ImageRef(path=str(path), sha256=digest, width=8 + shade, height=6)

    return make


@pytest.fixture
def make_sets(tmp_path: Path, make_trees: Any) -> Callable[..., Path]:
    """Writes the sets of a small run about these images, as the runner does."""

    def make(images: Iterable[ImageRef], name: str = "sets", **size: int) -> Path:
        trees = [
            tree
            for number, image in enumerate(images)
            for tree in make_trees(seed=number, captions=1, image=image, **size)
        ]
        config = SelectConfig(sft=SFTMix(keep_right=1, turned_per_right=None))
        selection = select(lambda: iter(trees), config, 42)
        folder = tmp_path / name
        folder.mkdir()
        prompts = [prompt_example(node, tree.caption.image) for tree in trees for node in tree.mcqs]
        files = {"sft": selection.sft(), "pairs": selection.pairs(), "prompts": prompts}
        for file, records in files.items():
            lines = (record.model_dump_json() + "\n" for record in records)
            (folder / f"{file}.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")
        return folder

    return make


@pytest.fixture
def sets(make_sets: Any, make_image: Any) -> Path:
    """The sets of a run about three images, one of them a JPEG."""
    return make_sets([make_image("a.png", 1), make_image("b.png", 2), make_image("c.jpg", 3)])


@pytest.fixture(scope="session")
def facts() -> CardFacts:
    return CardFacts(
        source="DOCCI",
        source_licence="CC BY 4.0",
        recipe="paper",
        models=(
            ModelFacts("asker", "gpt-4o-mini", "2024-07-18", "OpenAI terms"),
            ModelFacts("thinker", "Qwen/Qwen2.5-VL-7B-Instruct", "abc123", "Apache-2.0"),
        ),
        prompts=(PromptFacts("ask", "ask.v1 (3f2a90)", "3f2a90" + "0" * 26),),
        config={"seed": 42, "expand": {"cues": ["Wait,", "Hmm,"]}},
        funnel=(("ask", "mcq.kept", 24), ("think", "short.correct", 158)),
        yields=(("short thoughts that are right", 158, 240),),
    )


@pytest.fixture
def rewrite() -> Callable[..., None]:
    """Changes the records of a set in place."""

    def change(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            edit(row)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    return change
