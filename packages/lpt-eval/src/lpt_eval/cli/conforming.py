"""The command ``conformance``: what scorers make of outputs, as tables."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import typer

from lpt_eval.conformance.of_run import Counted, count_run
from lpt_eval.conformance.stock import stock_scorers, version
from lpt_eval.conformance.suite import (
    AUTHORS,
    KINDS,
    Difference,
    Judged,
    Verdict,
    differences,
    golden,
    judged,
    kind_of,
    unknown,
)
from lpt_eval.rendering import Table, as_text

_SAME = "="


def conformance_command(run: Path | None, *, as_json: bool) -> bool:
    """Print where scorers differ on the suite's outputs, or on a run's.

    Returns:
        Whether all differences on the suite's are known; True of a run.

    Raises:
        LptError: The run cannot be read, or lmms-eval is another than this was written for.
    """
    if run is not None:
        counted = count_run(run)
        _print([run_table(counted)], [dataclasses.asdict(one) for one in counted], as_json=as_json)
        return True
    known = golden()
    all_judged = judged(known.outputs)
    found = differences(all_judged, known)
    surprises = unknown(found, known)
    tables = [outputs_table(all_judged), scorers_table(found, len(all_judged))]
    data = {
        "lmms_eval": version(),
        "outputs": [
            {
                "id": one.output.id,
                "text": one.output.text,
                "outcome": one.outcome,
                "letter": one.ours.letter,
                "scorers": {name: dataclasses.asdict(theirs) for name, theirs in one.theirs.items()},
            }
            for one in all_judged
        ],
        "differences": [dataclasses.asdict(one) for one in found],
        "reasons": known.reasons,
        "unknown": surprises,
    }
    _print(tables, data, as_json=as_json)
    for line in surprises:
        typer.echo(f"unknown: {line}", err=True)
    return not surprises


def outputs_table(all_judged: list[Judged]) -> Table:
    """Each output, what became of it here, and what each other scorer makes of it."""
    scorers = list(all_judged[0].theirs)
    rows = [
        (
            one.output.id,
            f"{one.outcome} {one.ours.letter}".strip(),
            *(_cell(one.ours, one.theirs[scorer]) for scorer in scorers),
        )
        for one in all_judged
    ]
    notes = (
        f"lmms-eval {version()}, thoughts taken off as its command line does. {_SAME} is our verdict; "
        "else what they read and whether it counts as right (+) or wrong (-). The authors' tells no letter.",
    )
    return Table("Outputs", ("output", "ours", *scorers), tuple(rows), notes)


def scorers_table(found: list[Difference], count: int) -> Table:
    """How often each scorer differs, how, and why."""
    counted = Counter((one.scorer, one.kind) for one in found)
    scorers = [AUTHORS, *(scorer.name for scorer in stock_scorers())]
    rows = [(scorer, *(str(counted[scorer, kind]) for kind in KINDS)) for scorer in scorers]
    notes = [f"{kind}: {what}." for kind, what in KINDS.items()]
    notes += [
        "Reasons, and on how many outputs of which scorer:",
        *(f"- {line}" for line in reasons_of(found)),
    ]
    return Table(f"Differences on {count} outputs", ("scorer", *KINDS), tuple(rows), tuple(notes))


def reasons_of(found: list[Difference]) -> list[str]:
    """Why scorers differ, each reason with how many outputs it is of each scorer."""
    reasons, lines = golden().reasons, list[str]()
    for code in dict.fromkeys(one.reason for one in found):
        counted = Counter(one.scorer for one in found if one.reason == code)
        where = ", ".join(f"{scorer} {count}" for scorer, count in counted.items())
        lines.append(f"{reasons.get(code or '', 'not known')}: {where}")
    return sorted(lines)


def run_table(counted: list[Counted]) -> Table:
    """What other scorers make of a run's answers."""
    rows = [
        (
            f"{one.benchmark}: {one.scorer}",
            str(one.rows),
            _share(one.ours, one.rows),
            _share(one.right, one.rows),
            *(str(one.kinds.get(kind, 0)) for kind in KINDS),
        )
        for one in counted
    ]
    notes = tuple(f"{kind}: {what}." for kind, what in KINDS.items())
    return Table("Other scorers", ("scorer", "rows", "ours", "theirs", *KINDS), tuple(rows), notes)


def _cell(ours: Verdict, theirs: Verdict) -> str:
    if kind_of(ours, theirs) is None:
        return _SAME
    return f"{theirs.letter or ''}{'+' if theirs.right else '-'}"


def _share(count: int, rows: int) -> str:
    return f"{100 * count / rows:.2f}" if rows else "–"


def _print(tables: list[Table], data: object, *, as_json: bool) -> None:
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n" if as_json else as_text(tables)
    typer.echo(text, nl=False)
