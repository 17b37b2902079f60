"""Parts of a source: which captions one of several runs takes, and how to tell that all read the same source.

A caption belongs to a part by its text and the run's seed alone, whatever the order of the rows, and so do
others with the same text: what is asked of the text alone is then asked in one part only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from lpt_core import ConfigError, derived_int

_FORM = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")
_FOLDER = re.compile(r"\.shard-([1-9][0-9]*)-of-([1-9][0-9]*)")


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """One of ``of`` parts, counted from 1."""

    index: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that "2/8" means.

        Raises:
            ValueError: It means none.
        """
        form = _FORM.fullmatch(text.strip())
        if form is None:
            raise ValueError(f"{text!r} is no shard: give i/n, such as 2/8 for the second of eight")
        shard = cls(int(form[1]), int(form[2]))
        if shard.index > shard.of:
            raise ValueError(f"there is no shard {shard}: they are counted from 1 to {shard.of}")
        return shard

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    def folder(self, out: Path) -> Path:
        """Where the run of this shard lies, beside the directory that all shards are merged into."""
        return out.with_name(f"{out.name}.shard-{self.index}-of-{self.of}")

    def holds(self, text: str, seed: int) -> bool:
        """Whether a caption with this text belongs here."""
        return derived_int(seed, "shard", text) % self.of == self.index - 1


def shard_argument(text: str) -> Shard:
    """The shard that a person asks for.

    Raises:
        ConfigError: It is none.
    """
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise ConfigError(f"{error}.") from None


def shard_folders(out: Path) -> list[Path]:
    """The directories beside ``out`` that are named as shards of it are, in the order of their numbers."""
    found: list[tuple[int, int, Path]] = []
    for path in out.parent.glob(f"{_literal(out.name)}.shard-*"):
        form = _FOLDER.fullmatch(path.name.removeprefix(out.name))
        if form is not None and path.is_dir():
            found.append((int(form[2]), int(form[1]), path))
    return [path for _, _, path in sorted(found)]


def _literal(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _checked(text: str) -> str:
    return str(Shard.parse(text))


ShardText = Annotated[str, AfterValidator(_checked)]
"""A shard as a configuration names it."""


@dataclass(slots=True)
class SourceSum:
    """How many rows a source has and which, whatever their order: of all rows, not of one shard's."""

    rows: int = 0
    total: int = 0

    def add(self, text: str, image: str) -> None:
        """Take in a row: its caption, and the name of its image's file."""
        self.rows += 1
        self.total = (self.total + derived_int(0, "row", text, image, bits=64)) % 2**64

    def __str__(self) -> str:
        return f"{self.rows} rows, {self.total:016x}"
