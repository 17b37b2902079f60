"""What every client asks, and what every one is answered. Standard library only."""

from __future__ import annotations

import re

MARK = re.compile(rb"benchmark prompt (\d+)")
"""Finds the number of a prompt in a request's body, for the server."""

SYSTEM = (
    "You are a helpful assistant that looks closely at an image. Think first, inside <think> and </think>; "
    "then give the letter of the right option inside <answer> and </answer>."
)

_QUESTION = (
    "This is benchmark prompt {number}. A wooden table stands before a window; on it are a blue mug with a "
    "chipped handle, two green apples and a folded newspaper whose headline is partly hidden. Morning light "
    "falls from the left and throws the shadow of the mug across the paper. What lies directly to the right "
    "of the object with the chipped handle?\n"
    "(A) Two green apples\n(B) A folded newspaper\n(C) A window\n(D) A wooden spoon"
)

ANSWER = (
    "<think>The object with the chipped handle is the blue mug. The light comes from the left, and the "
    "shadow of the mug falls across the newspaper, so the newspaper must be on the side away from the "
    "light, which is the right. The apples are on the table as well, but nothing places them next to the "
    "handle; let me check the order once more. From left to right there are the apples, the mug, and the "
    "folded newspaper with the hidden headline. The window stands behind the table, not beside the mug, "
    "and a wooden spoon is not mentioned anywhere. So what lies directly to the right of the mug is the "
    "folded newspaper.</think>\n<answer>(B)</answer>"
)


def question(number: int) -> str:
    """The text of a prompt."""
    return _QUESTION.format(number=number)


def messages(number: int) -> list[dict[str, str]]:
    """A prompt as chat messages."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question(number)}]


SAMPLING = {"temperature": 0.7, "top_p": 0.8, "max_tokens": 1024}
