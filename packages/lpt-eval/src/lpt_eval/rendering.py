"""Tables of texts as text, Markdown and LaTeX; nothing here knows what they say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

_WIDTH = 100

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "\\": "\\textbackslash{}",
    "–": "--",
    "±": "$\\pm$",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        title: Above it.
        header: A text for each column; the first column is left-aligned, the others right.
        rows: As many texts each.
        notes: Below it, a line each.
        rules: Numbers of rows before which a line is drawn.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    rules: tuple[int, ...] = ()


def as_text(tables: Sequence[Table]) -> str:
    """For a terminal."""
    return "\n".join(_text(table) for table in tables)


def as_markdown(tables: Sequence[Table]) -> str:
    """For a README or an issue."""
    return "\n".join(_markdown(table) for table in tables)


def as_latex(tables: Sequence[Table]) -> str:
    """For a paper; needs the package booktabs."""
    return "\n".join(_latex(table) for table in tables)


def _text(table: Table) -> str:
    widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = (cell for cell in cells)
        padded = [first.ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)
        ]
        return "  ".join(padded).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [table.title, line(table.header), rule]
    for number, row in enumerate(table.rows):
        lines += [rule] * (number in table.rules) + [line(row)]
    notes = [line for note in table.notes for line in wrap(note, _WIDTH)]
    return "\n".join([*lines, *notes]) + "\n"


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_cell(cell) for cell in cells) + " |"

    aligned = ":--", *["--:"] * (len(table.header) - 1)
    lines = [f"**{table.title}**", "", line(table.header), "|" + "|".join(aligned) + "|"]
    notes = [text for note in table.notes for text in ("", note)]
    return "\n".join([*lines, *map(line, table.rows), *notes]) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"([\\|*_`<\[\]])", r"\\\1", " ".join(text.split()))


def _latex(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        # A bracket after the last row's end would be taken for its argument.
        return "    " + "{}" * cells[0].startswith("[") + " & ".join(map(escaped, cells)) + r" \\"

    body: list[str] = []
    for number, row in enumerate(table.rows):
        body += [r"    \midrule"] * (number in table.rules) + [line(row)]
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"  \centering",
            f"  \\caption{{{escaped(' '.join((table.title + '.', *table.notes)))}}}",
            f"  \\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
            r"    \toprule",
            line(table.header),
            r"    \midrule",
            *body,
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """A text that LaTeX prints as it is."""
    return "".join(_LATEX.get(character, character) for character in text)
