"""Runs over several orders of the options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from lpt_core import LETTERS, READER_VERSION, ConfigError
from lpt_eval.cli.running import _by_order
from lpt_eval.compare import compare
from lpt_eval.folder import RunFolder
from lpt_eval.records import BenchmarkRun, ModelIdentity, Response, RunInfo
from lpt_eval.runs import load_run, over_orders
from lpt_eval.scoring import score
from lpt_eval.summary import summarise


@pytest.fixture
def turned_run(make_item, protocol):
    """A run over as many orders as there are signs for an item: "+" right there, "-" wrong."""

    def make(path: Path, signs: Sequence[str]) -> Path:
        folder = RunFolder(path)
        items = [make_item(str(number), cluster=f"image-{number // 2}") for number in range(len(signs))]
        rows = []
        for item, of_item in zip(items, signs, strict=True):
            for turn, sign in enumerate(of_item):
                place = item.shown(turn).order.index(item.mcq.gold)
                letter = LETTERS[place if sign == "+" else (place + 1) % 4]
                text = f"<think>Hm.</think> <answer>({letter})</answer>"
                said = Response(item_id=item.id, shuffle=turn, text=text, finish_reason="stop")
                rows.append(score(item, said, protocol))
        folder.write_items("toy", items)
        folder.write_rows("toy", rows)
        folder.write_info(
            RunInfo(
                model=ModelIdentity(kind="server", name=path.name),
                benchmarks={"toy": BenchmarkRun(protocol=protocol, items=len(items))},
                shuffles=len(signs[0]),
                reader=READER_VERSION,
                versions={},
            )
        )
        return path

    return make


def test_the_questions_own_order_counts_unless_all_are_wanted(turned_run, tmp_path) -> None:
    run = load_run(turned_run(tmp_path / "a", ["+---", "++--", "+++-", "----"]))
    own, every = summarise(run, draws=100), summarise(over_orders(run), draws=100)
    assert own.benchmarks["toy"].accuracy == 3 / 4
    assert (own.benchmarks["toy"].expected, every.benchmarks["toy"].expected) == (4, 16)
    assert every.benchmarks["toy"].accuracy == 6 / 16
    assert every.benchmarks["toy"].missing == 0


def test_runs_are_compared_over_all_orders_by_question(turned_run, tmp_path) -> None:
    first = turned_run(tmp_path / "a", ["+---", "+---", "+---", "----"])
    second = turned_run(tmp_path / "b", ["++++", "+---", "----", "++--"])
    own = compare([first, second], draws=200).pairs[0].benchmarks[0]
    assert own.score.difference == 0
    every = compare([first, second], all_orders=True, draws=200).pairs[0].benchmarks[0]
    assert every.score.difference == pytest.approx((7 - 3) / 16)
    assert (every.items, every.clusters) == (4, 2)
    assert (every.gained, every.lost) == (("0", "3"), ("2",))


def test_runs_over_unlike_numbers_of_orders_are_not_pooled(turned_run, tmp_path) -> None:
    first, second = (turned_run(tmp_path / name, [signs]) for name, signs in (("a", "+-"), ("b", "+--")))
    assert compare([first, second], draws=100).pairs
    with pytest.raises(ConfigError, match="a over 2, b over 3"):
        compare([first, second], all_orders=True)


def test_a_run_tells_its_accuracy_under_each_order(turned_run, tmp_path) -> None:
    rows = RunFolder(turned_run(tmp_path / "a", ["+-", "+-", "++", "--"])).rows("toy")
    assert _by_order(rows) == "  correct under each order of the options: 75.0%, 25.0%\n"
    assert _by_order([row for row in rows if not row.shuffle]) == ""
