from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lpt_core import ConfigError, Sampling
from lpt_eval.compare import compare
from lpt_eval.folder import RunFolder
from lpt_eval.records import Item
from lpt_eval.statistics import holm, mcnemar

MakeItem = Callable[..., Item]
MakeRun = Callable[..., Path]


def vstar(make_item: MakeItem) -> list[Item]:
    kinds = ["direct_attributes"] * 115 + ["relative_position"] * 76
    return [make_item(str(place), benchmark="vstar", category=kind) for place, kind in enumerate(kinds)]


def answered(right: int, of: int) -> list[str]:
    return ["+"] * right + ["-"] * (of - right)


def test_the_papers_gain_on_v_star_comes_with_its_interval(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    """45/115 and 44/76 become 57/115 and 54/76: 48.51, 60.31, +11.8 (table 1), 22 questions of 191.

    Which questions they were is not published. Had none been lost, the interval would be narrowest.
    """
    items = vstar(make_item)
    base = make_run(tmp_path / "base", {"vstar": (items, answered(45, 115) + answered(44, 76))})
    ours = make_run(tmp_path / "ours", {"vstar": (items, answered(57, 115) + answered(54, 76))})
    (pair,) = compare([base, ours]).pairs
    (found,) = pair.benchmarks
    assert found.metric == "macro"
    assert round(100 * found.score.first, 2) == 48.51
    assert round(100 * found.score.second, 2) == 60.31
    assert round(100 * found.score.difference, 1) == 11.8
    assert (len(found.gained), len(found.lost)) == (22, 0)
    assert found.mcnemar == found.p == found.adjusted == 2 * 2.0**-22
    assert found.score.interval.low == pytest.approx(0.073, abs=0.008)
    assert found.score.interval.high == pytest.approx(0.166, abs=0.008)
    assert found.metrics["micro"].difference == pytest.approx(22 / 191)


def test_the_same_gain_among_many_changed_answers_is_much_less_sure(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    """With 42 questions gained and 20 lost, chance alone reaches from four points to nearly twenty."""
    items = vstar(make_item)
    first = answered(45, 115) + answered(44, 76)
    second = ["-"] * 10 + answered(57, 105) + ["-"] * 10 + answered(54, 66)
    base = make_run(tmp_path / "base", {"vstar": (items, first)})
    ours = make_run(tmp_path / "ours", {"vstar": (items, second)})
    (found,) = compare([base, ours]).pairs[0].benchmarks
    assert round(100 * found.score.difference, 1) == 11.8
    assert (len(found.gained), len(found.lost)) == (42, 20)
    assert found.score.interval.low == pytest.approx(0.037, abs=0.01)
    assert found.score.interval.high == pytest.approx(0.199, abs=0.01)
    assert found.mcnemar == mcnemar(42, 20)


def test_gains_and_losses_are_named(tmp_path: Path, make_item: MakeItem, make_run: MakeRun) -> None:
    items = [make_item(name) for name in "abcdef"]
    first = make_run(tmp_path / "one", {"toy": (items, list("++--xt"))})
    second = make_run(tmp_path / "two", {"toy": (items, list("+-+-+f"))})
    (found,) = compare([first, second]).pairs[0].benchmarks
    assert (set(found.gained), set(found.lost)) == ({"c", "e"}, {"b"})


def test_comparing_the_other_way_round_turns_the_signs(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    items = vstar(make_item)
    first = make_run(tmp_path / "one", {"vstar": (items, answered(100, 191))})
    second = make_run(tmp_path / "two", {"vstar": (items, ["-"] * 30 + answered(100, 161))})
    there, back = (compare(paths).pairs[0] for paths in ([first, second], [second, first]))
    one, other = there.benchmarks[0], back.benchmarks[0]
    assert (one.gained, one.lost, one.p) == (other.lost, other.gained, other.p)
    assert one.score.difference == pytest.approx(-other.score.difference)
    assert one.score.interval.low == pytest.approx(-other.score.interval.high, abs=0.01)


def test_a_comparison_is_the_same_each_time_and_for_every_order_of_rows(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    items = vstar(make_item)
    signs = answered(100, 191), answered(60, 191)
    first = make_run(tmp_path / "one", {"vstar": (items, signs[0])})
    second = make_run(tmp_path / "two", {"vstar": (items, signs[1])})
    before = compare([first, second])
    for run in (first, second):
        folder = RunFolder(run)
        folder.write_items("vstar", reversed(folder.items("vstar")))
    after = compare([first, second])
    assert after.pairs[0].average == before.pairs[0].average
    assert after.pairs[0].benchmarks[0].metrics == before.pairs[0].benchmarks[0].metrics
    assert compare([first, second], seed=1).pairs[0].average != before.pairs[0].average


def test_holm_goes_over_all_benchmarks_and_all_runs(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    def run(name: str, *right: int) -> Path:
        results = {
            benchmark: (
                [make_item(str(place), benchmark=benchmark) for place in range(30)],
                answered(hits, 30),
            )
            for benchmark, hits in zip(("one", "two"), right, strict=True)
        }
        return make_run(tmp_path / name, results)

    made = compare([run("a", 10, 10), run("b", 16, 20), run("c", 25, 11)])
    found = [one for pair in made.pairs for one in pair.benchmarks]
    assert len(found) == 4
    assert [one.adjusted for one in found] == holm([one.p for one in found])
    assert [pair.second for pair in made.pairs] == ["b", "c"]


def test_the_average_is_over_benchmarks_and_the_pool_over_questions(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    small = [make_item(str(place), benchmark="small") for place in range(10)]
    large = [make_item(str(place), benchmark="large") for place in range(90)]
    first = make_run(
        tmp_path / "one", {"small": (small, answered(5, 10)), "large": (large, answered(45, 90))}
    )
    second = make_run(
        tmp_path / "two", {"small": (small, answered(9, 10)), "large": (large, answered(45, 90))}
    )
    (pair,) = compare([first, second]).pairs
    assert pair.average.difference == pytest.approx(0.2)
    assert pair.pooled.difference == pytest.approx(0.04)
    assert pair.mcnemar == pair.p == 2 * 2.0**-4


def test_questions_that_go_together_are_one_observation(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    """Ten questions gained about one image tell no more than one."""
    items = [make_item(str(place), cluster=f"image {place // 10}") for place in range(60)]
    first = make_run(tmp_path / "one", {"toy": (items, answered(30, 60))})
    second = make_run(tmp_path / "two", {"toy": (items, answered(40, 60))})
    (found,) = compare([first, second]).pairs[0].benchmarks
    assert found.mcnemar == 2 * 2.0**-10
    assert found.p == 1.0
    assert found.clusters == 6
    assert found.score.interval.low == 0
    assert found.detectable is None or found.detectable > 0.3


def test_with_several_samples_there_is_no_mcnemar(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    items = [make_item(str(place)) for place in range(6)]
    first = make_run(tmp_path / "one", {"toy": (items, ["+-", "--", "++", "-x", "+-", "-+"])})
    second = make_run(tmp_path / "two", {"toy": (items, ["++", "+-", "+-", "++", "++", "++"])})
    (found,) = compare([first, second]).pairs[0].benchmarks
    assert found.mcnemar is None
    assert found.score.difference == pytest.approx(5 / 12)
    assert (len(found.gained), len(found.lost)) == (5, 1)
    assert found.p == pytest.approx(12 / 64)  # by hand: five of size 1 and one of 2, which sum to 5


# ---- unlike, incomplete ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"system": "Answer at once."}, "system is 'Think.' and 'Answer at once.'"),
        (
            {"sampling": Sampling(temperature=0.7, max_tokens=1024)},
            "sampling.temperature is 0.0 and 0.7",
        ),
        ({"label_set": "corrected"}, "label_set is 'original' and 'corrected'"),
        ({"form": "direct"}, "form is 'think' and 'direct'"),
        ({"seed": 3}, "seed is None and 3"),
    ],
)
def test_unlike_protocols_are_refused_and_it_is_said_what_differs(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun, changes: dict[str, object], said: str
) -> None:
    items = [make_item(str(place)) for place in range(4)]
    first = make_run(tmp_path / "one", {"toy": (items, list("++--"))})
    second = make_run(tmp_path / "two", {"toy": (items, list("+++-"))}, **changes)
    with pytest.raises(ConfigError) as refused:
        compare([first, second])
    assert f"two: toy: {said}" in str(refused.value)
    assert "--allow-unlike" in str(refused.value)
    allowed = compare([first, second], allow_unlike=True)
    assert allowed.unlike == (f"two: toy: {said}",)
    assert allowed.pairs[0].benchmarks[0].gained == ("2",)


def test_protocols_that_only_have_other_names_are_alike(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    items = [make_item("1"), make_item("2")]
    first = make_run(tmp_path / "one", {"toy": (items, ["+", "-"])})
    second = make_run(tmp_path / "two", {"toy": (items, ["+", "-"])}, name="mine")
    assert compare([first, second]).unlike == ()


def test_other_questions_are_named(tmp_path: Path, make_item: MakeItem, make_run: MakeRun) -> None:
    first = make_run(tmp_path / "one", {"toy": ([make_item("a"), make_item("b")], ["+", "+"])})
    second = make_run(tmp_path / "two", {"toy": ([make_item("a"), make_item("b", gold=0)], ["+", "-"])})
    third = make_run(tmp_path / "three", {"other": ([make_item("a", benchmark="other")], ["+"])})
    with pytest.raises(ConfigError, match="1 items are only in one, or have other labels there: b"):
        compare([first, second])
    with pytest.raises(ConfigError, match="only one has toy"):
        compare([first, third])
    with pytest.raises(ConfigError, match="no question in common"):
        compare([first, third], allow_unlike=True)
    assert compare([first, second], allow_unlike=True).pairs[0].benchmarks[0].items == 1


def test_questions_that_are_shown_or_sorted_otherwise_are_named(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    first = make_run(tmp_path / "one", {"toy": ([make_item("a")], ["+"])})
    turned = make_run(tmp_path / "two", {"toy": ([make_item("a", order=(1, 0, 2, 3))], ["-"])})
    moved = make_run(tmp_path / "three", {"toy": ([make_item("a", category="new")], ["-"])})
    with pytest.raises(ConfigError, match="1 items are shown otherwise: a"):
        compare([first, turned])
    with pytest.raises(ConfigError, match="1 items are in other categories or clusters: a"):
        compare([first, moved])


def test_missing_items_are_named_and_left_out(tmp_path: Path, make_item: MakeItem, make_run: MakeRun) -> None:
    items = [make_item(name) for name in "abcdefgh"]
    first = make_run(tmp_path / "one", {"toy": (items, list("++++----"))})
    second = make_run(tmp_path / "two", {"toy": (items, list("+-      "))})
    made = compare([first, second])
    (found,) = made.pairs[0].benchmarks
    assert found.items == 2
    assert found.left_out == tuple("cdefgh")
    assert made.incomplete == ("two: toy: 6 of 8 items have no complete answer: c, d, e, f, g and 1 more",)


def test_a_request_that_failed_is_no_missing_item_but_a_wrong_one(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    items = [make_item(name) for name in "ab"]
    first = make_run(tmp_path / "one", {"toy": (items, ["+", "+"])})
    second = make_run(tmp_path / "two", {"toy": (items, ["+", "f"])})
    made = compare([first, second])
    assert made.incomplete == ()
    assert made.pairs[0].benchmarks[0].lost == ("b",)
    assert made.runs[1].benchmarks["toy"].failure_share == 0.5


def test_runs_of_the_same_folder_name_are_told_apart(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    items = [make_item("a"), make_item("b")]
    paths = [make_run(tmp_path / side / "run", {"toy": (items, ["+", "-"])}) for side in ("x", "y")]
    assert len({run.name for run in compare(paths).runs}) == 2


def test_one_run_is_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs two runs"):
        compare([tmp_path])


def test_three_runs_of_ten_thousand_questions_take_seconds(
    tmp_path: Path, make_item: MakeItem, make_run: MakeRun
) -> None:
    items = [
        make_item(str(place), benchmark="mmlu_pro", category=f"subject {place % 14}", cluster=f"{place // 2}")
        for place in range(10_000)
    ]
    paths = [
        make_run(
            tmp_path / f"run{run}",
            {"mmlu_pro": (items, ["+-"[(place * (run + 3)) % 7 % 2] for place in range(10_000)])},
        )
        for run in range(3)
    ]
    before = time.process_time()
    made = compare(paths)
    assert time.process_time() - before < 20  # about three on an idle machine
    assert {one.items for pair in made.pairs for one in pair.benchmarks} == {10_000}
