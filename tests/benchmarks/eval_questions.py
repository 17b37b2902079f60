"""The questions that both evaluations ask: one picture each, small, so that encoding it hides nothing."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw
from workload import question

from lpt_core import MCQ, Caption, ImageRef

SIDE = 84
OPTIONS = ("Two green apples", "A folded newspaper", "A window", "A wooden spoon")
GOLD = 1
"""As the server answers."""

SYSTEM = "Think first. Then give the letter of the right option inside <answer> and </answer>."
TOKENS = 1024


def text(number: int) -> str:
    """The question without its options; the number by which the server knows it stands within."""
    return question(number).partition("\n(A)")[0]


def picture(number: int) -> bytes:
    """A PNG that no other question has."""
    image = Image.new("RGB", (SIDE, SIDE), (number % 251, number // 251 % 251, 90))
    ImageDraw.Draw(image).ellipse((10, 10, 40 + number % 40, 70), fill=(200, 80, number % 200))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write(folder: Path, n: int) -> None:
    """The questions as lpt-eval's ``mcq_file`` reads them."""
    (folder / "images").mkdir(parents=True)
    with (folder / "captions.jsonl").open("w") as captions, (folder / "mcqs.jsonl").open("w") as mcqs:
        for caption, mcq, data in _records(n):
            (folder / caption.image.path).write_bytes(data)
            captions.write(caption.model_dump_json() + "\n")
            mcqs.write(mcq.model_dump_json() + "\n")


def _records(n: int) -> Iterator[tuple[Caption, MCQ, bytes]]:
    for number in range(n):
        data = picture(number)
        image = ImageRef(
            path=f"images/{number}.png", sha256=hashlib.sha256(data).hexdigest(), width=SIDE, height=SIDE
        )
        caption = Caption.make(
            text=f"Caption {number}.", image=image, source="benchmark", source_id=str(number), split="test"
        )
        yield (
            caption,
            MCQ.make(caption_id=caption.id, question=text(number), options=OPTIONS, gold=GOLD),
            data,
        )
