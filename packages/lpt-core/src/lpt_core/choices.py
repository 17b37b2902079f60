"""Which option the text of an answer names: by its letter, by its words, or by both.

Options hold letters, brackets and full stops of their own ("U.S.A. flag", "A dog", "both (A) and (B)"),
and people write a letter in many ways. The rules, in the order in which they are tried:

1. An answer that is the text of an option names it, unless the answer is also the label of another
   option, alone or followed by that other's own text: then it is ambiguous.
2. A label at the beginning ("(B)", "b)", "B.", "**B**", "B - because", "The answer is: B") names its
   option, unless what follows speaks of another option before its own, or has further labels: then it
   is ambiguous.
3. A label in the midst or at the end of a sentence ("Blue (B)", "I think that it is (B)") names its
   option on the same conditions, where it is the only one and nothing is denied.
4. All else is off the menu.

It follows that the text of an option, as an answer, is read as that option unless it is a bare letter
that labels another ("B", shown as option A of four), or another option's label and text ("B. red", shown
beside an option B that is "red"). A letter, as an answer, is read as its option unless that is word for
word another's text. Texts are compared first as they are (``normal_text``), and then without markup,
typography and closing punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from lpt_core.plain import loose, plain
from lpt_core.schema import LETTERS, normal_text

_MAX_ANSWER = 2_000
"""Characters beyond the longest option's: what is longer is no answer, and would cost time."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The reading of the text of an answer alone: which of the options shown it names."""

    status: Literal["found", "missing", "ambiguous", "off_menu"]
    option: int | None = None


_AMBIGUOUS = Choice("ambiguous")
_OFF_MENU = Choice("off_menu")


def read_choice(answer: str, options: Sequence[str]) -> Choice:
    """Which option the text of an answer names, by the rules above. Never raises on the text.

    Args:
        answer: What stood between the tags.
        options: The texts of the options in the order shown.
    """
    menu = _menu(tuple(options))
    if len(answer) > _MAX_ANSWER + menu.longest:
        return _OFF_MENU
    core = plain(answer)
    named = menu.named(answer)
    if not core and named is None:
        return Choice("missing")
    return _at_the_beginning(core, named, menu) or _after_preamble(core, menu) or _in_sentence(core, menu)


# ---- options ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Menu:
    """The options shown, in the two forms in which answers are compared with them."""

    strict: tuple[str, ...]
    loose: tuple[str, ...]
    longest: int

    def named(self, text: str) -> int | None:
        """The only option whose text this is: word for word, or else roughly."""
        for options, wanted in ((self.strict, normal_text(text)), (self.loose, loose(text))):
            hits = [place for place, option in enumerate(options) if wanted and option == wanted]
            if hits:
                return hits[0] if len(hits) == 1 else None
        return None

    def mentioned(self, text: str) -> tuple[set[int], str]:
        """The options whose text stands first in this one, as whole words, and what is left of it."""
        words = sorted(filter(None, self.loose), key=len, reverse=True)  # the longest match counts
        if not words:
            return set(), text
        pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)
        match = pattern.search(text)
        first = match.group().casefold() if match else None
        return {place for place, option in enumerate(self.loose) if option == first}, pattern.sub("", text)

    def place(self, letter: str) -> int | None:
        """The place that a letter labels, if there is one."""
        place = LETTERS.find(letter.upper())
        return place if 0 <= place < len(self.strict) else None


@lru_cache(maxsize=1024)
def _menu(options: tuple[str, ...]) -> _Menu:
    longest = max(map(len, options), default=0)
    return _Menu(tuple(map(normal_text, options)), tuple(map(loose, options)), longest)


# ---- a label at the beginning ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Label:
    """A label with which a text begins: its letter, and what follows."""

    letter: str
    rest: str


_ALONE = re.compile(r"([A-Za-z])()")
_BRACKETED = re.compile(r"[(\[{<] ?([A-Za-z]) ?[)\]}>] ?[.:,;-]* ?(.*)")
# "B.", "b)", "B:", but not the initials of an abbreviation ("D.C.", "e.g. blue").
_MARKED = re.compile(r"([A-Za-z]) ?(?!\.[A-Za-z]\.)[.):\]]+ ?[.:,-]* ?(.*)")
_DASHED = re.compile(r"([A-Za-z])(?: ?[,;] ?| -+ |-+ )(.+)")
_SPACED = re.compile(r"([A-Za-z])[ -](.+)")
_VERB = re.compile(r"(?:is|was|seems|appears|because|since)\b")
# Nothing but labels: "A, B and C", "both (A) and (B)", "A/B".
_ONE = r"[(\[{]?[a-z](?![^\W_])[)\]}.:]*"
_LIST = re.compile(
    rf"(?:both |either )?(?:(?:options?|choices?|answers?) )?{_ONE}(?:(?:[ ,;/&+|-]|\b(?:and|or)\b)*{_ONE})+",
    re.IGNORECASE,
)
_LETTER = re.compile(r"(?<![^\W_])[A-Za-z](?![^\W_])")


