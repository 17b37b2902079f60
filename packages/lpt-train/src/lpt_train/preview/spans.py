"""Rows as stretches of text that are alike: part of the same thing, and bearing the same loss.

What bears loss is read off the batches that the trainings' own collators make, not worked out again.
"""

# torch's own types are partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeVar

from lpt_core import DataError, ImageRef, PreferencePair, PromptExample, SFTExample
from lpt_train.config import GRPOConfig
from lpt_train.encoding import Encoded, Encoder
from lpt_train.grpo.prompts import OPENING
from lpt_train.preview.prompts import told_rewards
from lpt_train.rows import (
    Row,
    Scan,
    checked,
    holds_pairs,
    holds_prompts,
    scan_pairs,
    scan_prompts,
    scan_sft,
)

Bears = Literal["nothing", "loss", "preference", "both"]
"""The cross-entropy of SFT (or DPO's SFT term), the preference loss, or both of them."""

RecordT = TypeVar("RecordT", SFTExample, PreferencePair, PromptExample)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of tokens that are alike.

    Attributes:
        text: What they decode to; empty for an image.
        tokens: How many they are.
        region: What they are part of, as in ``lpt_train.encoding.REGIONS``.
        bears: Which loss they bear.
        straddling: It is one token across a border between loss and no loss.
    """

    text: str
    tokens: int
    region: str
    bears: Bears
    straddling: bool = False


@dataclass(frozen=True, slots=True)
class PreviewResponse:
    """A prompt with one response to it, from the first token to the last.

    Attributes:
        name: "response", "chosen" or "rejected"; "prompt", where the response is still to be written.
        spans: All of its tokens.
    """

    name: str
    spans: tuple[Span, ...]

    @property
    def tokens(self) -> int:
        """Of prompt, image and response."""
        return sum(span.tokens for span in self.spans)

    def bearing(self, *bears: Bears) -> int:
        """How many tokens bear one of these losses."""
        return sum(span.tokens for span in self.spans if span.bears in bears)

    @property
    def straddling(self) -> int:
        """How many tokens lie across a border between loss and no loss."""
        return sum(span.straddling for span in self.spans)


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A row of a training set.

    Attributes:
        where: File and line.
        kind: The record's kind.
        image: Its image, with an absolute path.
        responses: One, or the chosen and the rejected one.
        notes: What else there is to tell: of a prompt, which completions earn what.
    """

    where: str
    kind: str
    image: ImageRef
    responses: tuple[PreviewResponse, ...]
    notes: tuple[str, ...] = ()


def preview(
    path: Path,
    encoder: Encoder,
    *,
    lines: Sequence[int] = (),
    count: int = 4,
    grpo: GRPOConfig | None = None,
) -> list[PreviewRow]:
    """Rows of a file of SFT examples, preference pairs or prompts, as they are trained on.

    Args:
        path: The file.
        encoder: As in training.
        lines: Which rows, by their line, from 1.
        count: Without ``lines``, how many: the first of each kind, then the second, and so on.
        grpo: Tells what completions of prompts earn; the stage's defaults without.

    Raises:
        DataError: The file cannot be read, there is no such line, or a row cannot be encoded.
    """
    if holds_prompts(path):
        stage = grpo or GRPOConfig()
        return [_prompt(one, encoder, path, stage) for one in _chosen(scan_prompts(path), lines, count)]
    if holds_pairs(path):
        return [_pair(one, encoder, path) for one in _chosen(scan_pairs(path), lines, count)]
    return [_example(one, encoder, path) for one in _chosen(scan_sft(path), lines, count)]


def _chosen(scan: Scan[RecordT], lines: Sequence[int], count: int) -> list[Row[RecordT]]:
    checked(scan)
    if lines:
        by_line = {row.line: row for row in scan.rows}
        missing = [line for line in lines if line not in by_line]
        if missing:
            last = scan.rows[-1].line
            raise DataError(f"{scan.path} has no row on line {missing[0]}.", f"the last is on line {last}")
        return [by_line[line] for line in lines]
    seen: Counter[str] = Counter()
    order: list[tuple[int, Row[RecordT]]] = []
    for row in scan.rows:
        kind = _kind(row.record)
        seen[kind] += 1
        order.append((seen[kind], row))
    first = sorted(order, key=lambda entry: entry[0])[:count]
    return sorted((row for _, row in first), key=lambda row: row.line)


