from __future__ import annotations

import math

import pytest

from lpt_eval.report.lengths import Share, lengths_of
from lpt_eval.runs import load_run
from lpt_eval.statistics import wilson


@pytest.fixture
def measured(tmp_path, say, make_item, thinks):
    def measure(*answers: tuple[str, int], tokens: bool = True):
        items = [make_item(str(number)) for number in range(len(answers))]
        said = [(item, [thinks(letter, words)]) for item, (letter, words) in zip(items, answers, strict=True)]
        path = say(tmp_path / "run", {"toy": said}, tokens=tokens)
        return lengths_of([load_run(path).answers["toy"]])

    return measure


def test_every_thought_is_in_one_column_and_the_sums_are_the_runs(measured) -> None:
    found = measured(*(("B" if number % 3 else "A", 3 + number) for number in range(20)))
    assert found.unit == "tokens"
    assert len(found.edges) == 6
    assert sum(cell.answers for cell in found.cells.values()) == 20
    assert sum(cell.right for cell in found.cells.values()) == 13
    assert {cell.answers for cell in found.cells.values()} == {4}


def test_thoughts_of_one_length_are_one_column(measured) -> None:
    found = measured(("B", 5), ("B", 5), ("A", 5))
    ((_, cell),) = found.cells.items()
    assert (cell.answers, cell.right) == (3, 2)


def test_without_counts_of_tokens_characters_are_measured(measured) -> None:
    assert measured(("B", 5), ("A", 9), tokens=False).unit == "characters"


def test_without_thoughts_there_is_nothing_to_measure(tmp_path, say, make_item) -> None:
    path = say(tmp_path / "run", {"toy": [(make_item(), ["<answer>(B)</answer>"])]})
    assert lengths_of([load_run(path).answers["toy"]]) is None


def test_answers_to_one_question_count_once_in_an_interval() -> None:
    share = Share(answers=40, questions=10, right=30)
    assert share.value == 0.75
    assert share.interval == wilson(7.5, 10)
    assert math.isnan(Share(0, 0, 0).value)
