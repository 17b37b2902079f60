"""What GRPO takes beside training itself: completions have to be written, and a reference may hold back.

How long completions get is not known beforehand: all of ``max_completion_tokens`` at worst, half of them
likely, a quarter at best; a batch waits for its longest. A token of a whole batch costs one reading of the
weights, or the arithmetic of the batch where that takes longer. Which share of a device's bandwidth and
arithmetic generating reaches is commonly seen, not measured here; rewards are taken to cost nothing.
"""

from __future__ import annotations

from math import ceil

from lpt_train.config import TrainConfig
from lpt_train.estimate_rows import Workload
from lpt_train.estimate_time import REACHED, Device, Duration
from lpt_train.grpo.sections import VLLMSection
from lpt_train.shapes import Shapes

LENGTHS = (1.0, 0.5, 0.25)
"""Share of ``max_completion_tokens`` that completions have: at worst, likely, at best."""

STREAMED = (0.1, 0.2, 0.4)
"""Share of a device's bandwidth that generating with transformers reaches, which starts each kernel anew."""

STREAMED_VLLM = (0.4, 0.6, 0.8)

STEPS = (1.0, 1.0, 0.5)
"""The longest completion of a batch, for which the batch waits, as a share of ``max_completion_tokens``."""


def grpo_memory(
    config: TrainConfig, shapes: Shapes, *, device: Device, devices: int = 1, sharded: bool = False
) -> dict[str, float]:
    """Bytes on each device of what other stages do not have, by their names in ``lpt_train.estimate.Memory``.

    Args:
        config: Of the training.
        shapes: Of the model.
        device: What it runs on: vLLM takes a share of its memory.
        devices: How many train together.
        sharded: Whether weights are spread over them.
    """
    stage, vllm = config.grpo, config.grpo.vllm or VLLMSection()
    arithmetic = 4 if config.model.precision == "float32" else 2
    engine = 0.0
    if stage.use_vllm and vllm.mode == "colocate":
        engine = vllm.gpu_memory_utilization * device.memory * 2**30
    # An engine that sleeps while the model learns shares its place with what learning takes.
    asleep = vllm.enable_sleep_mode
    generation = engine if asleep else 0.0
    if not stage.use_vllm:
        generation = arithmetic * _written_at_once(config, shapes, devices)
    # Adapters are switched off to refer to what is below them. Elsewhere it is loaded as what learns is.
    reference = 0.0
    if stage.beta and config.model.lora is None:
        reference = shapes.total * (2 if config.model.precision == "bfloat16" else 4)
    scored = min(4096, stage.micro_batch * stage.max_completion_tokens)
    return {
        # TRL's head computes tiles of 4096 tokens by 32768 words.
        "logits": scored * min(32768, shapes.vocabulary) * (arithmetic + 4),
        "reference": reference / (devices if sharded else 1),
        "engine": 0.0 if asleep else engine,
        "generation": generation,
    }


def _written_at_once(config: TrainConfig, shapes: Shapes, devices: int) -> float:
    """Numbers in memory while transformers writes the completions of an update, all at once.

    Keys and values of prompts and completions, and what reading the prompts computes in a layer.
    """
    sequences = config.grpo.batch_size / devices
    kept = sequences * config.data.max_tokens * 2 * shapes.key * shapes.layers
    prompts = sequences * max(0, config.data.max_tokens - config.grpo.max_completion_tokens)
    return kept + prompts * (4 * shapes.hidden + 3 * shapes.inner)


def grpo_duration(
    config: TrainConfig, shapes: Shapes, work: Workload, *, device: Device, devices: int = 1
) -> Duration:
    """How long GRPO takes.

    Args:
        config: Of the training.
        shapes: Of the model.
        work: What its prompts have.
        device: What it runs on.
        devices: How many train together.
    """
    stage = config.grpo
    each = ceil(work.rows / (stage.batch_size // stage.generations)) * stage.iterations
    updates = stage.max_steps or ceil(each * stage.epochs)
    completions = updates * stage.batch_size / stage.iterations
    peak = (device.single if config.model.precision == "float32" else device.half) * 1e12
    worst, likely, best = (
        _seconds(config, shapes, work, completions, place, device, devices, peak) for place in range(3)
    )
    long = LENGTHS[1] * stage.max_completion_tokens
    return Duration(
        rows=round(completions),
        tokens=completions * (work.tokens / work.rows + long),
        updates=updates,
        operations=_drawn(shapes, work, completions, long)
        + _trained(config, shapes, work, completions, long),
        seconds=(worst, likely, best),
        saving=ceil(updates / stage.save_every),
    )


def _seconds(
    config: TrainConfig,
    shapes: Shapes,
    work: Workload,
    completions: float,
    place: int,
    device: Device,
    devices: int,
    peak: float,
) -> float:
    """Of the whole training, at worst (place 0), likely (1), at best (2)."""
    stage = config.grpo
    long = LENGTHS[place] * stage.max_completion_tokens
    arithmetic = _drawn(shapes, work, completions, long) / (devices * peak * REACHED[place])
    streamed = (STREAMED_VLLM if stage.use_vllm else STREAMED)[place]
    reading = _read(config, shapes) / (device.bandwidth * 1e9 * streamed)
    batches = completions / stage.batch_size
    drawing = max(arithmetic, batches * STEPS[place] * stage.max_completion_tokens * reading)
    trained = _trained(config, shapes, work, completions, long)
    return drawing + trained / (devices * peak * REACHED[place])


def _read(config: TrainConfig, shapes: Shapes) -> float:
    """Bytes that go through the memory for a token of each completion of a batch."""
    if config.grpo.use_vllm or config.model.precision == "bfloat16" or config.model.lora is not None:
        size = 4 if config.model.precision == "float32" else 2
    else:
        # In mixed precision weights are read in float32, written in bfloat16, and read again, each time.
        size = 4 if config.model.precision == "float32" else 8
    return shapes.language * size


def _forward(shapes: Shapes, work: Workload, completions: float, long: float) -> tuple[float, float, float]:
    """Operations of a forward pass over prompts and completions: language model, head, tower."""
    prompt = work.tokens / work.rows
    length = prompt + long
    language = 2 * shapes.layers * shapes.layer * length + 4 * length**2 * shapes.query * shapes.layers
    tower = 2 * (shapes.tower * shapes.merge**2 + shapes.projector) * work.image_tokens / work.rows
    head = 2 * shapes.hidden * shapes.vocabulary * long
    return completions * language, completions * head, completions * tower


def _drawn(shapes: Shapes, work: Workload, completions: float, long: float) -> float:
    """Operations of writing all completions."""
    return sum(_forward(shapes, work, completions, long))


def _trained(config: TrainConfig, shapes: Shapes, work: Workload, completions: float, long: float) -> float:
    """Operations of learning from them, and of scoring them by what else is asked."""
    stage, model = config.grpo, config.model
    language, head, tower = _forward(shapes, work, completions, long)
    learns = 2 if model.lora is not None else 3
    again = 1 if stage.gradient_checkpointing else 0
    through_tower = 3 + again if model.train_tower else 1
    # The head computes its scores a second time for the backward pass.
    one = (learns + again) * language + (learns + 1) * head + through_tower * tower
    vllm = stage.vllm or VLLMSection()
    before = stage.iterations > 1 or (stage.use_vllm and vllm.importance_sampling_correction)
    scored = (1 if before else 0) + (1 if stage.beta else 0)
    return stage.iterations * one + scored * (language + head + tower)
