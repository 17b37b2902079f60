from __future__ import annotations

import pytest

from lpt_eval.report.difficulty import EVERYTHING, difficulty_of
from lpt_eval.runs import load_run


@pytest.fixture
def levels(tmp_path, make_run, make_item):
    """The level of each answer, by run: an answer's item, shuffle and sample to its level."""

    def find(*runs: list[str], category=lambda number: None):
        items = [make_item(str(number), category=category(number)) for number in range(len(runs[0]))]
        answers = []
        for number, signs in enumerate(runs):
            path = make_run(tmp_path / str(number), {"toy": (items, signs)})
            answers.append(load_run(path).answers["toy"])
        found = difficulty_of(answers)
        return found, [
            [
                "".join((found.of(run, of.rows[item.id, sample]) or "-")[0] for sample in range(of.n))
                for item in items
            ]
            for run, of in enumerate(answers)
        ]

    return find


def test_samples_of_one_run_judge_each_other_and_never_themselves(levels) -> None:
    found, of = levels(["+++-", "---+", "++--"])
    # Of "+++-" the wrong one sees three right ones, a right one two of three.
    assert of == [["mmme", "mmmh", "mmmm"]]
    assert "first run" not in found.rule


def test_the_first_run_judges_the_others_where_it_has_several_answers(levels) -> None:
    _, of = levels(["+++", "---", "+--"], ["-", "+", "+"])
    assert of[1] == ["e", "h", "m"]
    assert of[0] == ["eee", "hhh", "hmm"]


def test_two_runs_with_one_answer_each_judge_each_other(levels) -> None:
    found, of = levels(["+", "-", "+"], ["+", "+", "-"])
    assert of == [["e", "e", "h"], ["e", "h", "e"]]
    assert found.names == ("easy", "medium", "hard")


def test_one_answer_alone_leaves_the_categories_the_easiest_first(levels) -> None:
    found, _ = levels(["+", "-", "+", "-"], category=lambda number: "odd" if number % 2 else "even")
    assert found.names == ("even", "odd")
    assert "categories" in found.rule


def test_without_categories_nothing_is_known(levels) -> None:
    found, _ = levels(["+", "-"])
    assert found.names == (EVERYTHING,)


def test_many_categories_become_the_largest_and_the_others(levels) -> None:
    found, _ = levels(["+"] * 16, category=lambda number: f"c{number % 8}")
    assert len(found.names) == 7
    assert found.names[-1] == "other categories"
