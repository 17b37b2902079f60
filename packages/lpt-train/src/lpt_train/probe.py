"""A handful of real updates on this machine, timed, so that an estimate need not guess.

The rows are taken at even distances from all rows sorted by length, the longest among them, so that the peak
of memory is that of the training, and are trained on in updates of few micro-batches by the very code of
``lpt-train sft``, in a folder that is thrown away. The first update warms up and is not counted.
"""

# transformers leaves parts of what is used here without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from transformers import TrainerCallback

from lpt_core import ConfigError, SFTExample
from lpt_train.config import TrainConfig
from lpt_train.encoding import Encoder
from lpt_train.estimate_rows import workload_of
from lpt_train.estimate_time import Calibration, operations
from lpt_train.model import load_processor
from lpt_train.rows import read_sft
from lpt_train.sft.run import train_sft
from lpt_train.shapes import read_shapes

UPDATES = 7
"""That are made, the first of them uncounted."""

MICRO_BATCHES = 2
"""Of an update, about."""

SMALL = 2 * 2**30
"""Bytes of weights and states up to which the probe also writes a checkpoint, to time it."""


@dataclass(slots=True)
class Stopwatch(TrainerCallback):
    """What passes when an update is made.

    Attributes:
        clock: Tells seconds.
        began: When training began.
        loading: Seconds for the rows of each update.
        computing: Seconds for the micro-batches of each update.
        updating: Seconds of each update after them.
        saving: Seconds for each checkpoint.
        tokens: Of each update.
    """

    clock: Callable[[], float] = time.monotonic
    began: float = 0.0
    loading: list[float] = field(default_factory=list[float])
    computing: list[float] = field(default_factory=list[float])
    updating: list[float] = field(default_factory=list[float])
    saving: list[float] = field(default_factory=list[float])
    tokens: list[float] = field(default_factory=list[float])
    _last: float = 0.0

    def _lap(self) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = self.clock()
        passed, self._last = now - self._last, now
        return passed

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self._lap()
        self.began = self._last

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The rows are there."""
        self.loading.append(self._lap())

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The gradients are there."""
        self.computing.append(self._lap())

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """The update is made, and the log read."""
        if logs and "token_loss" in logs:
            self.updating.append(self._lap())
            self.tokens.append(cast("dict[str, float]", logs)["tokens"])

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A checkpoint is written."""
        self.saving.append(self._lap())


def probe(config: TrainConfig, *, clock: Callable[[], float] = time.monotonic) -> Calibration:
    """Train for a handful of updates as ``config.sft`` says, and time them.

    Args:
        config: Of the training.
        clock: Tells seconds. ``time.process_time`` leaves out what other processes take of a CPU.

    Raises:
        ConfigError: There are too few rows to try, or the configuration cannot be used.
        DataError: The rows cannot be trained on.
    """
    shapes = read_shapes(config.model.name, config.model.revision)
    examples = read_sft(config.needs("sft"))
    encoder = Encoder(
        load_processor(config.model.name, config.model.revision),
        pixels=config.data.pixels,
        prefix_loss=config.data.prefix_loss,
    )
    began = clock()
    lengths = [len(encoder.encode(row.prompt, row.response)) for row in examples]
    row = (clock() - began) / len(examples)
    fitting = [place for place, length in enumerate(lengths) if length <= config.data.max_tokens]
    batch = _batch(config, [lengths[place] for place in fitting])
    updates = min(UPDATES, len(fitting) // batch)
    if updates < 2:
        raise ConfigError(
            f"{len(fitting)} rows are too few to try {batch} of them at a time.", "estimate without --probe"
        )
    fitting.sort(key=lambda place: (lengths[place], place))
    wanted = updates * batch
    taken = [fitting[number * (len(fitting) - 1) // (wanted - 1)] for number in range(wanted)]
    watch = Stopwatch(clock)
    with tempfile.TemporaryDirectory(prefix="lpt-probe-") as folder:
        path = Path(folder) / "rows.jsonl"
        _write(path, [examples[place] for place in taken])
        tried = _tried(config, path, batch, updates, checkpoint=shapes.total * 16 <= SMALL)
        work = workload_of(tried, "sft", shapes)
        began = clock()
        train_sft(tried, Path(folder) / "run", watchers=(watch,))
    if work is None:
        raise ConfigError("the rows of the probe have vanished while it ran.", "try again")
    counted = sum(watch.tokens[1:]) / sum(watch.tokens)
    images = len({examples[place].image.sha256 for place in taken})
    loading = sum(watch.loading) - wanted * row
    return Calibration(
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU of this machine",
        rate=counted * operations(tried, "sft", shapes, work) / sum(watch.computing[1:]),
        start=watch.began - began - wanted * row,
        update=sum(watch.updating[1:]) / (updates - 1),
        row=row,
        image=max(0.0, loading / images),
        save=watch.saving[-1] if tried.sft.save_every == updates and watch.saving else None,
        peak=_peak(),
    )


def _batch(config: TrainConfig, lengths: Sequence[int]) -> int:
    """Rows of an update of the probe."""
    if not config.sft.packing or not lengths:
        return MICRO_BATCHES * config.sft.micro_batch
    return MICRO_BATCHES * max(1, config.data.max_tokens * len(lengths) // sum(lengths))


def _tried(config: TrainConfig, rows: Path, batch: int, updates: int, *, checkpoint: bool) -> TrainConfig:
    """The configuration of the probe's training."""
    changes: dict[str, Any] = {
        "data": rows,
        "evaluation": None,
        "epochs": 1.0,
        "max_steps": updates,
        "batch_size": batch,
        "log_every": 1,
        "save_every": updates if checkpoint else updates + 1,
        "report_to": (),
    }
    stage = config.sft.model_copy(update=changes)
    # Rows that are too long have been left out.
    return config.model_copy(update={"sft": stage})


def _write(path: Path, rows: Sequence[SFTExample]) -> None:
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows), encoding="utf-8")


def _peak() -> int:
    """Bytes at the peak: of the device's memory, or of this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_reserved())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
