"""Preference pairs to a batch: one row a prompt, with all responses to it as a tree."""

# torch leaves parts of what is used here without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lpt_core import ImageRef
from lpt_train.dpo.pairs import TokenPair
from lpt_train.dpo.tree import TokenTree
from lpt_train.positions import rope_positions

Batch = dict[str, Tensor]


class Side(IntEnum):
    """Which part of its pair a predicted token belongs to."""

    CHOSEN = 0
    REJECTED = 1
    SHARED = 2


class Count(IntEnum):
    """What the numbers in a batch's ``counts`` count."""

    PAIRS = 0
    SFT_TOKENS = 1
    TOKENS = 2
    """Tokens encoded."""
    CELLS = 3
    """Places in the batch, padding among them."""
    PLAIN_TOKENS = 4
    """Tokens that encoding every response by itself would have taken."""
    SCORED = 5
    """Positions whose logits are computed."""


class ImageTensors(Protocol):
    """Where images come from as a model takes them: ``lpt_train.images.Pictures``."""

    def tensors(self, image: ImageRef) -> Mapping[str, Tensor]:
        """``pixel_values`` and ``image_grid_thw`` (one row) of an image."""
        ...


@dataclass(frozen=True, slots=True)
class Scored:
    """A pair with the reference model's log-probabilities of the parts where its responses differ.

    Attributes:
        reference: Sums over the chosen and the rejected response's own tokens, in nats; zeros where the
            reference itself is to be computed.
    """

    pair: TokenPair
    reference: tuple[float, float] = (0.0, 0.0)


@dataclass(slots=True)
class _Entries:
    """The predicted tokens that matter, as columns."""

    row: list[int] = field(default_factory=list[int])
    node: list[int] = field(default_factory=list[int])
    target: list[int] = field(default_factory=list[int])
    pair: list[int] = field(default_factory=list[int])
    side: list[int] = field(default_factory=list[int])
    sft: list[bool] = field(default_factory=list[bool])

    def add(self, row: int, node: int, target: int, pair: int, side: Side, sft: bool) -> None:
        """One token, and the node whose hidden state predicts it."""
        self.row.append(row)
        self.node.append(node)
        self.target.append(target)
        self.pair.append(pair)
        self.side.append(side)
        self.sft.append(sft)


