"""Several rows in one sequence, each as if it stood alone: no padding, and fewer passes of the model.

Which rows make an update stays what it is without packing (``LengthOrder``); they are only laid into
sequences otherwise: by first fit, the longest first, no sequence longer than ``data.max_tokens``. Every
update of a training has the same number of sequences, the most that any of them needs, so that gradients
add up over micro-batches, and over devices, as transformers, DeepSpeed and FSDP expect; where fewer would
do, full ones are split, which costs nothing, since sequences are not filled up.

A row in a sequence has the positions that it has alone, begins with a token that nothing predicts, and is
told from its neighbours by positions of text that start at 0 again (``position_ids`` of four rows: text,
time, height, width). With SDPA each row's attention is computed by itself (``packed_attention``); for eager
attention and FlashAttention transformers makes a dense block-diagonal mask or the rows' lengths from these.
The latter needs a GPU, and has not been run in our tests.
"""

# torch's own types are partly unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import TYPE_CHECKING

from lpt_core import ConfigError
from lpt_train.collate import NO_LABEL, SFTCollator, image_tensors, label_ids, region_numbers
from lpt_train.encoding import Encoded, Encoder
from lpt_train.order import shuffled
from lpt_train.positions import rope_positions

if TYPE_CHECKING:
    from torch import Tensor

PACKABLE = ("qwen2_5_vl", "qwen3_vl")
"""Kinds of models that tell packed rows apart by their positions, as tests have it."""

Pack = tuple[int, ...]
"""Rows that share a sequence."""


def check_packable(kind: str) -> None:
    """Refuse a model that would let packed rows see each other.

    Args:
        kind: The model's ``config.model_type``.

    Raises:
        ConfigError: It is of a family that packing was not made for.
    """
    if kind not in PACKABLE:
        raise ConfigError(
            f"sft.packing: a {kind} is not known to keep packed rows apart.",
            f"set it to false; it works with {' and '.join(PACKABLE)}",
        )


def first_fit(rows: Sequence[int], lengths: Sequence[int], most: int) -> list[list[int]]:
    """Rows laid into sequences, longest row first, each into the first sequence that has room.

    Args:
        rows: Which rows; of equally long ones the one with the lower number comes first.
        lengths: Tokens of every row there is.
        most: Tokens of a sequence; a longer row has one for itself.
    """
    packs: list[list[int]] = []
    room: list[int] = []
    for row in sorted(rows, key=lambda row: (-lengths[row], row)):
        length = lengths[row]
        place = next((at for at, left in enumerate(room) if left >= length), None)
        if place is None:
            packs.append([row])
            room.append(most - length)
        else:
            packs[place].append(row)
            room[place] -= length
    return packs


def split_up(packs: list[list[int]], lengths: Sequence[int], number: int) -> list[list[int]]:
    """As many sequences as asked for, made of fewer; none with a single row is split."""

    def size(pack: list[int]) -> int:
        return sum(lengths[row] for row in pack)

    made = list(packs)
    while len(made) < number:
        several = [place for place, pack in enumerate(made) if len(pack) > 1]
        if not several:
            break
        pack = made.pop(max(several, key=lambda place: (size(made[place]), -place)))
        halves: tuple[list[int], list[int]] = ([], [])
        for row in pack:  # longest first: first_fit's order
            min(halves, key=size).append(row)
        made += halves
    return made


class PackedOrder:
    """The sequences of an epoch, in order; a sampler for torch's ``DataLoader`` that yields ``Pack``.

    It follows from seed, epoch and the lengths alone.

    Args:
        lengths: Tokens of each row.
        batch: Rows of an update.
        devices: How many train together, each with one sequence at a time.
        most: Tokens of a sequence.
        epochs: How many there will be; all are looked through for the update that needs most sequences.
        seed: Of the shuffle, which is that of ``LengthOrder``.

    Attributes:
        accumulation: Sequences that each device takes for an update.
    """

    def __init__(
        self, lengths: Sequence[int], *, batch: int, devices: int, most: int, epochs: int, seed: int = 42
    ) -> None:
        self._lengths = lengths
        self._batch, self._most, self._seed = batch, most, seed
        self._epoch = 0
        self._whole, rest = divmod(len(lengths), batch)
        needed = [[len(packs) for packs in self._updates(epoch)] for epoch in range(epochs)]
        self.accumulation = ceil(max((count for counts in needed for count in counts), default=1) / devices)
        self._full = self.accumulation * devices
        # The last update of an epoch may have fewer rows; it has as many sequences in every epoch.
        last = max((counts[-1] for counts in needed), default=0) if rest else 0
        self._last = min(rest, ceil(last / devices) * devices)

    def _updates(self, epoch: int) -> Iterator[list[list[int]]]:
        rows = shuffled(len(self._lengths), seed=self._seed, epoch=epoch)
        for start in range(0, len(rows), self._batch):
            yield first_fit(rows[start : start + self._batch], self._lengths, self._most)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._whole * self._full + self._last

    def __iter__(self) -> Iterator[Pack]:
        for number, packs in enumerate(self._updates(self._epoch)):
            wanted = self._full if number < self._whole else self._last
            made = split_up(packs, self._lengths, wanted)
            # The longest together, for the devices that take theirs at the same time.
            made.sort(key=lambda pack: (-sum(self._lengths[row] for row in pack), pack))
            yield from map(tuple, made)


class PackingCollator:
    """Makes a batch of one sequence of packed rows; rows that are not packed go to ``SFTCollator``.

    Args:
        encoder: The one that made the rows.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._pictures = encoder.pictures
        self._image_token = encoder.image_token_id
        self._plain = SFTCollator(encoder)

    def __call__(self, items: Sequence[Encoded] | Sequence[Sequence[Encoded]]) -> dict[str, Tensor]:
        """A batch of one sequence of N tokens, without an attention mask and without padding.

        Args:
            items: One pack of rows; or rows, of an evaluation.

        Returns:
            ``input_ids``, ``labels`` and ``regions`` as ``SFTCollator`` makes them, (1, N); the first token
            of each row has no label, and the region of a prompt. ``position_ids`` (4, 1, N): places in the
            row, then time, height and width. ``pixel_values`` and ``image_grid_thw`` of the images.

        Raises:
            DataError: An image cannot be used.
            ValueError: There are several packs.
        """
        rows = [item for item in items if isinstance(item, Encoded)]
        if rows:
            return self._plain(rows)
        packs = [item for item in items if not isinstance(item, Encoded)]
        if len(packs) != 1:
            raise ValueError("a device takes one sequence of packed rows at a time")
        return self._packed(packs[0])

    def _packed(self, rows: Sequence[Encoded]) -> dict[str, Tensor]:
        import torch

        images = image_tensors(self._pictures, [row.image for row in rows])
        labels = [label for row in rows for label in (NO_LABEL, *label_ids(row)[1:])]
        regions = [number for row in rows for number in (0, *region_numbers(row)[1:])]
        places: list[Tensor] = []
        for row in rows:
            grid = self._pictures.grid(row.image)
            found, _ = rope_positions(
                row.ids, [grid], image_token=self._image_token, merge=self._pictures.merge
            )
            places.append(torch.cat([torch.arange(len(row))[None], found]))
        return {
            "input_ids": torch.tensor([[token for row in rows for token in row.ids]]),
            "position_ids": torch.cat(places, dim=1)[:, None],
            "labels": torch.tensor([labels]),
            "regions": torch.tensor([regions]),
            **images,
        }
