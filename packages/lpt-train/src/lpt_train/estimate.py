"""What memory and what time a training takes, before a device is rented.

Weights, gradients and the optimiser's states follow exactly from the shapes. Activations are a model of what
PyTorch keeps for the backward pass, with attention that stores no scores (SDPA, FlashAttention): a tenth
more or less is to be expected, and the allocator's fragments come on top.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta

from pydantic import JsonValue

from lpt_train.config import ModelConfig, SFTConfig, StageConfig, TrainConfig
from lpt_train.estimate_grpo import grpo_duration, grpo_memory
from lpt_train.estimate_rows import workload_of
from lpt_train.estimate_time import DEVICES, Calibration, Device, Duration, Given, duration
from lpt_train.shapes import Shapes, read_shapes

GIB = 2**30
MARGIN = 1.1
"""Room for the allocator's fragments and CUDA's own context."""

RESPONSE = 512
"""Tokens of a response that its logits are counted for; a thought that was continued has some 250."""

NF4 = (4 + 8 / 64 + 32 / (64 * 256)) / 8
"""Bytes of a weight in four bits: a constant of eight bits for 64 of them, and one of 32 for 256 of those."""

PACKED_RESPONSES = 0.5
"""Share of a packed sequence that is responses, at most; a quarter to a third is usual."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on each device.

    Attributes:
        weights: Of the model, adapters included.
        gradients: Of what learns.
        optimiser: Adam's two moments of what learns.
        copies: Weights that are held twice: in bfloat16 during the forward pass, gathered from other
            devices, or in the buckets in which gradients travel.
        activations: What is kept of a micro-batch for the backward pass.
        logits: Scores of the tokens of the responses, and their gradients.
        reference: Weights of a second model.
        engine: What vLLM is given.
        generation: What writing completions takes, before there is anything to learn from.
    """

    weights: float
    gradients: float
    optimiser: float
    copies: float
    activations: float
    logits: float
    reference: float = 0.0
    engine: float = 0.0
    generation: float = 0.0

    @property
    def states(self) -> float:
        """What is there before the first row."""
        return self.weights + self.gradients + self.optimiser

    @property
    def total(self) -> float:
        """At the peak."""
        always = self.states + self.copies + self.reference + self.engine
        return always + max(self.generation, self.activations + self.logits)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training takes.

    Attributes:
        parameters: Weights by part of the model, adapters, and how many learn.
        stages: Memory for each stage, at the longest rows that the configuration allows.
        times: How long each stage takes whose rows are there.
        measured: What a probe has measured.
    """

    parameters: dict[str, int]
    stages: dict[str, Memory]
    times: dict[str, Duration] = field(default_factory=dict[str, Duration])
    measured: Calibration | None = None

    def as_json(self) -> dict[str, JsonValue]:
        """All of it as JSON data; memory in bytes, time in seconds."""
        stages: dict[str, JsonValue] = {
            name: {**asdict(memory), "total": memory.total} for name, memory in self.stages.items()
        }
        times: dict[str, JsonValue] = {
            name: {**asdict(time), "seconds": list(time.seconds)} for name, time in self.times.items()
        }
        made: dict[str, JsonValue] = {"parameters": dict(self.parameters), "stages": stages, "times": times}
        if self.measured is not None:
            made["measured"] = asdict(self.measured)
        return made

    def text(self, *, memory: float) -> str:
        """All of it for a person.

        Args:
            memory: What a device has, in GiB.
        """
        lines = [f"{name:<12} {count / 1e9:8.3f} G weights" for name, count in self.parameters.items()]
        for name, need in self.stages.items():
            lines.append(f"\n{name}, on each device:")
            lines += [f"  {part:<12} {size / GIB:7.1f} GiB" for part, size in asdict(need).items() if size]
            lines.append(f"  {'total':<12} {need.total / GIB:7.1f} GiB: {_verdict(need.total, memory)}")
            if name in self.times:
                lines += _told(self.times[name], name, probed=self.measured is not None)
        if self.measured is not None:
            lines.append(
                f"\nmeasured on {self.measured.device}: {self.measured.rate / 1e12:.3g} x 10^12 operations a "
                f"second; {self.measured.peak / GIB:.1f} GiB at the peak of sft, its longest row included"
            )
        return "\n".join(lines) + "\n"


def _told(time: Duration, stage: str, *, probed: bool) -> list[str]:
    worst, likely, best = (str(timedelta(seconds=max(1, round(one)))) for one in time.seconds)
    said = f"{likely}" if probed else f"{likely}, between {best} and {worst}"
    how = "as a probe measured" if probed else "by the device's data sheet, 25 to 50 % of it reached"
    rows = "rows"
    if stage == "grpo":
        rows, how = "completions", "by the data sheet; of a quarter to all of max_completion_tokens"
    lines = [
        f"  {rows:<12} {time.rows:>7,}, {time.tokens / 1e6:.2f} M tokens in {time.updates:,} updates",
        f"  {'arithmetic':<12} {time.operations / 1e15:7.3g} x 10^15 operations",
        f"  {'time':<12} {said}, {how}",
    ]
    if time.saving:
        lines.append(f"  {'':<12} and {time.saving} times what writing a checkpoint takes")
    return lines


def _verdict(total: float, memory: float) -> str:
    if total * MARGIN <= memory * GIB:
        return f"fits into {memory:g} GiB"
    return f"{'is tight in' if total <= memory * GIB else 'does not fit into'} {memory:g} GiB"


