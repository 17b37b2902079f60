"""What the place of an option among the others does to its being chosen."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from lpt_core import LETTERS
from lpt_eval.records import Row
from lpt_eval.report.lengths import Share
from lpt_eval.runs import Answers
from lpt_eval.statistics import Interval, wilson


@dataclass(frozen=True, slots=True)
class Place:
    """One place in the list of options.

    Attributes:
        letter: Its letter.
        chosen: Answers that chose it.
        answered: Answers in all.
        questions: To how many questions.
        gold: Share of these answers for which the right option stood here.
        right: How many answers are right where the right option stood here, failures included.
    """

    letter: str
    chosen: int
    answered: int
    questions: int
    gold: float
    right: Share

    @property
    def share(self) -> float:
        """Of the answers, those that chose it."""
        return self.chosen / self.answered if self.answered else float("nan")

    @property
    def interval(self) -> Interval:
        """Wilson's, 95 %: several answers to one question count as one observation."""
        return wilson(self.share * self.questions, self.questions) if self.answered else Interval(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Turns:
    """What changes when the options stand in other orders.

    Attributes:
        passes: How many orders there are.
        questions: Questions with an answer in each of them.
        same: Of these, how many have the same option answered in each.
        right: Of these, how many are right in each.
        by_pass: What is right in each pass, all questions.
    """

    passes: int
    questions: int
    same: int
    right: int
    by_pass: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class OrderBias:
    """One run on one benchmark, all orders of the options together."""

    places: tuple[Place, ...]
    turns: Turns | None


def order_bias(answers: Answers) -> OrderBias | None:
    """Count places; None where nothing was answered."""
    rows = [*answers.rows.values(), *answers.turned]
    answered = [row for row in rows if row.place is not None]
    if not answered:
        return None
    last = max(max(row.gold_place, row.place or 0) for row in rows)
    questions = len({row.item_id for row in answered})
    places = tuple(
        Place(
            letter=LETTERS[place],
            chosen=sum(row.place == place for row in answered),
            answered=len(answered),
            questions=questions,
            gold=sum(row.gold_place == place for row in answered) / len(answered),
            right=Share.of(row for row in rows if row.gold_place == place),
        )
        for place in range(last + 1)
    )
    return OrderBias(places, _turns(rows) if answers.turned else None)


def _turns(rows: list[Row]) -> Turns:
    by_pass: defaultdict[int, list[Row]] = defaultdict(list)
    options: defaultdict[tuple[str, int], dict[int, Row]] = defaultdict(dict)
    for row in rows:
        by_pass[row.shuffle].append(row)
        options[row.item_id, row.sample][row.shuffle] = row
    passes = len(by_pass)
    whole = [
        list(of.values())
        for of in options.values()
        if len(of) == passes and all(row.option is not None for row in of.values())
    ]
    return Turns(
        passes=passes,
        questions=len(whole),
        same=sum(len({row.option for row in of}) == 1 for of in whole),
        right=sum(all(row.outcome == "correct" for row in of) for of in whole),
        by_pass=tuple(Share.of(by_pass[number]) for number in sorted(by_pass)),
    )
