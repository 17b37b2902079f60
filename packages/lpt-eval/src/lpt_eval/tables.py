"""What a comparison says, as tables: scores beside the paper's, outcomes, differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from math import isfinite, isnan
from typing import Any

from lpt_eval.compare import Comparison
from lpt_eval.difference import Difference, PairDifference
from lpt_eval.paper import PaperRow, paper_numbers
from lpt_eval.records import OUTCOMES
from lpt_eval.rendering import Table
from lpt_eval.summary import RunSummary, Score

TITLES = {
    "cv_bench": "CV-Bench",
    "vstar": "V*",
    "mmvp": "MMVP",
    "mmstar_v": "MMStar-V",
    "mme_realworld_v": "MME-RW-V",
    "mmlu_pro": "MMLU-Pro",
}
"""The benchmarks of the paper, in its order."""

_MMLU = "mmlu_pro"


def comparison_tables(made: Comparison) -> list[Table]:
    """All tables of a comparison."""
    tables = [*score_tables(made.runs), outcome_table(made.runs)]
    return tables + [difference_table(pair, made) for pair in made.pairs]


def score_tables(runs: Sequence[RunSummary]) -> list[Table]:
    """Scores in the paper's layout, its rows below: benchmarks of images, and MMLU-Pro by subject."""
    names = ordered({name for run in runs for name in run.benchmarks} - {_MMLU})
    tables = [_benchmarks(runs, names)] if names else []
    if any(_MMLU in run.benchmarks for run in runs):
        tables.append(_mmlu_pro(runs))
    return tables


def _benchmarks(runs: Sequence[RunSummary], names: list[str]) -> Table:
    header = ("per cent", *["Avg"] * (len(names) > 1), *(TITLES.get(name, name) for name in names))
    rows: list[tuple[str, ...]] = []
    for run in runs:
        scores = [run.benchmarks[name].score if name in run.benchmarks else None for name in names]
        mean = _mean([None if score is None else score.value for score in scores])
        rows.append((run.name, *[mean] * (len(names) > 1), *map(_with_interval, scores)))
    for paper in paper_numbers().benchmarks:
        values = [_share(paper.scores.get(name)) for name in names]
        if any(value is not None for value in values):
            cells = map(_per_cent, values)
            rows.append((_of_paper(paper), *[_mean(values)] * (len(names) > 1), *cells))
    used = sorted(
        {
            f"{TITLES.get(name, name)}: {one.metric}"
            for run in runs
            for name, one in run.benchmarks.items()
            if name in names
        }
    )
    note = f"Accuracy, what was not answered counted as wrong; 95 % intervals. {', '.join(used)}."
    return Table("Scores", header, tuple(rows), (note,), (len(runs),) if len(rows) > len(runs) else ())


def _mmlu_pro(runs: Sequence[RunSummary]) -> Table:
    there = [run for run in runs if _MMLU in run.benchmarks]
    papers = paper_numbers().mmlu_pro
    subjects = list(papers[0].scores)
    own = {name for run in there for name in run.benchmarks[_MMLU].categories} - set(subjects)
    subjects += sorted(own)
    rows = [
        (
            run.name,
            _with_interval(run.benchmarks[_MMLU].score),
            *(_per_cent(_value(run.benchmarks[_MMLU].categories.get(subject))) for subject in subjects),
        )
        for run in there
    ]
    rows += [
        (
            _of_paper(paper),
            _per_cent(paper.average / 100),
            *(_per_cent(_share(paper.scores.get(subject))) for subject in subjects),
        )
        for paper in papers
    ]
    header = ("per cent", "Avg", *(subject.capitalize() for subject in subjects))
    metrics = sorted({run.benchmarks[_MMLU].metric for run in there})
    note = f"Avg: {', '.join(metrics)}; the paper's is macro over 14 subjects."
    return Table("MMLU-Pro by subject", header, tuple(rows), (note,), (len(there),))