def _at_the_beginning(core: str, named: int | None, menu: _Menu) -> Choice | None:
    """Rules 1 and 2; None where the text neither is nor begins with anything that names an option."""
    label = _label(core, menu)
    if named is not None:
        return _AMBIGUOUS if _labels_another(label, named, menu) else Choice("found", named)
    if _LIST.fullmatch(core) and not (label and menu.named(label.rest) is not None):
        places = {menu.place(letter) for letter in _LETTER.findall(core)}
        if None in places:
            return _OFF_MENU
        return _AMBIGUOUS if len(places) > 1 else Choice("found", places.pop())
    return _weigh(label.letter, label.rest, menu) if label else None


def _label(core: str, menu: _Menu) -> _Label | None:
    """The label with which a text begins, where the letter there can be one."""
    for pattern in (_ALONE, _BRACKETED, _MARKED, _DASHED):
        if match := pattern.fullmatch(core):
            return _Label(match.group(1), match.group(2))
    match = _SPACED.fullmatch(core)
    if not match:
        return None
    # A letter before a space or a hyphen is often a word ("A dog", "I see", "C-shaped"). It is a label
    # where the text of an option follows, or where it is a capital that makes no word.
    letter, rest = match.group(1), match.group(2)
    no_word = core[1] == " " and (letter in LETTERS.replace("A", "").replace("I", ""))
    if no_word or (letter == "A" and _VERB.match(rest)) or menu.named(rest) is not None:
        return _Label(letter, rest)
    return None


def _labels_another(label: _Label | None, named: int, menu: _Menu) -> bool:
    """Whether the text of one option is also the label of another, alone or with that one's text."""
    if label is None or (place := menu.place(label.letter)) in (None, named):
        return False
    return not label.rest or menu.named(label.rest) == place


# ---- a label and the words beside it ---------------------------------------------------------------

_DENIED = re.compile(r"(?:is|was|can|could)(?:n't| ?not| (?:wrong|incorrect|false))\b", re.IGNORECASE)
# "A" before a word is an article, unless the word sets it beside something.
_AN_A = r"A(?! (?!(?:or|and|nor|but|is|than|rather)\b)[a-z])"
# Further labels: in brackets, or a letter on its own.
_FURTHER = re.compile(rf"[(\[] ?([a-z]) ?[)\]]|(?<![\w'.-])([b-hj]|{_AN_A})(?![\w'-]|\.\w)", re.IGNORECASE)


def _weigh(letter: str, words: str, menu: _Menu) -> Choice:
    """A label's option, unless the words beside it deny it or speak of another one."""
    place = menu.place(letter)
    if place is None or _DENIED.match(words):
        return _OFF_MENU
    mentioned, others = menu.mentioned(words)
    further = {menu.place("".join(letters)) for letters in _FURTHER.findall(others)}
    if (mentioned and place not in mentioned) or further - {place, None}:
        return _AMBIGUOUS
    return Choice("found", place)


_PREAMBLE = re.compile(
    r"(?:(?:so|thus|therefore|hence)\W+)?(?:(?:the|my) )?(?:(?:final|correct|right|best) )*"
    r"(?:answer|option|choice|letter)\b ?(?:(?:is|would be|should be|must be)\b|[:=-])? ?"
    r"(?:(?:option|choice|letter) )?[: ]*",
    re.IGNORECASE,
)
_POINTER = re.compile(
    r"(?<!\w)[(\[] ?([A-Za-z]) ?[)\]]"
    rf"|\b(?:(?i:option|choice|letter)[: ] ?([A-J])|(?i:answer(?: is)?)[: ] ?([B-HJ]|{_AN_A}))(?![\w'-])"
)
_DENIAL = re.compile(r"\b(?:not|no|never|neither|nor|except|cannot|wrong|incorrect)\b|n't\b", re.IGNORECASE)


def _after_preamble(core: str, menu: _Menu) -> Choice | None:
    """Read "The answer is: B" and the like, whose own words are those of no option."""
    match = _PREAMBLE.match(core)
    rest = plain(core[match.end() :]) if match else ""
    return _at_the_beginning(rest, menu.named(rest), menu) if rest else None


def _in_sentence(core: str, menu: _Menu) -> Choice:
    """Rule 3: the one label that stands in a sentence."""
    letters = {"".join(found).upper() for found in _POINTER.findall(core)}
    if len(letters) > 1:
        return _AMBIGUOUS
    if not letters or _DENIAL.search(core):
        return _OFF_MENU
    return _weigh(letters.pop(), _POINTER.sub(" ", core), menu)
