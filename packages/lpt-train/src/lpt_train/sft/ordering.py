"""From a configuration to the order of its rows: by length, or packed."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from lpt_train.arguments import accumulation, world_size
from lpt_train.config import TrainConfig
from lpt_train.order import LengthOrder
from lpt_train.packing import PackedOrder


def order_of(config: TrainConfig, lengths: Sequence[int]) -> LengthOrder | PackedOrder:
    """In which order rows are trained on, and which of them share a micro-batch or a sequence.

    Args:
        config: Its ``sft`` section, seed and ``data.max_tokens`` count.
        lengths: Tokens of each row.

    Raises:
        ConfigError: ``batch_size`` is no multiple of what the devices take at once.
    """
    stage, devices = config.sft, world_size()
    accumulation(stage, "sft", devices)
    if not stage.packing:
        return LengthOrder(
            lengths,
            batch=stage.batch_size,
            micro=stage.micro_batch * devices,
            window=stage.sort_window,
            seed=config.seed,
        )
    epochs = stage.epochs
    if stage.max_steps is not None:
        epochs = stage.max_steps / ceil(len(lengths) / stage.batch_size)
    return PackedOrder(
        lengths,
        batch=stage.batch_size,
        devices=devices,
        most=config.data.max_tokens,
        epochs=ceil(epochs),
        seed=config.seed,
    )