def outcome_table(runs: Sequence[RunSummary]) -> Table:
    """What became of each answer, and between which bounds the accuracy lies."""
    header = ("", "rows", *OUTCOMES, "missing", "accuracy", "if answered")
    rows = [
        (
            f"{run.name}: {TITLES.get(name, name)}",
            str(one.expected),
            *(str(one.outcomes[outcome]) for outcome in OUTCOMES),
            str(one.missing),
            _per_cent(one.accuracy),
            _per_cent(one.answered),
        )
        for run in runs
        for name, one in ((name, run.benchmarks[name]) for name in ordered(run.benchmarks))
    ]
    note = "Accuracy lies between: what was not answered counted as wrong, and left out."
    return Table("Outcomes", header, tuple(rows), (note,))


def difference_table(pair: PairDifference, made: Comparison) -> Table:
    """How two runs differ, in points of a per cent, and how sure that is."""
    header = (
        *("points", "n", "first", "second", "difference", "95 % interval"),
        *("gained", "lost", "McNemar", "p", "Holm", "detectable"),
    )
    rows: list[tuple[str, ...]] = []
    by_name = {one.benchmark: one for one in pair.benchmarks}
    for name in ordered(by_name):
        one = by_name[name]
        for metric in sorted(one.metrics, key=lambda metric: (metric != one.metric, metric)):
            title = f"{TITLES.get(name, name)} ({metric})"
            items, tested = "", ("",) * 6
            if metric == one.metric:
                changed = str(len(one.gained)), str(len(one.lost))
                chances = _p(one.mcnemar), _p(one.p), _p(one.adjusted)
                items, tested = str(one.items), (*changed, *chances, _points(one.detectable, sign=False))
            rows.append((title, items, *_difference(one.metrics[metric]), *tested))
    overall = len(rows)
    if len(pair.benchmarks) > 1:
        items = sum(one.items for one in pair.benchmarks)
        rows.append(("average of benchmarks", "", *_difference(pair.average), *[""] * 6))
        gained, lost = (
            str(sum(len(side) for side in sides))
            for sides in zip(*((one.gained, one.lost) for one in pair.benchmarks), strict=True)
        )
        pooled = _difference(pair.pooled)
        chances = _p(pair.mcnemar), _p(pair.p)
        rows.append(("all questions", str(items), *pooled, gained, lost, *chances, "", ""))
    notes = (
        f"Intervals: percentiles of {made.draws} paired resamples of clusters, seed {made.seed}. "
        "McNemar: exact, by question. p: exact, by cluster; the same where each question stands alone. "
        "Holm: of p, over all benchmarks and runs. "
        "Detectable: what would be found four times in five.",
    )
    rules = (overall,) if len(rows) > overall else ()
    return Table(f"{pair.second} against {pair.first}", header, tuple(rows), notes, rules)


def as_json(made: Comparison) -> dict[str, Any]:
    """A comparison as JSON data; what is not a number is null."""
    return _plain(dataclasses.asdict(made))


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - asdict's
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType] - asdict's
    return value


# ---- cells -------------------------------------------------------------------------------------------

_NONE = "–"


def ordered(names: Iterable[str]) -> list[str]:
    """Names of benchmarks, the paper's first and in its order."""
    order = list(TITLES)
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))


def _of_paper(row: PaperRow) -> str:
    return f"{row.name} (paper, {row.table})"


def _share(per_cent: float | None) -> float | None:
    return None if per_cent is None else per_cent / 100


def _value(score: Score | None) -> float | None:
    return None if score is None else score.value


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _per_cent(sum(known) / len(known)) if known and len(known) == len(values) else _NONE


def _per_cent(value: float | None) -> str:
    return _NONE if value is None or isnan(value) else f"{100 * value:.2f}"


def _with_interval(score: Score | None) -> str:
    if score is None or isnan(score.value):
        return _NONE
    if isnan(score.interval.low):
        return _per_cent(score.value)
    return f"{_per_cent(score.value)} [{100 * score.interval.low:.1f}, {100 * score.interval.high:.1f}]"


def _difference(found: Difference) -> tuple[str, str, str, str]:
    interval = f"[{_points(found.interval.low)}, {_points(found.interval.high)}]"
    if isnan(found.interval.low):
        interval = _NONE
    return _per_cent(found.first), _per_cent(found.second), _points(found.difference), interval


def _points(value: float | None, *, sign: bool = True) -> str:
    if value is None or isnan(value):
        return _NONE
    return f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}"


def _p(value: float | None) -> str:
    if value is None:
        return _NONE
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"
