from __future__ import annotations

import pytest

from lpt_eval.report.order import order_bias
from lpt_eval.runs import load_run


@pytest.fixture
def bias(tmp_path, say, make_item, thinks):
    def count(letters: list[str], *, shuffles: int = 1, gold: int = 1):
        said = [
            (make_item(str(number), gold=gold), [thinks(letter) for letter in of])
            for number, of in enumerate(letters)
        ]
        return order_bias(load_run(say(tmp_path / "run", {"toy": said}, shuffles=shuffles)).answers["toy"])

    return count


def test_letters_are_counted_where_they_stood(bias) -> None:
    found = bias(["A", "A", "B", "D"])
    assert [place.letter for place in found.places] == ["A", "B", "C", "D"]
    assert [place.chosen for place in found.places] == [2, 1, 0, 1]
    assert [place.gold for place in found.places] == [0, 1, 0, 0]
    assert (found.places[1].right.answers, found.places[1].right.right) == (4, 1)
    assert found.turns is None


def test_a_model_that_only_knows_letters_is_found_out_by_other_orders(bias) -> None:
    found = bias(["AAAA", "AAAA"], shuffles=4)
    assert [place.gold for place in found.places] == [0.25] * 4
    assert [place.share for place in found.places] == [1, 0, 0, 0]
    assert (found.turns.questions, found.turns.same, found.turns.right) == (2, 0, 0)
    assert [share.right for share in found.turns.by_pass] == [0, 0, 0, 2]


def test_a_model_that_knows_the_answer_follows_it(bias) -> None:
    found = bias(["BCDA", "BCDA"], shuffles=4)  # the gold is B, and moves on by one in each pass
    assert (found.turns.questions, found.turns.same, found.turns.right) == (2, 2, 2)
    assert [place.right.value for place in found.places] == [1, 1, 1, 1]


def test_what_is_not_answered_has_no_place(tmp_path, say, make_item) -> None:
    path = say(tmp_path / "run", {"toy": [(make_item(), ["<think>Well</think> hm"])]})
    assert order_bias(load_run(path).answers["toy"]) is None
