"""From encoded rows to a batch of tensors."""

# torch's own types are partly unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lpt_core import ImageRef
from lpt_train.encoding import REGIONS, Encoded, Encoder
from lpt_train.images import Pictures

if TYPE_CHECKING:
    from torch import Tensor

NO_LABEL = -100
"""The label that bears no loss, in all of transformers."""

NO_REGION = -1
"""The region of padding."""

_NUMBERS = {region: number for number, region in enumerate(REGIONS)}
_IMAGE = _NUMBERS["image"]


class SFTCollator:
    """Makes batches of encoded rows, filled up on the right.

    Args:
        encoder: The one that made the rows; its images are used.
        multiple: Lengths are filled up to a multiple of this many tokens.
    """

    def __init__(self, encoder: Encoder, *, multiple: int = 1) -> None:
        self._pictures = encoder.pictures
        self._pad = encoder.pad
        self._multiple = multiple

    def __call__(self, rows: Sequence[Encoded]) -> dict[str, Tensor]:
        """A batch of B rows, N tokens long.

        Returns:
            ``input_ids``, ``attention_mask``, ``labels`` (-100 where there is no loss),
            ``mm_token_type_ids`` (1 on image tokens) and ``regions`` (places in ``REGIONS``, -1 on
            padding), all int64 (B, N); ``pixel_values`` (patches, values) and ``image_grid_thw`` (B, 3) of
            the images in the rows' order. Models do not take ``regions``: it is there for logging.

        Raises:
            DataError: An image cannot be used.
        """
        longest = max(len(row) for row in rows)
        length = -(-longest // self._multiple) * self._multiple
        regions = padded([region_numbers(row) for row in rows], NO_REGION, length)
        return {
            "input_ids": padded([row.ids for row in rows], self._pad, length),
            "attention_mask": (regions != NO_REGION).long(),
            "labels": padded([label_ids(row) for row in rows], NO_LABEL, length),
            "mm_token_type_ids": (regions == _IMAGE).long(),
            "regions": regions,
            **image_tensors(self._pictures, [row.image for row in rows]),
        }


def label_ids(row: Encoded) -> list[int]:
    """The token that each place is to predict in training, or -100."""
    return [token if loss else NO_LABEL for token, loss in zip(row.ids, row.labels, strict=True)]


def region_numbers(row: Encoded) -> list[int]:
    """What each token is part of, as a place in ``REGIONS``."""
    return [_NUMBERS[name] for name in row.regions]


def padded(rows: Sequence[Sequence[int]], fill: int, length: int) -> Tensor:
    """Rows of numbers as one int64 tensor (rows, length), filled up on the right.

    Raises:
        ValueError: A row is longer: nothing is cut off.
    """
    import torch

    made = torch.full((len(rows), length), fill, dtype=torch.long)
    for place, row in enumerate(rows):
        if len(row) > length:
            raise ValueError(f"a row of {len(row)} tokens does not fit into {length}")
        made[place, : len(row)] = torch.tensor(row, dtype=torch.long)
    return made


def image_tensors(pictures: Pictures, images: Sequence[ImageRef]) -> dict[str, Tensor]:
    """The patches of images, one after the other, and the grid of each.

    Raises:
        DataError: An image cannot be used.
    """
    import torch

    made = [pictures.tensors(image) for image in images]
    return {name: torch.cat([one[name] for one in made]) for name in ("pixel_values", "image_grid_thw")}
