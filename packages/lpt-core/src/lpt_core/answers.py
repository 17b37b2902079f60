"""Reading an answer out of what a model wrote.

A reading has a status and is never a guess: an answer that cannot be read is missing, ambiguous, off the
menu or truncated, and each is counted as what it is. No text makes a function of this module raise.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lpt_core.schema import LETTERS, AnswerStatus, normal_text

READER_VERSION = 1
"""Raised whenever some text is read differently than before; caches of readings depend on it."""

_THINK_END = re.compile(r"</think\s*>", re.IGNORECASE)
_THINK_START = re.compile(r"<think\s*>", re.IGNORECASE)
_ANSWER = re.compile(r"<answer\s*>((?:(?!<answer\s*>).)*?)</answer\s*>", re.IGNORECASE | re.DOTALL)
_ANSWER_START = re.compile(r"<answer\s*>", re.IGNORECASE)
_MAX_ANSWER = 2_000


@dataclass(frozen=True, slots=True)
class SplitText:
    """A response in its parts.

    Attributes:
        thought: What stands between the first ``<think>`` and the last ``</think>``, stripped; None
            where the response never thinks.
        tail: What follows the thought.
        open: The thought was begun and never closed.
    """

    thought: str | None
    tail: str
    open: bool = False


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What a response answered.

    Attributes:
        status: found, missing (no answer tags, or nothing in them), ambiguous (several options, or
            letter and text contradict each other), off_menu (an option that is not there), truncated
            (the thought or the answer was begun and never closed).
        option: Place of the option among those shown, from 0; None unless found.
        raw: The text that was read, without its tags.
        thought: The thought, stripped; None where there is none.
        tail: What stands after the thought, stripped.
    """

    status: AnswerStatus
    option: int | None = None
    raw: str = ""
    thought: str | None = None
    tail: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The reading of the text of an answer alone: which of the options shown it names."""

    status: Literal["found", "missing", "ambiguous", "off_menu"]
    option: int | None = None


def split_thought(text: str) -> SplitText:
    """Split a response at the last ``</think>``."""
    start = _THINK_START.search(text)
    ends = list(_THINK_END.finditer(text))
    if not ends:
        return SplitText(text[start.end() :].strip(), "", open=True) if start else SplitText(None, text)
    end = ends[-1]
    begin = start.end() if start and start.end() <= end.start() else 0
    return SplitText(text[begin : end.start()].strip(), text[end.end() :])


def parse_answer(text: str, options: Sequence[str]) -> ParsedAnswer:
    """Read the last ``<answer>`` after the last ``</think>``.

    Args:
        text: The whole response, with the part that was prefilled.
        options: The texts of the options in the order in which they were shown.
    """
    split = split_thought(text)
    tail = split.tail.strip()
    if split.open:
        return ParsedAnswer("truncated", thought=split.thought)
    answers = _ANSWER.findall(tail)
    if not answers:
        status: AnswerStatus = "truncated" if _ANSWER_START.search(tail) else "missing"
        return ParsedAnswer(status, thought=split.thought, tail=tail)
    raw: str = answers[-1].strip()
    choice = read_choice(raw, options)
    return ParsedAnswer(choice.status, choice.option, raw, split.thought, tail)


# ---- the text of an answer -------------------------------------------------------------------------

_EMPHASIS = re.compile(r"\*+|`+")
_QUOTES = "\"'“”‘’«»"
_WRAPPERS = (
    re.compile(r"\\boxed\s*\{(.*)\}", re.DOTALL),
    re.compile(r"\\text(?:bf|it|rm)?\s*\{(.*)\}", re.DOTALL),
    re.compile(r"\$+([^$]*)\$+"),
    re.compile(r"_{1,3}([^_]*)_{1,3}"),
)
_PREAMBLE = re.compile(
    r"(?:(?:so|thus|therefore|hence)\W+)?(?:(?:the|my)\s+)?"
    r"(?:(?:final|correct|right|best)\s+)*(?:answer|option|choice)\b\s*(?:is|would be|:|=|-)?\s*"
    r"(?:(?:option|choice|letter)\s+)?[:\s]*",
    re.IGNORECASE,
)
# A label that cannot be a word: bracketed, or followed by a mark.
_BRACKETED = re.compile(r"[(\[{]\s*([A-Za-z])\s*[)\]}]\s*[.:,;\-–—]*\s*(.*)", re.DOTALL)
_MARKED = re.compile(r"([A-Za-z])\s*[.):\]]+\s*[.:,\-–—]*\s*(.*)", re.DOTALL)
_BARE = re.compile(r"([A-Za-z])(?:\s*[-–—,;]\s*|\s+)(.+)", re.DOTALL)
_OTHER_LABEL = re.compile(r"[(\[]\s*([A-Za-z])\s*[)\]]")
_CONJUNCTION = re.compile(r"(?:or|and|/|&|,)\s*\W?\s*([A-Za-z])\b\W*", re.IGNORECASE)


def read_choice(answer: str, options: Sequence[str]) -> Choice:
    """Which option the text of an answer names: by letter, by full text, or by both together.

    ``options`` are the texts in the order shown. An answer in the words of one option and the letter of
    another is ambiguous; a letter or a text that no option has is off the menu.
    """
    if len(answer) > _MAX_ANSWER:
        return Choice("off_menu")
    texts = [_normal(option) for option in options]
    answer = unicodedata.normalize("NFKC", answer).strip()
    if not answer:
        return Choice("missing")
    whole = _text_option(answer, texts)
    core = _unwrap(answer)
    if not core:
        return Choice("found", whole) if whole is not None else Choice("missing")
    if whole is None:
        whole = _text_option(core, texts)
    return _combine(core, whole, texts)


def _combine(core: str, whole: int | None, texts: Sequence[str]) -> Choice:
    """Weigh the text's reading against the letter's."""
    label = _label(core)
    if label is None:
        if whole is not None:
            return Choice("found", whole)
        return _after_preamble(core, texts)
    letter, rest, certain = label
    place = LETTERS.find(letter) if letter in LETTERS[: len(texts)] else None
    if whole is not None:
        # The whole answer is the text of an option. A mere letter that is both ("B" on a sign, and the
        # label B) is a contradiction, unless a bracket makes it a label; a text that only begins like
        # a label ("U.S.A. flag", "A dog") is just that text.
        if rest or whole == place:
            return Choice("found", whole)
        return Choice("found", place) if certain and place is not None else Choice("ambiguous")
    return _by_letter(letter, place, rest, certain, texts)


def _by_letter(letter: str, place: int | None, rest: str, certain: bool, texts: Sequence[str]) -> Choice:
    if not rest:
        return Choice("found", place) if place is not None else Choice("off_menu")
    named = _text_option(rest, texts)
    if named is not None:
        return Choice("found", named) if named == place else Choice("ambiguous")
    if _names_another(letter, rest):
        return Choice("ambiguous")
    if not certain and letter in "AI":  # an article or a pronoun, not a label
        return Choice("off_menu")
    return Choice("found", place) if place is not None else Choice("off_menu")


def _names_another(letter: str, rest: str) -> bool:
    """Whether more labels follow: "(A) or (B)", "A and C", "B/C"."""
    if any(other.upper() != letter for other in _OTHER_LABEL.findall(rest)):
        return True
    more = _CONJUNCTION.fullmatch(rest.strip()) or re.match(r"(?:or|and|/|&)\s*([A-Z])\b(?!\w)", rest)
    return more is not None and more.group(1).upper() != letter


def _label(core: str) -> tuple[str, str, bool] | None:
    """(letter, what follows, whether it cannot be a word), where ``core`` begins like a label."""
    for pattern, certain in ((_BRACKETED, True), (_MARKED, True), (_BARE, False)):
        match = pattern.fullmatch(core)
        if match:
            return match.group(1).upper(), match.group(2).strip(), certain
    return (core.upper(), "", False) if len(core) == 1 and core.isascii() and core.isalpha() else None


def _after_preamble(core: str, texts: Sequence[str]) -> Choice:
    """Read "The answer is (B)" and the like, whose words name no option themselves."""
    match = _PREAMBLE.match(core)
    if match and match.end() and (rest := _unwrap(core[match.end() :])):
        whole = _text_option(rest, texts)
        if whole is not None or _label(rest) is not None:
            return _combine(rest, whole, texts)
    if re.fullmatch(r"[A-Za-z](?:\s*[/&,+]\s*[A-Za-z])+", core):
        return Choice("ambiguous")
    return Choice("off_menu")


def _unwrap(text: str) -> str:
    """Take off Markdown, LaTeX and quotation marks, as often as they are nested."""
    text = _EMPHASIS.sub("", text)
    for _ in range(6):
        before = text
        for wrapper in _WRAPPERS:
            match = wrapper.fullmatch(text)
            if match:
                text = match.group(1).strip()
        text = text.strip().strip(_QUOTES).strip()
        if text == before:
            break
    return text


def _normal(text: str) -> str:
    return _unwrap(normal_text(text)).rstrip(" .!;,").strip()


def _text_option(text: str, texts: Sequence[str]) -> int | None:
    """The only option whose text this is, or None."""
    wanted = _normal(text)
    hits = [place for place, option in enumerate(texts) if option == wanted]
    return hits[0] if len(hits) == 1 and wanted else None
