"""Problems: findings about somebody's data, collected rather than raised.

A reader that stops at the first fault makes a person run it ten times; ours return every problem, each
with where it is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input.

    Attributes:
        kind: A stable identifier in snake_case, for counting ("image_missing").
        message: What is wrong, for a person.
        where: File and line, field path, or record id.
        remedy: What to do, where that is not obvious.
    """

    kind: str
    message: str
    where: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text} ({self.remedy})" if self.remedy else text
