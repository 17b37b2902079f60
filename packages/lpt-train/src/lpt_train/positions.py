"""Positions of tokens under multimodal rotary embedding (M-RoPE), as Qwen2.5-VL and Qwen3-VL count them.

Computed from token ids and image grids alone, without the model, so that a data loader's workers can.
Equal to the models' own ``get_rope_index`` for text and images (tested); videos do not occur.
"""

# torch leaves parts of what is used here without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor


def rope_positions(
    tokens: Sequence[int], grids: Sequence[tuple[int, int, int]], *, image_token: int, merge: int
) -> tuple[Tensor, int]:
    """Positions of tokens in time, height and width.

    Args:
        tokens: Token ids, each image as a run of ``image_token``.
        grids: Patches of each image in time, height and width, in order.
        image_token: Id of the token that stands for a piece of an image.
        merge: How many patches a side make one token.

    Returns:
        Whole numbers, 3 by tokens; and the position at which the next token of text stands.

    Raises:
        ValueError: Images and runs of image tokens do not fit each other.
    """
    rest = iter(grids)
    pieces: list[Tensor] = []
    start = 0
    for is_image, run in groupby(tokens, key=lambda token: token == image_token):
        length = len(list(run))
        if not is_image:
            pieces.append((torch.arange(length) + start).expand(3, -1))
            start += length
            continue
        while length:
            piece, span = _image(next(rest, None), merge)
            pieces.append(piece + start)
            start += span
            length -= piece.shape[1]
            if length < 0:
                raise ValueError("there are fewer image tokens than the image's grid makes")
    if next(rest, None) is not None:
        raise ValueError("there are more images than runs of image tokens")
    return torch.cat(pieces, dim=1), start


def _image(grid: tuple[int, int, int] | None, merge: int) -> tuple[Tensor, int]:
    """Positions inside an image, and how far they reach."""
    if grid is None:
        raise ValueError("there are more image tokens than the images' grids make")
    time, height, width = grid[0], grid[1] // merge, grid[2] // merge
    axes = torch.meshgrid(torch.arange(time), torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack(axes).reshape(3, -1), max(height, width)
