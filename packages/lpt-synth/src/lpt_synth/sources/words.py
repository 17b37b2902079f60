"""Somebody's data in messages: short, quoted, and fit for any terminal."""

from __future__ import annotations

from collections.abc import Iterable

from lpt_synth.image_files import printable

_KINDS = {
    "NoneType": "null",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "dict": "an object",
    "list": "a list",
    "str": "a text",
}


def kind_of(value: object) -> str:
    """What a value is, in words."""
    name = type(value).__name__
    return _KINDS.get(name, name)


def shortened(text: str) -> str:
    """A text of somebody's data, quoted, on one line, and not too long."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def quoted(names: Iterable[str]) -> str:
    """A list of names, each as in ``shortened``, the first twenty."""
    names = list(names)
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return printable(", ".join(map(shortened, names[:20])) + more)
