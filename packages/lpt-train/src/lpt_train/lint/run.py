"""All checks of a file of rows, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lpt_core import PreferencePair, Problem, PromptExample, ResponseSegment, SFTExample
from lpt_train.lint.pairs import check_pair
from lpt_train.lint.pictures import ImageChecks, evaluation_digests
from lpt_train.lint.prompts import check_prompt, check_question
from lpt_train.lint.report import LintReport
from lpt_train.lint.responses import check_loss, check_response
from lpt_train.lint.sets import SetChecks
from lpt_train.lint.side import Side, sides
from lpt_train.lint.tokens import TokenChecks
from lpt_train.rows import Scan, holds_pairs, holds_prompts, scan_pairs, scan_prompts, scan_sft

if TYPE_CHECKING:
    from lpt_train.encoding import Encoder

_NOT_ENCODED = frozenset(
    {
        "image_missing",
        "image_unreadable",
        "image_too_thin",
        "prompt_images",
        "prompt_open",
        "response_empty",
    }
)
"""Faults that leave nothing to be encoded, or say already why encoding would fail."""


def lint(
    path: Path,
    *,
    encoder: Encoder | None = None,
    max_tokens: int | None = None,
    evaluation: Sequence[Path] = (),
) -> LintReport:
    """Look at all rows of SFT examples, preference pairs or prompts; a file's first record tells which.

    Args:
        path: The file.
        encoder: As in training; without it, lengths in tokens are not checked.
        max_tokens: The most that a row may have.
        evaluation: What is evaluated on: folders of images, or records in JSON lines.

    Returns:
        Every problem of every row, by line; nothing is dropped. Which kinds there are, the functions of
        this package list.

    Raises:
        DataError: The file, or one of ``evaluation``, cannot be read.
        ConfigError: The encoder's model has a template that fails.
    """
    images = ImageChecks(evaluation_digests(evaluation))
    tokens = None if encoder is None else TokenChecks(encoder, max_tokens)
    checks = _Checks(images, tokens)
    scan: Scan[PreferencePair] | Scan[SFTExample] | Scan[PromptExample]
    if holds_prompts(path):
        scan = scan_prompts(path)
    else:
        scan = scan_pairs(path) if holds_pairs(path) else scan_sft(path)
    found = list(scan.problems)
    for row in scan.rows:
        found += checks.row(row.record, f"{path}:{row.line}")
    found.sort(key=lambda problem: int(problem.where.removeprefix(f"{path}:").partition(":")[0]))
    if not scan.lines:
        found.append(
            Problem("no_rows", "the file holds no rows", str(path), "export sets that are not empty")
        )
    found += checks.sets.together(str(path))
    statistics = checks.sets.statistics() | {"images": images.images}
    if tokens is not None:
        statistics |= tokens.statistics()
    return LintReport(path, scan.lines, tuple(found), statistics)


class _Checks:
    """The checks of one row after the other."""

    def __init__(self, images: ImageChecks, tokens: TokenChecks | None) -> None:
        self.sets = SetChecks()
        self._images = images
        self._tokens = tokens

    def row(self, record: SFTExample | PreferencePair | PromptExample, where: str) -> list[Problem]:
        """All that is wrong with a row."""
        if isinstance(record, PromptExample):
            return list(self._prompt(record, where))
        found = list(self._record(record, where))
        if self._tokens is not None and not any(problem.kind in _NOT_ENCODED for problem in found):
            found += self._tokens.check(record.prompt, sides(record, where))
        return found

    def _prompt(self, record: PromptExample, where: str) -> Iterator[Problem]:
        found = [*check_prompt(record, where), *check_question(record, where)]
        found += self._images.check(record.image, where)
        yield from found
        yield from self.sets.check_prompt(record, where)
        if self._tokens is not None and not any(problem.kind in _NOT_ENCODED for problem in found):
            # With the tag that a response begins with: nothing of a response is there to be measured.
            opening = (ResponseSegment(kind="format", text="<think> ", loss=False),)
            side = Side(f"{where}:prompt", "response", opening, None, masked=False, options=None)
            yield from self._tokens.check(record.prompt, (side,))

    def _record(self, record: SFTExample | PreferencePair, where: str) -> Iterator[Problem]:
        responses = sides(record, where)
        yield from check_prompt(record, where)
        yield from self._images.check(record.image, where)
        for side in responses:
            yield from check_response(side)
            yield from check_loss(side)
        if isinstance(record, PreferencePair):
            yield from check_pair(record.kind, responses[0], responses[1], where)
        yield from self.sets.check(record, responses, where)
