"""What lint has found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from lpt_core import Problem
from lpt_train.lint.kinds import WARNINGS


@dataclass(frozen=True, slots=True)
class LintReport:
    """A file of rows, looked at.

    Attributes:
        path: The file.
        rows: How many rows it has, those that cannot be read included.
        problems: All that was found, in the order of the lines; what concerns the whole file comes last.
        statistics: What the rows are like, as JSON data.
    """

    path: Path
    rows: int
    problems: tuple[Problem, ...] = ()
    statistics: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What must be mended before training."""
        return tuple(problem for problem in self.problems if problem.kind not in WARNINGS)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What should be looked at."""
        return tuple(problem for problem in self.problems if problem.kind in WARNINGS)

    @property
    def kinds(self) -> dict[str, int]:
        """How often each kind of problem was found, the most frequent first."""
        return dict(Counter(problem.kind for problem in self.problems).most_common())

    def as_json(self) -> dict[str, JsonValue]:
        """All of it as JSON data, for a machine."""
        return {
            "path": str(self.path),
            "rows": self.rows,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "kinds": dict(self.kinds),
            "problems": [
                {"kind": one.kind, "where": one.where, "message": one.message, "remedy": one.remedy}
                for one in self.problems
            ],
            "statistics": self.statistics,
        }

    def text(self, most: int | None = 20) -> str:
        """All of it for a person.

        Args:
            most: At most so many problems of one kind are written out, with a count of the others; None
                for all.
        """
        return "\n".join(self._lines(most)) + "\n"

    def _lines(self, most: int | None) -> Iterator[str]:
        shown: Counter[str] = Counter()
        for problem in self.problems:
            shown[problem.kind] += 1
            if most is None or shown[problem.kind] <= most:
                grade = "warning" if problem.kind in WARNINGS else "error"
                yield f"{grade} {problem.kind}: {printable(str(problem))}"
        for kind, count in shown.items():
            if most is not None and count > most:
                yield f"{kind}: {count - most} more"
        for name, value in self.statistics.items():
            yield f"{name}: {_shown(value)}"
        yield f"{self.path}: {self.rows} rows, {len(self.errors)} errors, {len(self.warnings)} warnings"


def printable(text: str) -> str:
    """A text on one line that any terminal shows as it is: control characters are escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def _shown(value: JsonValue) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(one)}" for name, one in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)
