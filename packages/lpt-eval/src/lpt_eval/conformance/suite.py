"""The outputs through all scorers: what each makes of them, and what is known of the differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import Field

from lpt_core import MCQ, Part, Presentation, Sampling
from lpt_eval.conformance.authors import authors_hit
from lpt_eval.conformance.stock import stock_scorers, stripped
from lpt_eval.protocol import Form, Protocol, Reading
from lpt_eval.records import FinishReason, Item, Response
from lpt_eval.scoring import score

AUTHORS = "authors"
"""What the re-statement of the authors' scorer is called."""

_READINGS: dict[Form, Reading] = {"think": "tagged", "direct": "tagged", "native": "tail"}
Kind = Literal["missed", "credited", "guessed", "unread", "another"]
KINDS: dict[Kind, str] = {
    "missed": "a right answer counts as wrong",
    "credited": "what is no right answer counts as right",
    "guessed": "a letter where nothing was answered; by chance right",
    "unread": "a wrong answer that is not read",
    "another": "another wrong letter",
}
"""How a scorer can differ from ours."""


class Output(Part):
    """An output of a model, and what was asked.

    Attributes:
        id: What it shows.
        form: How it was asked.
        text: The output.
        options: Of the question.
        gold: Which is right.
        finish_reason: How it ended.
        error: What went wrong, where something did.
    """

    id: str
    form: Form
    text: str
    options: tuple[str, ...] = ("Red", "Blue", "Green", "Yellow")
    gold: int = 1
    finish_reason: FinishReason = "stop"
    error: str | None = None


class Golden(Part):
    """The outputs that ship, and which differences are known.

    Attributes:
        outputs: The outputs.
        reasons: Why a scorer differs: a sentence for each code.
        known: By scorer and by reason, the outputs on which it differs.
    """

    outputs: tuple[Output, ...] = Field(min_length=1)
    reasons: dict[str, str]
    known: dict[str, dict[str, tuple[str, ...]]]

    def reason(self, scorer: str, output: str) -> str | None:
        """The code of the reason for a difference; None where it is not known."""
        for code, outputs in self.known.get(scorer, {}).items():
            if output in outputs:
                return code
        return None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a scorer makes of an output.

    Attributes:
        right: It counts as right.
        letter: What was read: "" where nothing was, None where the scorer does not tell.
    """

    right: bool
    letter: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A scorer that differs from ours.

    Attributes:
        output: Which output.
        scorer: Which scorer.
        kind: How it differs.
        theirs: What it makes of it.
        reason: The code of the reason; None where it is not known.
    """

    output: str
    scorer: str
    kind: Kind
    theirs: Verdict
    reason: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """An output and what all scorers make of it.

    Attributes:
        output: The output.
        outcome: Ours.
        ours: Our verdict.
        theirs: The others', by scorer.
    """

    output: Output
    outcome: str
    ours: Verdict
    theirs: dict[str, Verdict]


@cache
def golden() -> Golden:
    """The outputs that ship with lpt-eval."""
    text = (resources.files("lpt_eval") / "data" / "golden.json").read_text(encoding="utf-8")
    return Golden.model_validate_json(text)


def judged(outputs: Iterable[Output]) -> list[Judged]:
    """Run outputs through all scorers.

    lmms-eval's get them as its command line hands them over: without thoughts, where these have both tags.

    Raises:
        ConfigError: lmms-eval is not installed, or another version than this was written for.
    """
    asked = list(outputs)
    plain, menus = [stripped(one.text) for one in asked], [one.options for one in asked]
    letters = {scorer: scorer.letters(plain, menus) for scorer in stock_scorers()}
    found: list[Judged] = []
    for number, output in enumerate(asked):
        theirs = {AUTHORS: Verdict(authors_hit(output.text, output.options, output.gold), None)}
        for scorer, read in letters.items():
            theirs[scorer.name] = Verdict(scorer.right(read[number], output.gold), read[number])
        found.append(_judged(output, theirs))
    return found


def differences(all_judged: Sequence[Judged], known: Golden) -> list[Difference]:
    """Where scorers differ from ours, output by output."""
    return [
        Difference(one.output.id, scorer, kind, theirs, known.reason(scorer, one.output.id))
        for one in all_judged
        for scorer, theirs in one.theirs.items()
        if (kind := kind_of(one.ours, theirs)) is not None
    ]


def unknown(found: Iterable[Difference], known: Golden) -> list[str]:
    """Differences that are not known, and known ones that are none, a sentence each."""
    there = {(one.scorer, one.output) for one in found}
    listed = {
        (scorer, output)
        for scorer, reasons in known.known.items()
        for outputs in reasons.values()
        for output in outputs
    }
    return [
        f"{scorer}: {output}: differs, and is not listed" for scorer, output in sorted(there - listed)
    ] + [f"{scorer}: {output}: is listed, and does not differ" for scorer, output in sorted(listed - there)]


def kind_of(ours: Verdict, theirs: Verdict) -> Kind | None:
    """How a verdict differs from ours; None where it does not, or where that cannot be told."""
    if ours.right:
        return None if theirs.right else "missed"
    if theirs.right:
        return "credited" if ours.letter else "guessed"
    if theirs.letter is None or ours.letter == theirs.letter:
        return None
    if not ours.letter:
        return "guessed"
    return "another" if theirs.letter else "unread"


def _judged(output: Output, theirs: dict[str, Verdict]) -> Judged:
    item = _item(output)
    said = Response(item_id=item.id, text=output.text, finish_reason=output.finish_reason, error=output.error)
    row = score(item, said, _protocol(output.form))
    return Judged(output, row.outcome, Verdict(row.outcome == "correct", row.letter or ""), theirs)


def _item(output: Output) -> Item:
    mcq = MCQ.make(caption_id="", question="Which of these is it?", options=output.options, gold=output.gold)
    shown = Presentation(
        mcq_id=mcq.id,
        order=tuple(range(len(output.options))),
        option_style="parens",
        answer_style="letter_parens",
    )
    return Item.make(benchmark="conformance", source_id=output.id, mcq=mcq, presentation=shown)


def _protocol(form: Form) -> Protocol:
    return Protocol(
        name="conformance",
        form=form,
        reading=_READINGS[form],
        system="",
        template="{{ question }}",
        sampling=Sampling(),
    )
