"""How long a training takes: what there is to compute, by what a device computes a second.

Without a probe, the latter is a share of what the vendor tells of the device. That share was not measured
here: trainings of this kind commonly reach a quarter to a half. A probe (``lpt_train.probe``) measures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

from lpt_train.config import StageConfig, TrainConfig
from lpt_train.estimate_rows import Workload
from lpt_train.shapes import Shapes

Given = Literal["sft", "dpo"]
"""The stages whose responses are there beforehand."""

REACHED = (0.25, 0.35, 0.5)
"""Share of a device's arithmetic that a training is taken to reach: at worst, likely, at best."""

CACHE = 2**30
"""Bytes of prepared images that are kept: ``lpt_train.images.Pictures``."""


@dataclass(frozen=True, slots=True)
class Device:
    """What a device has, by its vendor's data sheet.

    Attributes:
        memory: GiB.
        half: 10^12 operations a second in bfloat16, dense.
        single: The same in float32.
        bandwidth: 10^9 bytes a second, of its memory.
    """

    memory: float
    half: float
    single: float
    bandwidth: float


DEVICES = {
    "a40": Device(48, 149.7, 37.4, 696),
    "a100": Device(80, 312, 19.5, 2039),
    "h100": Device(80, 989, 67, 3350),
    "h200": Device(139, 989, 67, 4800),
    "l40s": Device(48, 362, 91.6, 864),
    "rtx4090": Device(24, 165, 82.6, 1008),
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a probe has measured.

    Attributes:
        device: What it ran on.
        rate: Operations a second, as ``operations`` counts them.
        start: Seconds from the call to the first update, but for reading rows.
        update: Seconds of an update beyond its micro-batches: optimiser, norms, the log.
        row: Seconds to encode a row.
        image: Seconds to prepare an image.
        save: Seconds to write a checkpoint; None where it was not tried.
        peak: Bytes at the peak: of the device's memory, or of the process.
    """

    device: str
    rate: float
    start: float
    update: float
    row: float
    image: float
    save: float | None
    peak: int


@dataclass(frozen=True, slots=True)
class Duration:
    """How long a stage takes.

    Attributes:
        rows: That it goes through, over all epochs.
        tokens: Of them.
        updates: How many.
        operations: Floating point operations of all, on all devices.
        seconds: At worst, likely, at best; thrice the same after a probe.
        saving: Checkpoints whose writing is not in it.
    """

    rows: int
    tokens: float
    updates: int
    operations: float
    seconds: tuple[float, float, float]
    saving: int


def operations(
    config: TrainConfig, stage: Given, shapes: Shapes, work: Workload, *, reference: bool = False
) -> float:
    """Floating point operations of one pass over the rows.

    Multiplications by weights and of queries with keys and values; a backward pass takes once what the
    forward pass took for what goes through weights, and once more for weights that learn.

    Args:
        config: The model's section, and what is recomputed.
        stage: Which of its stages.
        shapes: Of the model.
        work: What the rows have.
        reference: Count a forward pass alone, as a reference model does.
    """
    section = config.sft if stage == "sft" else config.dpo
    places = work.tokens * work.padded
    attention = 4 * work.squares * work.padded * shapes.query * shapes.layers
    language = 2 * shapes.layers * shapes.layer * places + attention
    head = 2 * shapes.hidden * shapes.vocabulary * work.scored
    tower = 2 * (shapes.tower * shapes.merge**2 + shapes.projector) * work.image_tokens
    if reference:
        return language + head + tower
    learns = 2 if config.model.lora is not None else 3
    again = 1 if section.gradient_checkpointing else 0
    through_tower = 3 + again if config.model.train_tower else 1
    return (learns + again) * language + learns * head + through_tower * tower


def duration(
    config: TrainConfig,
    stage: Given,
    shapes: Shapes,
    work: Workload,
    *,
    device: Device,
    devices: int = 1,
    calibration: Calibration | None = None,
) -> Duration:
    """How long a stage takes.

    Args:
        config: Of the training.
        stage: Which of its stages.
        shapes: Of the model.
        work: What its rows have.
        device: What it runs on, where nothing was measured.
        devices: How many train together.
        calibration: What a probe has measured, on one of them.
    """
    section = config.sft if stage == "sft" else config.dpo
    updates, passes = _updates(section, work.rows)
    total = passes * operations(config, stage, shapes, work)
    if stage == "dpo":
        total += operations(config, stage, shapes, work, reference=True)
    saves = ceil(updates / section.save_every)
    if calibration is None:
        peak = device.single if config.model.precision == "float32" else device.half
        worst, likely, best = (total / (devices * peak * 1e12 * share) for share in REACHED)
        seconds = (worst, likely, best)
    else:
        one = total / calibration.rate / devices + updates * calibration.update + calibration.start
        one += _preparing(section, work, passes, calibration) / devices + work.rows * calibration.row
        if calibration.save is not None:
            one, saves = one + saves * calibration.save, 0
        seconds = (one, one, one)
    return Duration(round(passes * work.rows), passes * work.tokens, updates, total, seconds, saves)


def _updates(section: StageConfig, rows: int) -> tuple[int, float]:
    """Updates, and how often they go through all rows."""
    each = ceil(rows / section.batch_size)
    updates = section.max_steps or ceil(each * section.epochs)
    return updates, updates / each


def _preparing(section: StageConfig, work: Workload, passes: float, measured: Calibration) -> float:
    """Seconds for tokens and patches of rows; images are kept from one pass to the next if they fit."""
    rows = passes * work.rows
    # Patches of 3 x 2 x 14 x 14 numbers in float32, four to a token; about the same for other sizes.
    size = work.image_tokens / max(1, work.rows) * 4 * 1176 * 4 * work.images
    # Each epoch has new workers, which have nothing in memory.
    kept = size <= CACHE and not section.workers
    images = min(work.images, rows) if kept else rows
    return (rows * measured.row + images * measured.image) / max(1, section.workers)
