"""Previews in the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from lpt_train.preview.spans import Bears, PreviewResponse, PreviewRow, Span

_STYLES: dict[Bears, str] = {
    "nothing": "dim",
    "loss": "bold green",
    "preference": "bold yellow",
    "both": "bold cyan",
}
_REJECTED = "bold red"
_STRADDLING = "bold white on magenta"
_MARKS: dict[Bears, tuple[str, str]] = {
    "nothing": ("", ""),
    "loss": ("[[", "]]"),
    "preference": ("{{", "}}"),
    "both": ("[{", "}]"),
}
_WORDS: dict[Bears, str] = {
    "nothing": "no loss",
    "loss": "loss",
    "preference": "preference loss",
    "both": "both losses",
}


def row_text(row: PreviewRow, *, colour: bool = True) -> Text:
    """A row for the terminal, with its notes, or with a legend of what occurs in it.

    Args:
        row: The row.
        colour: Tell what bears loss by colour; else by brackets, for terminals and files without.
    """
    made = Text()
    made.append(f"{visible(row.where)}  {row.kind}\n", style="bold" if colour else "")
    for response in row.responses:
        made.append(f"{response.name}: {facts(response)}\n")
        for span in response.spans:
            _append(made, span, response.name, colour=colour)
        made.append("\n")
    for note in row.notes:
        made.append(f"{visible(note)}\n")
    if not row.notes:
        made.append_text(_legend(row, colour=colour))
    return made


def facts(response: PreviewResponse) -> str:
    """A response in numbers, on one line."""
    images = sum(span.tokens for span in response.spans if span.region == "image")
    parts = [f"{response.tokens} tokens", f"{images} image tokens"]
    counts = [
        ("with loss", response.bearing("loss", "both")),
        ("with preference loss", response.bearing("preference", "both")),
        ("straddling", response.straddling),
    ]
    return ", ".join(parts + [f"{count} {word}" for word, count in counts if count])


def visible(text: str) -> str:
    """The text with line breaks marked, and what no terminal shows, or obeys, written out."""
    return "".join(_visible(text))


def _visible(text: str) -> Iterator[str]:
    for letter in text:
        if letter == "\n":
            yield "⏎\n"
        elif letter.isprintable():
            yield letter
        else:
            yield letter.encode("unicode_escape").decode()


def shown(span: Span) -> str:
    """What a span shows: its text, or the image in a word."""
    return f"[image: {span.tokens} tokens]" if span.region == "image" else visible(span.text)


def _style(bears: Bears, name: str, *, straddling: bool = False) -> str:
    if straddling:
        return _STRADDLING
    return _REJECTED if name == "rejected" and bears == "preference" else _STYLES[bears]


def _append(made: Text, span: Span, name: str, *, colour: bool) -> None:
    text = f"⟨{shown(span)}⟩" if span.straddling else shown(span)
    if colour:
        made.append(text, style=_style(span.bears, name, straddling=span.straddling))
    else:
        before, after = _MARKS[span.bears]
        made.append(f"{before}{text}{after}")


def _legend(row: PreviewRow, *, colour: bool) -> Text:
    found: dict[tuple[Bears, str], None] = {
        (span.bears, response.name): None for response in row.responses for span in response.spans
    }
    made = Text()
    for bears, name in found:
        word = f"{_WORDS[bears]}, {name}" if len(row.responses) > 1 else _WORDS[bears]
        before, after = ("", "") if colour else _MARKS[bears]
        made.append(f"{before}{word}{after}", style=_style(bears, name) if colour else "")
        made.append("  ")
    if any(response.straddling for response in row.responses):
        made.append("⟨straddling⟩", style=_STRADDLING if colour else "")
    made.rstrip()
    made.append("\n")
    return made
