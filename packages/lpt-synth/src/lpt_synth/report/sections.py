"""The parts of the page that stand without a script: everything but the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lpt_synth.report import charts
from lpt_synth.report.gather import Gathered
from lpt_synth.report.html import Cell, Markup, bar, behind, joined, share, table, tag
from lpt_synth.store import Usage

PAIR_NAMES = {
    "right_over_wrong": "pairs: right over wrong",
    "short_over_spoiled": "pairs: short over spoiled",
    "turned_over_wrong": "pairs: turned over wrong",
    "compact_over_long": "pairs: compact over long",
}
SFT_NAMES = {
    "short_right": "SFT: right, short",
    "right_right": "SFT: stayed right",
    "wrong_right": "SFT: turned right",
}
_STAGES = {
    "ask": "questions",
    "reformat": "reformatting",
    "think": "short thoughts",
    "expand": "continuations",
    "judge": "verdicts",
}


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What a report says beyond what a pass over the run finds.

    Attributes:
        name: The run's, for people.
        complete: Whether nothing is missing.
        incomplete: Captions of which something is.
        sets: "current", "stale" or "none"; only current ones are shown.
        funnel: (key, label, count), as `lpt-synth status` has them.
        usage: What was asked and paid for, by stage.
        again: (stage, reason, requests) of what was asked again.
        models: (role, model, revision).
        prompts: (stage, prompt).
        config: The configuration, as YAML without hosts, paths and secrets.
        problems: Of the source.
        version: Of lpt-synth.
    """

    name: str
    complete: bool = True
    incomplete: int = 0
    sets: str = "none"
    funnel: Sequence[tuple[str, str, int]] = ()
    usage: Sequence[Usage] = ()
    again: Sequence[tuple[str, str, int]] = ()
    models: Sequence[tuple[str, str, str]] = ()
    prompts: Sequence[tuple[str, str]] = ()
    config: str = ""
    problems: Sequence[str] = field(default_factory=list[str])
    version: str = ""


def section(name: str, title: str, said: str, *content: Cell) -> Markup:
    """A part of the page under a heading."""
    head = tag("div", tag("h2", title, id=f"{name}-title"), tag("p", said), class_="head")
    return tag("section", head, *content, id=name, aria_labelledby=f"{name}-title")


def header(facts: ReportFacts, made: Gathered) -> Markup:
    """The name, the state, and the figures that one looks for first."""
    total = made.figures.total()
    if facts.complete:
        state = tag("span", "complete", class_="chip good")
    else:
        state = tag("span", f"incomplete: {facts.incomplete:,} captions are not finished", class_="chip poor")
    sets = {
        "stale": "the sets are older than the run: lpt-synth run makes them anew",
        "none": "no training sets yet",
    }.get(facts.sets)
    tiles: list[tuple[str, str, str]] = [
        ("captions", f"{made.captions:,}", f"{made.thumbnails.total:,} pictures"),
        ("questions", f"{total.questions:,}", f"{total.questions / max(made.captions, 1):.1f} a caption"),
        (
            "short thoughts",
            f"{total.short:,}",
            f"{share(total.short_right, total.short_read)} of those read are right",
        ),
        (
            "continuations",
            f"{total.long:,}",
            f"{share(total.long_right, total.long_read)} of those read are right",
        ),
        (
            "wrong turned right",
            f"{total.turned_right:,}",
            f"of {total.wrong_continued:,} wrong thoughts gone on from",
        ),
        ("SFT examples", f"{made.sft.total():,}", f"{made.sft['wrong_right']:,} of them turned right"),
        (
            "preference pairs",
            f"{made.pairs.total():,}",
            f"of {sum(1 for n in made.pairs.values() if n)} kinds",
        ),
        _cost_tile(facts.usage),
    ]
    grid = joined(
        tag("div", tag("dt", what), tag("dd", tag("b", number), tag("small", said)))
        for what, number, said in tiles
    )
    chips = [state] + ([tag("span", sets, class_="chip poor")] if sets else [])
    return tag(
        "header",
        tag("p", "lpt-synth report", class_="brand"),
        tag("h1", facts.name),
        tag("p", *chips, class_="chips"),
        tag("dl", grid, class_="tiles"),
    )


