"""A preference pair as tokens: a prompt, two ways to go on, and where they part."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lpt_core import DataError, ImageRef, fingerprint

if TYPE_CHECKING:
    from lpt_train.encoding import Encoded


@dataclass(frozen=True, slots=True)
class TokenPair:
    """A pair of responses to one prompt. Arrays rather than tuples: a training set stays in memory.

    Attributes:
        id: The id of the ``PreferencePair``.
        prompt: Tokens of the prompt, image tokens expanded.
        chosen: Tokens of the chosen response, the end of the turn among them.
        rejected: Those of the rejected one.
        shared: With how many tokens both begin.
        sft: One byte a token of ``chosen``: whether it bears loss in the SFT term.
        image: The image in the prompt.
    """

    id: str
    prompt: array[int]
    chosen: array[int]
    rejected: array[int]
    shared: int
    sft: bytes
    image: ImageRef

    @classmethod
    def of(cls, pair_id: str, chosen: Encoded, rejected: Encoded) -> TokenPair:
        """The pair of two encoded responses.

        Raises:
            DataError: Their prompts differ, or the responses are the same.
        """
        length = chosen.prompt_length
        if chosen.ids[:length] != rejected.ids[: rejected.prompt_length]:
            raise DataError(f"pair {pair_id}: chosen and rejected do not answer the same prompt.")
        preferred, other = chosen.ids[length:], rejected.ids[length:]
        if preferred == other:
            raise DataError(
                f"pair {pair_id}: chosen and rejected are the same {len(other)} tokens.",
                "remove the pair; `lpt-train lint` lists all such pairs",
            )
        return cls(
            id=pair_id,
            prompt=array("i", chosen.ids[:length]),
            chosen=array("i", preferred),
            rejected=array("i", other),
            shared=common_prefix(preferred, other),
            sft=bytes(chosen.labels[length:]),
            image=chosen.image,
        )

    @property
    def key(self) -> str:
        """A name for what a model reads of this pair: its tokens and its image."""
        tokens = [list(self.prompt), list(self.chosen), list(self.rejected)]
        return fingerprint("token pair", {"tokens": tokens, "image": self.image.sha256})

    @property
    def encoded_tokens(self) -> int:
        """How many tokens are encoded for this pair alone: the shared ones once, the two last ones never."""
        return len(self.prompt) + len(self.chosen) + len(self.rejected) - self.shared - 2

    @property
    def plain_tokens(self) -> int:
        """How many tokens the two sequences have when each is encoded by itself."""
        return 2 * len(self.prompt) + len(self.chosen) + len(self.rejected)


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """With how many equal items two sequences begin."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))
