from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lpt_eval.cli import main
from lpt_eval.records import Item

MakeItem = Callable[..., Item]
MakeRun = Callable[..., Path]
Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs the command line; gives its status and what it printed to both streams."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lpt-eval", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        told = capsys.readouterr()
        return int(left.value.code or 0), told.out, told.err

    return run


@pytest.fixture
def runs(tmp_path: Path, make_item: MakeItem, make_run: MakeRun) -> Callable[..., list[Path]]:
    def make(*signs: str, **changes: object) -> list[Path]:
        items = [make_item(f"q{place}") for place in range(len(signs[0]))]
        return [
            make_run(tmp_path / f"run{place}", {"toy": (items, list(one))}, **(changes if place else {}))
            for place, one in enumerate(signs)
        ]

    return make


def test_three_runs_are_compared_with_the_first(say: Say, runs: Callable[..., list[Path]]) -> None:
    status, told, complaints = say("compare", *runs("+--+" * 5, "++-+" * 5, "----" * 5))
    assert (status, complaints) == (0, "")
    assert "run1 against run0" in told
    assert "run2 against run0" in told
    assert "gained by run1 on toy: q1, q5, q9, q13, q17" in told
    assert "lost by run2 on toy: q0, q3" in told


def test_json_markdown_and_latex(say: Say, runs: Callable[..., list[Path]]) -> None:
    paths = runs("+--+", "++-+")
    assert json.loads(say("compare", *paths, "--json")[1])["pairs"][0]["second"] == "run1"
    assert "| run1 |" in say("compare", *paths, "--markdown")[1]
    assert r"\toprule" in say("compare", *paths, "--latex")[1]
    status, told, complaints = say("compare", *paths, "--latex", "--json")
    assert (status, told) == (2, "")
    assert "one of them at a time" in complaints


def test_unlike_runs_are_misuse_unless_that_is_allowed(say: Say, runs: Callable[..., list[Path]]) -> None:
    paths = runs("+--+", "++-+", system="Answer at once.")
    status, told, complaints = say("compare", *paths)
    assert (status, told) == (2, "")
    assert "system is 'Think.' and 'Answer at once.'" in complaints
    status, told, complaints = say("compare", *paths, "--allow-unlike")
    assert status == 0
    assert "unlike: run1: toy: system is" in complaints


def test_a_run_that_lacks_answers_is_compared_and_complained_about(
    say: Say, runs: Callable[..., list[Path]]
) -> None:
    status, told, complaints = say("compare", *runs("+--+" * 5, "++-+" * 4 + "++- "))
    assert status == 1
    assert "run1 against run0" in told
    assert "incomplete: run1: toy: 1 of 20 items have no complete answer: q19" in complaints


def test_too_many_failures_end_with_a_status(say: Say, runs: Callable[..., list[Path]]) -> None:
    paths = runs("+--+", "+-xt")
    status, _, complaints = say("compare", *paths)
    assert status == 1
    assert "run1: toy: 50.0 % of the rows have no answer" in complaints
    assert say("compare", *paths, "--max-failures", "0.5")[0] == 0


@pytest.mark.parametrize("arguments", [[], ["nowhere"], ["nowhere", "nothing"]])
def test_misuse_ends_in_a_sentence(say: Say, arguments: list[str]) -> None:
    status, _, complaints = say("compare", *arguments)
    assert status == 2
    assert complaints
    assert "Traceback" not in complaints


def test_a_broken_file_ends_in_a_sentence_that_names_it(say: Say, runs: Callable[..., list[Path]]) -> None:
    paths = runs("+-", "-+")
    (paths[1] / "rows" / "toy.jsonl").write_text('{"item_id": 3}\n')
    status, _, complaints = say("compare", *paths)
    assert status == 1
    assert "toy.jsonl, line 1" in complaints


def test_comparing_loads_no_framework(runs: Callable[..., list[Path]]) -> None:
    paths = [str(path) for path in runs("+-", "-+")]
    code = (
        "import sys\n"
        f"sys.argv = ['lpt-eval', 'compare', *{paths!r}]\n"
        "from lpt_eval.cli import main\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert not left.code, left.code\n"
        "heavy = {'torch', 'transformers', 'lmms_eval', 'datasets', 'PIL', 'scipy', 'pandas', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, timeout=120)
