"""HTML and SVG whose texts are escaped by construction: only what ``element`` made goes in as it is."""

from __future__ import annotations

import json
from html import escape

_EMPTY = frozenset({"meta", "input", "br", "hr", "img"})
_INSIDE_JSON = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}

Attribute = str | int | float | bool | None


class Markup(str):
    """A text that is markup already."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: Attribute) -> Markup:
    """An element of HTML or SVG.

    Args:
        name: Of the element.
        *children: What stands in it. A text is escaped, ``Markup`` goes in as it is, None is left out.
        **attributes: An underscore at the end is dropped, others become hyphens. None and False leave an
            attribute out, True gives it without a value; numbers are written with three decimals at most.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _EMPTY:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*children: str | None) -> Markup:
    """Pieces one after the other, escaped where they are no markup."""
    return Markup("".join(_child(child) for child in children if child is not None))


def raw(text: str) -> Markup:
    """A text of our own that is markup: a style sheet, a script. Never what a model wrote."""
    return Markup(text)


def json_block(identity: str, value: object) -> Markup:
    """Data for a script, which no text in it can end: no angle bracket is left."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escaped in _INSIDE_JSON.items():
        text = text.replace(character, escaped)
    return element("script", raw(text), type="application/json", id=identity)


def clipped(text: str, most: int) -> str:
    """A text on one line, with an ellipsis where it is longer than allowed."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _child(child: str) -> str:
    return child if isinstance(child, Markup) else escape(child, quote=False)


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {name}="{escape(text)}"'
