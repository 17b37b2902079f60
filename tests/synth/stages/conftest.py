from __future__ import annotations

import pytest

from lpt_core import MCQ, Caption, ImageRef

IMAGE = ImageRef(path="a.jpg", sha256="0" * 64, width=640, height=480)


@pytest.fixture
def caption() -> Caption:
    return Caption.make(
        text="A red car left of a blue van.", image=IMAGE, source="docci", source_id="train_1"
    )


@pytest.fixture
def mcq(caption: Caption) -> MCQ:
    return MCQ.make(
        caption_id=caption.id,
        question="What colour is the car?",
        options=("red", "blue", "green", "The U.S.A. flag"),
        gold=0,
        kind="Recognition",
    )