def estimate(
    config: TrainConfig,
    *,
    devices: int = 1,
    sharded: bool = False,
    device: Device | None = None,
    measured: Calibration | None = None,
) -> Estimate:
    """What memory and time each stage of a configuration takes.

    Args:
        config: Of its model, ``config.json`` and ``tokenizer.json`` are read; of its rows, those that are
            there.
        devices: How many train together.
        sharded: Whether weights, gradients and states are spread over them (ZeRO-3, FSDP); each device has
            all of them otherwise.
        device: What it runs on, if no probe says; an H100 otherwise.
        measured: By a probe.

    Raises:
        ConfigError: The shapes cannot be read.
        DataError: The rows, or their images, cannot be read.
    """
    shapes = read_shapes(config.model.name, config.model.revision)
    trained, frozen = _learning(config, shapes)
    parameters = {
        "tower": shapes.tower,
        "projector": shapes.projector,
        "language": shapes.language,
        "learning": trained,
    }
    if config.model.lora is not None:
        parameters["adapters"] = trained
    device = device or DEVICES["h100"]
    kinds: tuple[tuple[Given, StageConfig, int], ...] = (
        ("sft", config.sft, 1),
        ("dpo", config.dpo, 2),  # chosen and rejected, shared or not: the longest have little in common
    )
    stages = {
        name: _memory(config, stage, shapes, trained, frozen, responses, devices, sharded)
        for name, stage, responses in kinds
    }
    times: dict[str, Duration] = {}
    for name, _, _ in kinds:
        work = workload_of(config, name, shapes, devices=devices)
        if work is not None:
            times[name] = duration(
                config,
                name,
                shapes,
                work,
                device=device,
                devices=devices,
                calibration=measured,
            )
    stages["grpo"] = replace(
        _memory(config, config.grpo, shapes, trained, frozen, 1, devices, sharded),
        **grpo_memory(config, shapes, device=device, devices=devices, sharded=sharded),
    )
    prompts = workload_of(config, "grpo", shapes, devices=devices)
    if prompts is not None and measured is None:  # a probe writes no completions
        times["grpo"] = grpo_duration(config, shapes, prompts, device=device, devices=devices)
    return Estimate(parameters, stages, times, measured)


def _learning(config: TrainConfig, shapes: Shapes) -> tuple[int, int]:
    """Weights that learn, and weights that do not."""
    model = config.model
    if model.lora is not None:
        return shapes.adapters(model.lora), shapes.total
    trained = shapes.language
    trained += shapes.tower if model.train_tower else 0
    trained += shapes.projector if model.train_projector else 0
    return trained, shapes.total - trained


def _memory(
    config: TrainConfig,
    stage: StageConfig,
    shapes: Shapes,
    trained: int,
    frozen: int,
    responses: int,
    devices: int,
    sharded: bool,
) -> Memory:
    model = config.model
    arithmetic = 4 if model.precision == "float32" else 2
    # Adapters are kept in float32 even on a model in bfloat16.
    learning = 2 if model.precision == "bfloat16" and model.lora is None else 4
    share = devices if sharded else 1
    gradients = trained * learning / share
    copies = 0.0
    if learning > arithmetic and not sharded:
        copies += trained * arithmetic
    if sharded:
        copies += 2 * max(shapes.layer, shapes.vocabulary * shapes.hidden) * arithmetic
    elif devices > 1:
        copies += gradients
    kept = frozen * arithmetic
    if model.quantize is not None:
        kept -= shapes.projections * (arithmetic - NF4)
        copies += shapes.hidden * shapes.inner * arithmetic  # turned back while it is used
    places = stage.micro_batch * responses * config.data.max_tokens
    scored = stage.micro_batch * responses * min(RESPONSE, config.data.max_tokens)
    if isinstance(stage, SFTConfig) and stage.packing:
        scored = max(scored, round(config.data.max_tokens * PACKED_RESPONSES))
    return Memory(
        weights=(trained * learning + kept) / share,
        gradients=gradients,
        optimiser=2 * trained * learning / share,
        copies=copies,
        activations=activations(shapes, model, places, recompute=stage.gradient_checkpointing),
        # As computed, in float32, and the gradient of each.
        logits=scored * shapes.vocabulary * (2 * arithmetic + 8),
    )


def activations(shapes: Shapes, model: ModelConfig, places: int, *, recompute: bool) -> float:
    """Bytes that are kept of the language model for the backward pass.

    Recomputing keeps the input of each layer, and all that is kept of a layer of one of them.

    Args:
        shapes: Of the model.
        model: Its section: precision and adapters decide what is kept in which type.
        places: Tokens of a micro-batch, padding included.
        recompute: Whether layers are computed twice.
    """
    layer = places * _layer(shapes, model)
    if not recompute:
        return layer * shapes.layers
    # Weights in float32 make a stream of residuals in float32, whatever the arithmetic is.
    stream = 2 if model.precision == "bfloat16" or (model.lora and model.precision == "mixed") else 4
    return places * shapes.hidden * stream * shapes.layers + layer


def _layer(shapes: Shapes, model: ModelConfig) -> float:
    """Bytes that a decoder layer keeps of each token; counted in PyTorch's saved tensors, type by type."""
    hidden, query = shapes.hidden, shapes.query
    same = query + 2 * shapes.key + 4 * shapes.inner
    lora = model.lora
    if model.precision == "float32":
        made = 4 * (7 * hidden + same)
    elif lora is not None:
        made = 2 * (6 * hidden + query + same) + 4 * 2 * hidden
    elif model.precision == "mixed":
        made = 2 * (6 * hidden + same) + 4 * 4 * hidden
    else:
        made = 2 * (5 * hidden + same) + 4 * 2 * hidden
    if lora is not None and lora.dropout:
        widths = {"o_proj": query, "down_proj": shapes.inner}
        made += 4 * sum(widths.get(target, hidden) for target in set(lora.targets))
    return float(made)
