"""Checks of rows in tokens: how long they are; and what of them is images, loss, shared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from pydantic import JsonValue

from lpt_core import DataError, Message, Problem
from lpt_train.encoding import Encoded, Encoder
from lpt_train.lint.side import Side

_PERCENTILES = (50, 95)


@dataclass(slots=True)
class TokenChecks:
    """Encodes every response; images are known from their headers, and no pixel is read.

    Attributes:
        encoder: As in training.
        max_tokens: The most that prompt, image and response may have together; None for any number.
    """

    encoder: Encoder
    max_tokens: int | None
    _lengths: list[int] = field(default_factory=list[int])
    _images: list[int] = field(default_factory=list[int])
    _labels: list[int] = field(default_factory=list[int])
    _shared: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    _straddling: int = 0

    def check(self, prompt: tuple[Message, ...], sides: Sequence[Side]) -> Iterator[Problem]:
        """What is wrong with a row in tokens. Kinds: ``too_long``, ``not_encodable``."""
        made: list[Encoded] = []
        for side in sides:
            try:
                encoded = self.encoder.encode(prompt, side.segments)
            except DataError as error:
                yield Problem("not_encodable", error.message.rstrip("."), side.where, error.remedy)
                continue
            made.append(encoded)
            if self.max_tokens is not None and len(encoded) > self.max_tokens:
                images = encoded.regions.count("image")
                yield Problem(
                    "too_long",
                    f"{len(encoded)} tokens, {images} of them the image's; {self.max_tokens} are allowed",
                    side.where,
                    "raise data.max_tokens, lower data.pixels.limit, or set data.too_long: drop",
                )
        self._count(made)

    def _count(self, made: list[Encoded]) -> None:
        for encoded in made:
            self._lengths.append(len(encoded))
            self._images.append(encoded.regions.count("image"))
            self._labels.append(sum(encoded.labels))
        self._straddling += any(encoded.straddling for encoded in made)
        if len(made) == 2:
            chosen, rejected = (encoded.ids[encoded.prompt_length :] for encoded in made)
            both = takewhile(lambda pair: pair[0] == pair[1], zip(chosen, rejected, strict=False))
            self._shared.append((sum(1 for _ in both), len(rejected)))

    def statistics(self) -> dict[str, JsonValue]:
        """Lengths in tokens, and the shares of images, labels and what chosen and rejected begin with."""
        total = sum(self._lengths)
        if not total:
            return {}
        lengths = sorted(self._lengths)
        spread: dict[str, JsonValue] = {"shortest": lengths[0]}
        for percent in _PERCENTILES:
            spread[f"p{percent}"] = lengths[min(len(lengths) - 1, len(lengths) * percent // 100)]
        spread |= {"longest": lengths[-1], "total": total}
        made: dict[str, JsonValue] = {
            "tokens": spread,
            "image_share": sum(self._images) / total,
            "label_share": sum(self._labels) / total,
            "rows_with_straddling_tokens": self._straddling,
        }
        if self._shared:
            shared = sum(one for one, _ in self._shared)
            made["shared_share_of_rejected"] = shared / sum(both for _, both in self._shared)
        return made
