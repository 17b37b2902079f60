"""The section on cognitive behaviours: how often thoughts show them, and how often these are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lpt_core import split_thought
from lpt_core.behaviours import BEHAVIOURS, Behaviour, count_behaviours
from lpt_eval.records import Row
from lpt_eval.rendering import Table
from lpt_eval.report.lengths import Share
from lpt_eval.report.markup import Markup, element
from lpt_eval.report.material import Material, colour, key, title_of
from lpt_eval.report.parts import figure, numbers, per_cent, points, section, tabs, within
from lpt_eval.report.svg import SHARES, Dot, Group, rows_chart
from lpt_eval.runs import Answers
from lpt_eval.statistics import Interval, wilson

NAMES: dict[Behaviour, str] = {
    "verification": "verification",
    "backtracking": "backtracking",
    "subgoals": "subgoals",
    "backward_chaining": "backward chaining",
}
_HEADER = ("", "thoughts", "show it", "share", "95 %", "right with", "right without", "points")


@dataclass(frozen=True, slots=True)
class Shown:
    """One behaviour in the thoughts of a run on a benchmark.

    Attributes:
        having: What is right among the thoughts that show it.
        lacking: What is right among the others.
    """

    having: Share
    lacking: Share

    @property
    def thoughts(self) -> int:
        """How many thoughts there are."""
        return self.having.answers + self.lacking.answers

    @property
    def share(self) -> float:
        """The share of the thoughts that show it."""
        return self.having.answers / self.thoughts if self.thoughts else float("nan")

    def interval(self, questions: int) -> Interval:
        """Wilson's for the share, 95 %: several answers to one question count as one observation."""
        return wilson(self.share * questions, questions)


@dataclass(frozen=True, slots=True)
class Behaviours:
    """All behaviours of a run on a benchmark, and to how many questions there are thoughts."""

    shown: dict[Behaviour, Shown]
    questions: int


def behaviours_of(answers: Answers) -> Behaviours | None:
    """Count the behaviours of a run's thoughts; None where there are none."""
    read: list[tuple[Row, dict[Behaviour, int]]] = []
    for row in answers.rows.values():
        if thought := split_thought(row.whole).thought:
            read.append((row, count_behaviours(thought)))
    if not read:
        return None
    shown: dict[Behaviour, Shown] = {
        one: Shown(
            Share.of(row for row, counts in read if counts[one]),
            Share.of(row for row, counts in read if not counts[one]),
        )
        for one in BEHAVIOURS
    }
    return Behaviours(shown, len({row.item_id for row, _ in read}))


Found = Sequence[tuple[int, Behaviours]]


def behaving(material: Material) -> Markup | None:
    """Behaviours against correctness."""
    figures: list[tuple[str, str, Markup]] = []
    for name in material.benchmarks:
        found = [
            (number, of)
            for number, answers in enumerate(material.answers(name))
            if answers is not None and (of := behaviours_of(answers)) is not None
        ]
        if found:
            figures.append((name, title_of(name), _benchmark(material, name, found)))
    if not figures:
        return None
    return section(
        "behaviours",
        "Cognitive behaviours",
        "Four habits of careful thought, told by their words: checking what was said, giving up what does "
        "not hold, splitting the task, and reasoning back from a possible answer. The classifier knows "
        "English phrases only. Hard questions invite these habits: being right less often with one does not "
        "mean that it harms.",
        tabs(figures),
    )


def _benchmark(material: Material, name: str, found: Found) -> Markup:
    table = Table("Cognitive behaviours", _HEADER, tuple(_rows(material, found)))
    told = "; ".join(", ".join(row) for row in table.rows)
    title = title_of(name)
    often = [
        Group(words, [_often(material, number, of, one) for number, of in found])
        for one, words in NAMES.items()
    ]
    right = [
        Group(words, [_right(material, number, of, one) for number, of in found])
        for one, words in NAMES.items()
    ]
    charts = (
        (
            "Share of thoughts that show it",
            rows_chart(f"c-often-{name}", f"{title}: how often each behaviour is shown", told, often, SHARES),
        ),
        (
            "Accuracy of the thoughts with it",
            rows_chart(f"c-with-{name}", f"{title}: accuracy with each behaviour", told, right, SHARES),
        ),
    )
    pair = element(
        "div", *(element("div", element("h4", words), chart) for words, chart in charts), class_="pair"
    )
    return figure(
        None,
        "At the right the tick, and the number in brackets, is the accuracy of the thoughts without it. "
        "Whiskers are 95 % intervals (Wilson).",
        pair,
        numbers(table),
    )


def _often(material: Material, number: int, of: Behaviours, one: Behaviour) -> Dot:
    shown, ends = of.shown[one], of.shown[one].interval(of.questions)
    run = material.runs[number].name
    return Dot(run, per_cent(shown.share), shown.share, ends.low, ends.high, colour(number), (), key(number))


def _right(material: Material, number: int, of: Behaviours, one: Behaviour) -> Dot:
    shown = of.shown[one]
    having, lacking = shown.having, shown.lacking
    ends = having.interval
    return Dot(
        material.runs[number].name,
        f"{per_cent(having.value)} ({per_cent(lacking.value)})",
        having.value if having.answers else None,
        ends.low if having.answers else None,
        ends.high if having.answers else None,
        colour(number),
        ((lacking.value, "hollow"),),
        key(number),
    )


def _rows(material: Material, found: Found) -> list[tuple[str, ...]]:
    return [
        (
            f"{material.runs[number].name}, {words}",
            str(shown.thoughts),
            str(shown.having.answers),
            per_cent(shown.share),
            within(shown.interval(of.questions)),
            per_cent(shown.having.value),
            per_cent(shown.lacking.value),
            points(shown.having.value - shown.lacking.value),
        )
        for one, words in NAMES.items()
        for number, of in found
        for shown in (of.shown[one],)
    ]
