"""Reading a list of options out of text: "(A) Red (B) Blue", "A. Red", a line each.

Option texts hold full stops, capital letters and parentheses of their own ("Vitamin D.", "U.S.A. flag",
"both (A) and (B)"), so a label is one only where it continues the alphabet. Labels are sought from the
last to the first: a text refers back to options more often than forward.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lpt_core.problems import Problem
from lpt_core.schema import MAX_OPTIONS, normal_text

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MAX_TEXT = 20_000
# From the most to the least telling; the first style that reads the whole list is taken.
_STYLES = (
    r"(?<![\w(])[(\[]\s*{}\s*[)\]]\s*[.:]?",  # (A)  [A]  (A).  (A):
    r"(?:(?<=\s)|^)(?:[-*][ \t]+)?\**{}\s*[.):]\**(?=\s|$)",  # A.  A)  A:  **A.**
    r"(?:(?<=\s)|^){}\s*[.):]",  # A.Red
    r"(?:(?<=\n)|^)[ \t]*[-*][ \t]*{}\b[.):]?",  # - A Red
)


@dataclass(frozen=True, slots=True)
class ParsedOptions:
    """The options that were read, in their written order; empty where there are problems."""

    options: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def parse_options(text: str) -> ParsedOptions:
    """Read a labelled list of two to ten options. Never raises.

    Returns:
        The options' texts, or why there are none: ``options_unreadable``, ``option_empty``,
        ``options_too_few``, ``options_too_many``, ``options_duplicate``.
    """
    text = text[:_MAX_TEXT].strip()
    best: list[str] | None = None
    for style in _STYLES:
        for flags in (0, re.IGNORECASE):
            read = _read(text, style, flags)
            if read is None:
                continue
            if all(read):
                return _checked(read)
            best = best or read
    if best is not None:
        empty = ", ".join(_ALPHABET[i] for i, option in enumerate(best) if not option)
        return _failed("option_empty", f"option {empty} has no text")
    return _failed("options_unreadable", "no list of options labelled A, B, … stands here")


def _read(text: str, style: str, flags: int) -> list[str] | None:
    """The texts between labels of one style, or None where they are not A, B, … from the start."""
    places = [
        [match.span() for match in re.finditer(style.format(letter), text, flags)] for letter in _ALPHABET
    ]
    count = next((i for i, found in enumerate(places) if not found), len(places))
    while count >= 2:
        chain = _chain(text, places[:count])
        if chain is not None:
            ends = [start for start, _ in chain[1:]] + [len(text)]
            return [_clean(text[stop:end]) for (_, stop), end in zip(chain, ends, strict=True)]
        count -= 1  # the last letter was part of a text ("Vitamin E.")
    return None


def _chain(text: str, places: Sequence[list[tuple[int, int]]]) -> list[tuple[int, int]] | None:
    """One place per label, in alphabetical order, chosen from the last label back; A must come first."""
    chain: list[tuple[int, int]] = []
    limit = len(text)
    for found in reversed(places):
        before = [span for span in found if span[1] <= limit]
        if not before:
            return None
        # A label with nothing behind it is the end of a text ("Vitamin D."), if there is an earlier one.
        telling = [span for span in before if text[span[1] : limit].strip(" \n,;")] or before
        chain.append(telling[-1])
        limit = telling[-1][0]
    chain.reverse()
    return chain if len(text[: chain[0][0]].split()) <= 3 else None


def _clean(option: str) -> str:
    return re.sub(r"\s+", " ", option).strip(" ,;*").strip()


def _checked(options: list[str]) -> ParsedOptions:
    if len(options) > MAX_OPTIONS:
        return _failed("options_too_many", f"{len(options)} options; at most {MAX_OPTIONS} are supported")
    if len({normal_text(option) for option in options}) < len(options):
        return _failed("options_duplicate", "two options have the same text")
    return ParsedOptions(options=tuple(options))


def _failed(kind: str, message: str) -> ParsedOptions:
    return ParsedOptions(problems=(Problem(kind=kind, message=message),))