def figures(facts: ReportFacts, made: Gathered) -> Markup:
    """All sections with figures, in the order of the page."""
    taken = {name: made.sft[kind] for kind, name in SFT_NAMES.items() if made.sft[kind]}
    taken |= {name: made.pairs[kind] for kind, name in PAIR_NAMES.items() if made.pairs[kind]}
    exact = behind(
        "Every line of the funnel", table(("step", "count"), _lines(facts), "As lpt-synth status counts")
    )
    return joined(
        [
            section(
                "funnel",
                "What each filter took",
                "Every answer is counted once, where it was lost or kept.",
                charts.funnel(made.tally, made.figures, taken),
                exact,
            ),
            section(
                "yields", "Yields by question type", "What came of the questions of each type.", _yields(made)
            ),
            section(
                "passes",
                "How hard the questions are",
                "Questions by the share of their short thoughts that are right.",
                charts.passes(made.figures),
            ),
            section(
                "lengths",
                "How long thoughts are",
                "Short thoughts, what continuations added, and both together.",
                charts.lengths(made.figures),
            ),
            section(
                "behaviours",
                "Cognitive behaviours",
                "Thoughts that show each of four behaviours at least once.",
                charts.behaviours(made.figures),
            ),
            section("cost", "What it cost", "Over all runs in this directory.", _cost(facts)),
        ]
    )


def _lines(facts: ReportFacts) -> list[tuple[str, int]]:
    return [(label, count) for _, label, count in facts.funnel]


def _yields(made: Gathered) -> Markup:
    ordered = sorted(made.figures.types.items(), key=lambda one: (-one[1].questions, one[0]))
    rows = [
        (
            name,
            one.questions,
            _of(one.short_right, one.short_read, "right"),
            _of(one.long_right, one.long_read, "right"),
            _of(one.turned_right, one.wrong_continued, "turned"),
            one.sft,
            one.pairs,
        )
        for name, one in [*ordered, ("all", made.figures.total())]
    ]
    head = (
        "type",
        "questions",
        "short thoughts right",
        "continuations right",
        "wrong turned right",
        "SFT",
        "pairs",
    )
    return table(head, rows, "Shares are of thoughts whose answer could be read")


def _of(part: int, whole: int, name: str) -> Markup:
    said = tag("span", share(part, whole), tag("small", f"{part:,} of {whole:,}"))
    return tag("div", said, bar([(name, part)], whole), class_="cell")


def _cost(facts: ReportFacts) -> Markup:
    rows: list[tuple[Cell, ...]] = [
        (
            _STAGES.get(one.stage, one.stage),
            one.sent,
            one.samples,
            one.input_tokens,
            one.output_tokens,
            f"{one.cost:,.2f}",
        )
        for one in sorted(facts.usage, key=lambda one: [*_STAGES, one.stage].index(one.stage))
    ]
    totals = [
        sum(getattr(one, name) for one in facts.usage)
        for name in ("sent", "samples", "input_tokens", "output_tokens")
    ]
    rows.append(("all", *totals, f"{sum(one.cost for one in facts.usage):,.2f}"))
    head = ("stage", "requests sent", "answers", "tokens read", "tokens written", "cost")
    again = [(f"{stage}: {reason}", count) for stage, reason, count in facts.again]
    asked = table(("asked again", "requests"), again, "What was asked again, and why") if again else ""
    note = tag("p", "Cost is in the currency of the configured prices; 0.00 where none are configured.")
    return joined([table(head, rows, "What was asked and answered"), note, asked])


def provenance(facts: ReportFacts) -> Markup:
    """What made the run: models, prompts, configuration, and what was wrong with its source."""
    parts: list[Cell] = [
        table(("role", "model", "revision"), facts.models, "Models"),
        table(("stage", "prompt"), facts.prompts, "Prompts"),
        behind("Configuration", tag("pre", facts.config, tabindex="0")),
    ]
    if facts.problems:
        items = joined(tag("li", problem) for problem in facts.problems)
        parts.append(behind(f"{len(facts.problems):,} rows of the source were skipped", tag("ul", items)))
    return section(
        "made",
        "How it was made",
        "The configuration stands here without hosts, paths and secrets.",
        tag("div", *parts, class_="stack"),
    )


def gallery_notes(made: Gathered) -> list[str]:
    """What the gallery does not show."""
    small, notes = made.thumbnails, list[str]()
    if small.left_out:
        notes.append(
            f"{small.left_out:,} of {small.total:,} pictures are left out to keep the file small "
            "(--images-mb takes more)."
        )
    if small.unreadable:
        notes.append(f"{small.unreadable:,} pictures could not be read where the run found them.")
    if made.strays:
        notes.append(f"{made.strays:,} examples of the sets are not in this run.")
    return notes


def _cost_tile(usage: Sequence[Usage]) -> tuple[str, str, str]:
    cost, written = sum(one.cost for one in usage), _tokens(usage)
    if cost:
        return "cost", f"{cost:,.2f}", f"{written} tokens written"
    return "tokens written", written, "no prices are configured"


def _tokens(usage: Sequence[Usage]) -> str:
    count = sum(one.output_tokens for one in usage)
    for limit, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return str(count)
