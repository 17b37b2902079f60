from __future__ import annotations

from lpt_core.behaviours import BEHAVIOURS
from lpt_eval.report.behaviours import NAMES, behaviours_of
from lpt_eval.runs import load_run

CHECKS = "<think>It is blue. Let me check that again.</think> <answer>({})</answer>"
PLAIN = "<think>It is blue.</think> <answer>({})</answer>"


def test_behaviours_are_set_against_what_is_right(tmp_path, say, make_item) -> None:
    texts = [CHECKS.format("B"), CHECKS.format("A"), PLAIN.format("B"), "<answer>(B)</answer>"]
    said = [(make_item(str(number)), [text]) for number, text in enumerate(texts)]
    found = behaviours_of(load_run(say(tmp_path / "run", {"toy": said})).answers["toy"])
    checked = found.shown["verification"]
    assert (checked.having.answers, checked.having.right) == (2, 1)
    assert (checked.lacking.answers, checked.lacking.right) == (1, 1)
    assert checked.share == 2 / 3
    assert found.questions == 3  # the answer without a thought shows nothing, and lacks nothing


def test_without_thoughts_there_are_no_behaviours(tmp_path, say, make_item) -> None:
    path = say(tmp_path / "run", {"toy": [(make_item(), ["<answer>(B)</answer>"])]})
    assert behaviours_of(load_run(path).answers["toy"]) is None


def test_every_behaviour_has_a_name() -> None:
    assert set(NAMES) == set(BEHAVIOURS)
