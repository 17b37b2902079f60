"""Messages and sampling."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from lpt_core import ImagePart, ImageRef, Message, Sampling, TextPart

IMAGE = ImageRef(path="x.jpg", sha256="0" * 64, width=1, height=1)


def test_a_message_puts_its_image_before_its_text() -> None:
    assert Message.of("user", "What is it?", IMAGE).content == (
        ImagePart(image=IMAGE),
        TextPart(text="What is it?"),
    )
    assert Message.of("system", "Think.").content == (TextPart(text="Think."),)


def test_the_text_of_a_message_joins_its_texts_and_leaves_images_out() -> None:
    message = Message(role="user", content=(TextPart(text="a"), ImagePart(image=IMAGE), TextPart(text="b")))
    assert message.text == "ab"


def test_an_unknown_part_is_refused_by_its_type() -> None:
    text = '{"role":"user","content":[{"type":"audio","text":"x"}]}'
    with pytest.raises(ValidationError, match="does not match any of the expected tags: 'text', 'image'"):
        Message.model_validate_json(text)


def test_sampling_leaves_to_the_endpoint_what_is_not_given() -> None:
    assert Sampling().model_dump(exclude_defaults=True) == {}
    assert Sampling(temperature=0) == Sampling(temperature=0.0)


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": -0.1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_k": -2},
        {"repetition_penalty": 0.0},
        {"max_tokens": 0},
        {"temperature": "0.7"},
        {"temprature": 0.7},
    ],
)
def test_sampling_that_no_endpoint_could_follow_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changed))):
        Sampling(**changed)
