"""A configuration of ours in the making from one of LLaMA-Factory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from lpt_core.yaml_lines import Lines, Place, Tree

Fate = Literal["honoured", "changed", "ignored", "added"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a key.

    Attributes:
        key: LLaMA-Factory's name; empty for what it does without being told.
        line: Where it stands, from 1; 0 where it does not.
        fate: What became of it.
        field: Our field that it set; empty where none.
        why: The reason, unless it means just the same.
    """

    key: str
    line: int
    fate: Fate
    field: str = ""
    why: str = ""

    def __str__(self) -> str:
        text = " -> ".join(part for part in (self.key, self.field) if part)
        where = f"line {self.line}: " if self.line else ""
        return f"{self.fate:<8} {where}{text}" + (f" ({self.why})" if self.why else "")


@dataclass(slots=True)
class Draft:
    """Our configuration in the making."""

    source: Tree
    lines: Lines
    stage: str
    made: Tree = field(default_factory=dict[str, Any])
    places: Lines = field(default_factory=dict[Place, int])
    findings: list[Finding] = field(default_factory=list[Finding])

    def put(self, key: str, name: str, value: Any, *, fate: Fate = "honoured", why: str = "") -> None:
        """Set one of our fields ("sft.epochs") and say so."""
        place = tuple(name.split("."))
        section = self.made
        for part in place[:-1]:
            section = section.setdefault(part, {})
        section[place[-1]] = value
        self.places[place] = self.line(key)
        self.findings.append(Finding(key, self.line(key), fate, name, why))

    def ignore(self, key: str, why: str) -> None:
        """Set nothing and say why."""
        self.findings.append(Finding(key, self.line(key), "ignored", why=why))

    def line(self, key: str) -> int:
        """Where a key stands; 0 where it does not."""
        return self.lines.get((key,), 0)
