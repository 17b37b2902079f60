"""Reading a list of options out of text: "(A) Red (B) Blue", "A. Red", a line each.

Option texts hold full stops, capital letters and brackets of their own ("Vitamin D.", "U.S.A. flag", "both
(A) and (B)"), so a label is one only where it continues the alphabet. Labels that begin their lines decide
first; where labels stand within lines, they are sought forwards and backwards, and a list that reads
differently from its two ends is not read at all: a wrong option is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpt_core.problems import Problem
from lpt_core.schema import MAX_OPTIONS, normal_text

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MAX_TEXT = 20_000
_MAX_LEAD = 5
"""Words that may stand before the first label: "Here are the choices:"."""

_LETTER = r"(?P<letter>{})"
_BULLET = r"(?:(?<=\n)|^)[ \t]*(?:[-*•]|\d+[.)])[ \t]+"
_START = rf"(?:{_BULLET}|(?<=\s)|^)\**(?:[Oo]ption[ \t]+)?"
# From the most to the least telling; {} is the letter.
_STYLES = (
    rf"(?:{_START}|(?<![\w(*]))[(\[]\s?{_LETTER}\s?[)\]]\**(?:[ \t]*[.:]\**)?",  # (A)  [A]  (A).  **(A):**
    rf"{_START}{_LETTER}[ \t]*[.):]\**(?=\s|$)",  # A.  A)  A:  **A.**  Option A:
    rf"(?:(?<=[\s,;])|^){_LETTER}[.):]",  # A.Red
    rf"(?:(?<=\n)|^)[ \t]*[-*•][ \t]*{_LETTER}\b[.):]?",  # - A Red
    rf"(?:(?<=\n)|^)[ \t]*{_LETTER}[ \t]+[-–—][ \t]",  # A - Red
)
# Full-width forms, each of one character, so that places in the text stay the same.
_NARROW = str.maketrans("（）［］【】．：", "()[][].:")
_BLANK = re.compile(r"[\s,;]*")
_LINE = re.compile(r"^[ \t]*", re.MULTILINE)
_JOINING = re.compile(r"[,;] ?(?:and|or)$| [|/]$")


@dataclass(frozen=True, slots=True)
class ParsedOptions:
    """The options that were read, in their written order; empty where there are problems."""

    options: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def parse_options(text: str) -> ParsedOptions:
    """Read a labelled list of two to ten options. Never raises.

    Returns:
        The options' texts, or why there are none: ``options_unreadable``, or what ``check_options`` finds.
    """
    text = text.strip()
    if len(text) > _MAX_TEXT:
        return _failed("options_unreadable", f"{len(text)} characters are no list of options")
    readings = list(_readings(text))
    if not readings:
        return _failed("options_unreadable", "no list of options labelled A, B, … stands here")
    return check_options(next((read for read in readings if all(read)), readings[0]))


def check_options(options: Sequence[str]) -> ParsedOptions:
    """Check a list of options that was read by other means.

    Returns:
        The options, or what is wrong with them: ``options_too_few``, ``options_too_many``,
        ``option_empty``, ``options_duplicate``.
    """
    texts = [normal_text(option) for option in options]
    if len(texts) < 2:
        return _failed("options_too_few", f"{len(texts)} options; a question has at least 2")
    if len(texts) > MAX_OPTIONS:
        return _failed("options_too_many", f"{len(texts)} options; at most {MAX_OPTIONS} are supported")
    if not all(texts):
        letters = ", ".join(_ALPHABET[place] for place, option in enumerate(texts) if not option)
        return _failed("option_empty", f"option {letters} has no text")
    if len(set(texts)) < len(texts):
        return _failed("options_duplicate", "two options have the same text")
    return ParsedOptions(options=tuple(options))


def _failed(kind: str, message: str) -> ParsedOptions:
    return ParsedOptions(problems=(Problem(kind=kind, message=message),))


# ---- finding the labels ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Label:
    """What may be a label: the place of its letter in the alphabet, and where it stands."""

    place: int
    start: int
    end: int
    begins_line: bool


def _readings(text: str) -> Iterator[list[str]]:
    """The lists that the text can be read as, the most telling first."""
    found = [_labels(text, style.format(letter)) for style in _STYLES for letter in ("[A-Z]", "[a-z]")]
    chains = [_by_lines(labels, text) for labels in found] + [_within_lines(labels, text) for labels in found]
    for chain in chains:
        if chain and len(text[: chain[0].start].split()) <= _MAX_LEAD:
            ends = [label.start for label in chain[1:]] + [len(text)]
            texts = [text[label.end : end] for label, end in zip(chain, ends, strict=True)]
            options = [_clean(option, last=place == len(texts) - 1) for place, option in enumerate(texts)]
            dashes = all(option.startswith(("- ", "– ", "— ")) for option in options)
            yield [option[2:] for option in options] if dashes else options


def _labels(text: str, style: str) -> list[_Label]:
    lines = [match.span() for match in _LINE.finditer(text)]
    beginnings = {place for span in lines for place in span}
    return [
        _Label(
            place=_ALPHABET.index(match.group("letter").upper()),
            start=match.start(),
            end=match.end(),
            begins_line=match.start() in beginnings,
        )
        for match in re.finditer(style, text.translate(_NARROW))
    ]


def _by_lines(labels: Sequence[_Label], text: str) -> Sequence[_Label]:
    """The labels that begin their lines, where these are A, B, … and the list does not go on in a line."""
    chain = [label for label in labels if label.begins_line]
    if len(chain) < 2 or [label.place for label in chain] != list(range(len(chain))):
        return ()
    more = (label for label in labels if label.place == len(chain) and label.start > chain[-1].start)
    return () if any(_telling(text, label, len(text)) for label in more) else chain


def _within_lines(labels: Sequence[_Label], text: str) -> Sequence[_Label]:
    """A, B, … wherever they stand, where they are the same from the first on and from the last back."""
    chain: list[_Label] = []
    for label, following in zip(labels, (*labels[1:], None), strict=False):
        # "Vitamin C. C. Iron": the first C ends a text, the second begins one.
        doubled = following and following.place == label.place and not _telling(text, label, following.start)
        if label.place == len(chain) and not doubled:
            chain.append(label)
    if len(chain) < 2 or any(_skips(label, chain) for label in labels):
        return ()  # no list, or one that lacks a label in its midst
    limit = len(text)
    for label in reversed(chain):
        before = [other for other in labels if other.place == label.place and other.end <= limit]
        # A label with nothing behind it ends a text ("Vitamin D."), if there is an earlier one.
        if label != next((other for other in reversed(before) if _telling(text, other, limit)), before[-1]):
            return ()
        limit = label.start
    return chain


def _skips(label: _Label, chain: Sequence[_Label]) -> bool:
    """Whether a label after the last one leaves out exactly one letter."""
    return label.place == len(chain) + 1 and label.start > chain[-1].start


def _telling(text: str, label: _Label, end: int) -> bool:
    """Whether any text stands between a label and ``end``."""
    blank = _BLANK.match(text, label.end, end)
    return blank is not None and blank.end() < end


def _clean(option: str, *, last: bool) -> str:
    """An option's text on one line, without what joins it to the next and without emphasis around it."""
    option = " ".join(option.split()).strip(" ,;")
    if not last:
        option = _JOINING.sub("", option)
    if option.strip("*") and (option.count("**") % 2 or re.fullmatch(r"\*\*[^*]+\*\*", option)):
        option = option.removeprefix("**").removesuffix("**")
    return option.strip(" ,;")
