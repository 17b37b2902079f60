"""A re-statement of the scorer that the authors of LongPerceptualThoughts released, faults included.

It is written anew from what theirs does (``vllm_eval.py``, the same in both of their releases) and exists
only to be compared with. Nothing that lpt-eval reports is scored by it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lpt_core import LETTERS

_TAGGED = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL)
_LABELLED = re.compile(r"(?:\(([A-J])\)|([A-J])[.)])\s+(.*?)(?=\s+(?:\([A-J]\)|[A-J][.)])\s+|$)", re.DOTALL)


def authors_read(text: str) -> str:
    """What is taken for the answer: the first tags anywhere, else what follows "Answer:", else everything."""
    tagged = _TAGGED.search(text)
    if tagged:
        return tagged.group(1).strip()
    parts = text.split("Answer:")
    return (parts[1] if len(parts) > 1 else text).strip()


def authors_hit(text: str, options: Sequence[str], gold: int) -> bool:
    """Whether the output counts as right.

    Args:
        text: The whole output.
        options: The options' texts in the order shown.
        gold: The place of the right one.
    """
    menu = "\n".join(f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))
    # Read back out of the prompt, where options that look like labels are split.
    known = {
        bracketed or marked: option.strip().lower() for bracketed, marked, option in _LABELLED.findall(menu)
    }
    said, letter = authors_read(text), LETTERS[gold]
    right = known.get(letter, "XXX")
    if said.lower() in known.values():  # the text of any option, also of a wrong one
        return True
    labels = (f"({letter})", f"{letter}.")
    # The answer is lower-cased and the label beside it is not: never true for a letter A to J.
    spelled = tuple(f"{label} {right}" for label in labels)
    return said in (letter, *labels) or said.lower() in spelled or said.split(" ")[0] in labels
