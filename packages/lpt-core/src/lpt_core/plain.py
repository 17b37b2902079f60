"""Texts in the plain form in which an answer is compared with options: no markup, no typography."""

from __future__ import annotations

import re
import unicodedata

# What a reader does not see, or does not tell apart, becomes nothing or its plain twin. normalize() has
# already made full-width forms, ligatures and non-breaking spaces plain.
_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - set(map(ord, "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85"))
_UNSEEN = {0xAD, 0xFE0F, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)}
_TWINS = str.maketrans("‘’‚‛“”„‟«»「」『』‐‑‒–—―−【】〔〕。、", '\'\'\'\'""""""""""-------[][].,')
_PLAIN = {**dict.fromkeys(_CONTROLS | _UNSEEN), **_TWINS}

_EMPHASIS = re.compile(r"\*+|`+|~~")
_LATEX = re.compile(r"\\(?:boxed|(?:text|math)(?:bf|it|rm|sf|tt|normal)?)\s?\{([^{}]*)\}")
_WRAPPERS = (
    re.compile(r"\$+([^$]*)\$+"),
    re.compile(r"\\[(\[](.*)\\[)\]]"),
    re.compile(r"_{1,3}([^_]*)_{1,3}"),
    re.compile(r"<[a-z]+>(.*)</[a-z]+>", re.IGNORECASE),
    re.compile(r"[-#>•]+ (.*)"),
)
_DEEPEST = 6


def plain(text: str) -> str:
    """A text without Markdown, LaTeX, HTML, quotation marks or symbols around it, on one line."""
    text = " ".join(unicodedata.normalize("NFKC", text).translate(_PLAIN).split())
    text = _EMPHASIS.sub("", text)
    for _ in range(_DEEPEST):
        before = text
        text = _trim(_LATEX.sub(_inner, text))
        for wrapper in _WRAPPERS:
            if match := wrapper.fullmatch(text):
                text = _trim(match.group(1))
        if text == before:
            break
    return text


def loose(text: str) -> str:
    """``plain``, in one case and without closing punctuation."""
    return plain(text).casefold().rstrip(" .!?;:,")


def _inner(match: re.Match[str]) -> str:
    """What a LaTeX command holds; a single letter keeps a bracket, which tells it from a word."""
    inner = match.group(1).strip()
    return f"({inner})" if len(inner) == 1 and inner.isalpha() else inner


def _trim(text: str) -> str:
    """Take quotation marks and symbols (emoji, ticks) off both ends."""
    first, last = 0, len(text)
    while first < last and _is_edge(text[first]):
        first += 1
    while first < last and _is_edge(text[last - 1]):
        last -= 1
    return text[first:last]


def _is_edge(character: str) -> bool:
    return character in " \"'" or unicodedata.category(character) == "So"
