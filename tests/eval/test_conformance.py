"""The same outputs through lmms-eval's stock scorers, the authors' and ours: every difference is known."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest
from inline_snapshot import snapshot

from lpt_eval.conformance.authors import authors_hit, authors_read
from lpt_eval.conformance.of_run import count_run
from lpt_eval.conformance.stock import stock_scorers, stripped, version
from lpt_eval.conformance.suite import AUTHORS, Golden, differences, golden, judged, unknown
from lpt_eval.native import NATIVE


@pytest.fixture(scope="module")
def known() -> Golden:
    return golden()


@pytest.fixture(scope="module")
def all_judged(known):
    return judged(known.outputs)


@pytest.fixture(scope="module")
def found(all_judged, known):
    return differences(all_judged, known)


def test_the_differences_are_those_that_are_listed_each_with_its_reason(found, known) -> None:
    assert version().startswith("0.7.")
    assert unknown(found, known) == []
    assert {one.reason for one in found} == set(known.reasons)


def test_how_often_each_scorer_differs(found) -> None:
    """The figures that the documentation gives."""
    counted = Counter((one.scorer, one.kind) for one in found)
    assert {f"{scorer}: {kind}": count for (scorer, kind), count in sorted(counted.items())} == snapshot(
        {
            "authors: credited": 3,
            "authors: guessed": 4,
            "authors: missed": 12,
            "cv_bench: another": 1,
            "cv_bench: guessed": 9,
            "cv_bench: missed": 23,
            "cv_bench: unread": 4,
            "mme_realworld: credited": 1,
            "mme_realworld: guessed": 18,
            "mme_realworld: missed": 5,
            "mme_realworld: unread": 2,
            "mmlu_pro custom: missed": 26,
            "mmlu_pro custom: unread": 5,
            "mmlu_pro flexible: guessed": 9,
            "mmlu_pro flexible: missed": 8,
            "mmstar: guessed": 13,
            "mmstar: missed": 4,
            "mmstar: unread": 2,
            "mmvp: guessed": 10,
            "mmvp: missed": 18,
            "mmvp: unread": 5,
            "vstar: credited": 1,
            "vstar: guessed": 10,
            "vstar: missed": 5,
            "vstar: unread": 2,
        }
    )


def test_our_own_outcomes(all_judged) -> None:
    counted = Counter(one.outcome for one in all_judged)
    assert counted == {"correct": 29, "wrong": 5, "unextractable": 17, "truncated": 3, "failed": 2}
    assert len({one.output.id for one in all_judged}) == len(all_judged) == 56
    assert {one.output.form for one in all_judged} == {"think", "direct", "native"}


def test_a_perfect_answer_after_a_thought_is_nothing_to_two_stock_tasks(all_judged) -> None:
    (perfect,) = (one for one in all_judged if one.output.id == "think: letter in parentheses")
    read = {name: theirs.letter for name, theirs in perfect.theirs.items() if name != AUTHORS}
    assert (read["cv_bench"], read["mmvp"]) == ("", "")
    assert read["vstar"] == read["mmstar"] == read["mme_realworld"] == "B"
    assert perfect.outcome == "correct"


def test_a_surprise_is_told(found, known) -> None:
    fewer = known.model_copy(update={"known": {**known.known, AUTHORS: {}}})
    told = unknown(found, fewer)
    assert len(told) == 19
    assert all(line.startswith("authors: ") and line.endswith("is not listed") for line in told)
    assert unknown(found[1:], known) == [
        f"{found[0].scorer}: {found[0].output}: is listed, and does not differ"
    ]


def test_the_scorers_are_functions_of_the_lmms_eval_that_is_installed() -> None:
    scorers = {scorer.name: scorer for scorer in stock_scorers()}
    assert {scorer.benchmark for scorer in scorers.values()} == set(NATIVE)
    assert stripped("<think>(A)</think> (B)") == "(B)"
    assert stripped("(A)</think> (B)") == "(B)"
    assert stripped("<think>(A)") == "<think>(A)"
    menus = [("one", "two")] * 2
    assert scorers["mmlu_pro custom"].letters(["the answer is (B)", "so B"], menus) == ["B", ""]
    assert scorers["mmlu_pro flexible"].letters(["(A) or (B)", "two"], menus) == ["B", "B"]
    assert scorers["mme_realworld"].letters([""], menus[:1]) == ["A"]


COLOURS = ("Red", "Blue", "Green", "Yellow")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("<answer> (B) </answer>", "(B)"),
        ("<think><answer>(A)</answer></think><answer>(B)</answer>", "(A)"),
        ("Well. Answer: (B) Blue", "(B) Blue"),
        ("Answer: A Answer: B", "A"),
        (" (B) ", "(B)"),
        ("<answer>(B)", "<answer>(B)"),
    ],
)
def test_what_the_authors_take_for_the_answer(text: str, read: str) -> None:
    assert authors_read(text) == read


@pytest.mark.parametrize(
    "said", ["B", "(B)", "B.", "(B) because", "B. Blue", "Blue", "blue", "Red", "(B) x or (C)"]
)
def test_what_counts_for_the_authors(said: str) -> None:
    assert authors_hit(f"<answer>{said}</answer>", COLOURS, 1)


@pytest.mark.parametrize(
    "said", ["b", "(b)", "B)", "B: Blue", "**B**", "(B),", "(B)Blue", "A", "", "Purple", "B is"]
)
def test_what_does_not(said: str) -> None:
    assert not authors_hit(f"<answer>{said}</answer>", COLOURS, 1)


def test_an_option_with_a_label_in_it_is_split_by_the_authors() -> None:
    options = ("Between A. and B.", "Vitamin C")
    assert not authors_hit("<answer>Between A. and B.</answer>", options, 0)
    assert authors_hit("<answer>and</answer>", options, 0)


def test_a_runs_own_answers_through_the_other_scorers(tmp_path, make_item, make_run) -> None:
    items = [make_item(str(number), benchmark="vstar") for number in range(5)]
    other = [make_item(str(number)) for number in range(2)]
    run = make_run(
        tmp_path / "run", {"vstar": (items, ["+", "-", "x", "t", "f"]), "toy": (other, ["+", "-"])}
    )
    counted = {(one.benchmark, one.scorer): one for one in count_run(run)}
    assert set(counted) == {("vstar", AUTHORS), ("vstar", "vstar"), ("toy", AUTHORS)}
    for one in counted.values():
        assert (one.ours, one.right) == (1, 1)
    # "Purple" and a thought that was cut off: the stock scorer finds no letter in them either.
    assert counted["vstar", "vstar"].kinds == {}


def test_letters_of_a_run_mean_the_order_shown(tmp_path, make_item, make_run) -> None:
    item = make_item("1", benchmark="vstar", order=(1, 0, 2, 3))  # "(B)" is red, and wrong
    run = make_run(tmp_path / "run", {"vstar": ([item], ["+"])})
    assert {(one.scorer, one.ours, one.right) for one in count_run(run)} == {(AUTHORS, 0, 0), ("vstar", 0, 0)}


LOADED = """
import sys
sys.argv = ["lpt-eval", "conformance", "--json"]
from lpt_eval.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
sys.stderr.write(f"{code} {sorted({'torch', 'transformers', 'lmms_eval.tasks'} & sys.modules.keys())}")
"""


@pytest.mark.slow
def test_the_command_loads_neither_torch_nor_all_tasks() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stderr == "0 []"
    told = json.loads(done.stdout)
    assert len(told["outputs"]) == 56
    assert told["unknown"] == []


def test_the_tables_say_what_differs_and_why(capsys) -> None:
    from lpt_eval.cli.conforming import conformance_command

    assert conformance_command(None, as_json=False)
    told = capsys.readouterr().out
    assert "think: letter in parentheses" in told
    assert "Differences on 56 outputs" in told
    assert "- the text of any option counts as right, also of a wrong one: authors 3" in told