def _kind(record: SFTExample | PreferencePair | PromptExample) -> str:
    return "prompt" if isinstance(record, PromptExample) else record.kind


def _prompt(row: Row[PromptExample], encoder: Encoder, path: Path, stage: GRPOConfig) -> PreviewRow:
    record = row.record
    encoded = encoder.encode(record.prompt, OPENING)
    bears: list[Bears] = ["nothing"] * encoded.prompt_length
    spans = _spans(encoded, bears, encoder)
    notes = told_rewards(record, stage)
    return PreviewRow(
        f"{path}:{row.line}", "prompt", record.image, (PreviewResponse("prompt", spans),), notes
    )


def _example(row: Row[SFTExample], encoder: Encoder, path: Path) -> PreviewRow:
    from lpt_train.collate import NO_LABEL, SFTCollator

    record = row.record
    encoded = encoder.encode(record.prompt, record.response)
    labels: list[int] = SFTCollator(encoder)([encoded])["labels"][0].tolist()
    bears: list[Bears] = ["nothing" if label == NO_LABEL else "loss" for label in labels]
    response = PreviewResponse("response", _spans(encoded, bears, encoder))
    return PreviewRow(f"{path}:{row.line}", record.kind, record.image, (response,))


def _pair(row: Row[PreferencePair], encoder: Encoder, path: Path) -> PreviewRow:
    from lpt_train.dpo.collate import PairCollator, Scored, Side
    from lpt_train.dpo.pairs import TokenPair

    record = row.record
    both = [encoder.encode(record.prompt, side) for side in (record.chosen, record.rejected)]
    collate = PairCollator(
        encoder.pictures, encoder.pad, encoder.image_token_id, encoder.pictures.merge, share=False
    )
    batch = collate([Scored(TokenPair.of(record.id, both[0], both[1]))])
    columns = (batch[f"entry_{name}"].tolist() for name in ("side", "target", "sft"))
    entries: list[tuple[int, int, bool]] = list(zip(*columns, strict=True))
    bears = [
        _preferred(both[0], entries, own=Side.CHOSEN, shared=Side.SHARED),
        _preferred(both[1], entries, own=Side.REJECTED, shared=None),
    ]
    responses = tuple(
        PreviewResponse(name, _spans(encoded, marks, encoder))
        for name, encoded, marks in zip(("chosen", "rejected"), both, bears, strict=True)
    )
    return PreviewRow(f"{path}:{row.line}", record.kind, record.image, responses)


def _preferred(
    encoded: Encoded, entries: Sequence[tuple[int, int, bool]], *, own: int, shared: int | None
) -> list[Bears]:
    """Which loss each token of one side bears, by the tokens (side, id, SFT) that a batch predicts.

    A side's own tokens are its last ones. Of what both begin with, a batch has what the SFT term is over.
    """
    told = [entry for entry in entries if entry[0] == own]
    before = [entry for entry in entries if entry[0] == shared]
    start = len(encoded) - len(told)
    labels = [place for place in range(start) if encoded.labels[place]] if shared is not None else []
    places = [*labels, *range(start, len(encoded))]
    if [encoded.ids[place] for place in places] != [token for _, token, _ in before + told]:
        raise AssertionError("the batch predicts other tokens than the row has")
    bears: list[Bears] = ["nothing"] * len(encoded)
    for place, (side, _, sft) in zip(places, before + told, strict=True):
        bears[place] = "loss" if side == shared else "both" if sft else "preference"
    return bears


def _spans(encoded: Encoded, bears: Sequence[Bears], encoder: Encoder) -> tuple[Span, ...]:
    """Tokens that follow each other and are alike, together; straddling ones alone.

    Args:
        encoded: The row.
        bears: What its tokens bear, as far as they are to be shown.
        encoder: Knows their texts.
    """
    straddling = frozenset(encoded.straddling)

    def alike(place: int) -> tuple[str, Bears, int]:
        return encoded.regions[place], bears[place], place if place in straddling else -1

    made: list[Span] = []
    for (region, bear, alone), group in groupby(range(len(bears)), alike):
        ids = [encoded.ids[place] for place in group]
        text = "" if region == "image" else encoder.decode(ids)
        made.append(Span(text, len(ids), region, bear, straddling=alone >= 0))
    return tuple(made)