@dataclass(frozen=True, slots=True)
class PairCollator:
    """Makes batches of pairs.

    A batch has what the model takes (``input_ids``, ``attention_mask``, ``position_ids``, ``pixel_values``,
    ``image_grid_thw``), ``keep`` (the places whose logits are needed in some row), and for each predicted
    token that matters ``entry_logits`` (where its logits are among those kept of all rows), ``entry_target``,
    ``entry_pair``, ``entry_side`` and ``entry_sft``; then ``reference`` (pairs by 2) and ``counts`` (as
    ``Count``). The attention mask is four-dimensional (booleans, rows by 1 by places by places) where a tree
    branches, else two-dimensional.

    Attributes:
        images: Where images come from.
        pad_token: Id of the token for padding.
        image_token: Id of the token that stands for a piece of an image.
        merge: How many patches a side make one image token.
        share: Encode once what pairs have in common; without, each response has a row of its own.
        sft: Whether there is an SFT term. Without, nothing of a shared beginning needs logits, since it
            cancels in the margin.
    """

    images: ImageTensors
    pad_token: int
    image_token: int
    merge: int
    share: bool = True
    sft: bool = True

    def __call__(self, items: Sequence[Scored]) -> Batch:
        """The batch of some pairs."""
        trees: dict[object, tuple[int, TokenTree, ImageRef]] = {}
        entries = _Entries()
        for index, item in enumerate(items):
            pair = item.pair
            for side, response in ((Side.CHOSEN, pair.chosen), (Side.REJECTED, pair.rejected)):
                key = (pair.prompt.tobytes(), pair.image.sha256) if self.share else (index, side)
                if key not in trees:
                    trees[key] = (len(trees), TokenTree(pair.prompt), pair.image)
                row, tree, _ = trees[key]
                self._enter(entries, row, tree.add(response), pair, index, side)
        rows = [(tree, image) for _, tree, image in trees.values()]
        batch = self._rows(rows) | _predicted(entries)
        batch["reference"] = torch.tensor([item.reference for item in items], dtype=torch.float32)
        batch["counts"] = self._counts(items, [tree for tree, _ in rows], entries, batch)
        return batch

    def _enter(
        self, entries: _Entries, row: int, sources: list[int], pair: TokenPair, index: int, side: Side
    ) -> None:
        response = pair.chosen if side is Side.CHOSEN else pair.rejected
        for place, (source, target) in enumerate(zip(sources, response, strict=True)):
            bears = side is Side.CHOSEN and self.sft and bool(pair.sft[place])
            if place >= pair.shared:
                entries.add(row, source, target, index, side, bears)
            elif bears:
                entries.add(row, source, target, index, Side.SHARED, True)

    def _rows(self, rows: Sequence[tuple[TokenTree, ImageRef]]) -> Batch:
        """What the model takes."""
        pictures = [self.images.tensors(image) for _, image in rows]
        places: list[Tensor] = []
        for (tree, _), picture in zip(rows, pictures, strict=True):
            grids = cast("list[tuple[int, int, int]]", picture["image_grid_thw"].tolist())
            prompt = tree.tokens[: tree.prompt_length]
            before, start = rope_positions(prompt, grids, image_token=self.image_token, merge=self.merge)
            after = (torch.tensor(tree.depths, dtype=torch.long) + start).expand(3, -1)
            places.append(torch.cat([before, after], dim=1).T)
        tokens = [torch.tensor(tree.tokens) for tree, _ in rows]
        return {
            "input_ids": pad_sequence(tokens, batch_first=True, padding_value=self.pad_token),
            "attention_mask": _attention([tree for tree, _ in rows]),
            "position_ids": pad_sequence(places, batch_first=True).permute(2, 0, 1).contiguous(),
            "pixel_values": torch.cat([picture["pixel_values"] for picture in pictures]),
            "image_grid_thw": torch.cat([picture["image_grid_thw"] for picture in pictures]),
        }

    def _counts(
        self, items: Sequence[Scored], trees: Sequence[TokenTree], entries: _Entries, batch: Batch
    ) -> Tensor:
        counts = {
            Count.PAIRS: len(items),
            Count.SFT_TOKENS: sum(entries.sft),
            Count.TOKENS: sum(len(tree.tokens) for tree in trees),
            Count.CELLS: batch["input_ids"].numel(),
            Count.PLAIN_TOKENS: sum(item.pair.plain_tokens for item in items),
            Count.SCORED: len(trees) * len(batch["keep"]),
        }
        return torch.tensor([counts[kind] for kind in Count])


def _attention(trees: Sequence[TokenTree]) -> Tensor:
    width = max(len(tree.tokens) for tree in trees)
    if not any(tree.branches for tree in trees):
        lengths = torch.tensor([len(tree.tokens) for tree in trees])
        return (torch.arange(width) < lengths[:, None]).long()
    # Padding sees itself: a softmax over nothing is not a number, and would spread by way of gradients.
    mask = torch.eye(width, dtype=torch.bool).repeat(len(trees), 1, 1, 1)
    for row, tree in enumerate(trees):
        size = len(tree.tokens)
        mask[row, 0, :size, :size] = tree.mask()
    return mask


def _predicted(entries: _Entries) -> Batch:
    row, node = torch.tensor(entries.row), torch.tensor(entries.node)
    # The model's head takes the same places of every row; rows of like length waste few.
    places = torch.tensor(sorted(set(entries.node)))
    index = torch.searchsorted(places, node)
    return {
        "keep": places,
        "entry_logits": row * len(places) + index,
        "entry_target": torch.tensor(entries.target),
        "entry_pair": torch.tensor(entries.pair),
        "entry_side": torch.tensor(entries.side),
        "entry_sft": torch.tensor(entries.sft),
    }
