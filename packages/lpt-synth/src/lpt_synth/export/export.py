"""Exporting a run's sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lpt_core import LptError, StoreError
from lpt_synth.export.card import CardFacts, render_card
from lpt_synth.export.images import ImageFolder
from lpt_synth.export.jsonl import JSONL
from lpt_synth.export.llama_factory import LLAMA_FACTORY
from lpt_synth.export.prompts import PROMPTS
from lpt_synth.export.records import Format
from lpt_synth.export.target import target_directory
from lpt_synth.export.trl import TRL

FormatName = Literal["trl", "llama-factory", "jsonl", "prompts"]

FORMATS: Mapping[FormatName, Format] = {
    "trl": TRL,
    "llama-factory": LLAMA_FACTORY,
    "jsonl": JSONL,
    "prompts": PROMPTS,
}


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported.

    Attributes:
        format: In which format.
        to: Where it is.
        sft: SFT examples.
        pairs: Preference pairs.
        prompts: Questions to be answered.
        images: Image files.
        neutralised: Media placeholders in texts that were made harmless (LLaMA-Factory).
    """

    format: FormatName
    to: Path
    sft: int
    pairs: int
    prompts: int
    images: int
    neutralised: int


def export(fmt: FormatName, sets: Path, to: Path, card: CardFacts) -> ExportReport:
    """Write a run's sets as a directory that a trainer reads, with the images and a card.

    One record is in memory at a time. The same sets and facts give the same bytes. Nothing appears at
    ``to`` before it is whole; an earlier export there is replaced.

    Args:
        fmt: The format.
        sets: Directory with the run's ``sft.jsonl``, ``pairs.jsonl`` and ``prompts.jsonl``; a format reads
            those that it needs.
        to: Where to: a new or an empty directory, or an earlier export.
        card: What the card says.

    Raises:
        ConfigError: ``to`` holds something that no export made.
        DataError: A set is missing or damaged; an image is missing or was changed.
        StoreError: The directory cannot be written.
    """
    chosen = FORMATS[fmt]
    try:
        with target_directory(to, fmt) as folder:
            contents = chosen.write(sets, folder, ImageFolder(folder))
            text = render_card(card, chosen, contents)
            (folder / "README.md").write_text(text, encoding="utf-8", newline="\n")
    except LptError:
        raise
    except OSError as error:
        raise StoreError(
            f"the export cannot be written to {to}: {error.strerror}.",
            "make room or choose another place, and export again",
        ) from error
    return ExportReport(
        format=fmt,
        to=to,
        sft=contents.sft.total(),
        pairs=contents.pairs.total(),
        prompts=contents.prompts.total(),
        images=contents.images.total(),
        neutralised=contents.neutralised,
    )
