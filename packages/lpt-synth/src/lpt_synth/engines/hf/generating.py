"""One batch: from prompts to texts, with the model's own ``generate``."""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from lpt_core import Sampling
from lpt_synth.engines.hf.draw import banned_tokens, processors, settled
from lpt_synth.engines.hf.loading import Loaded
from lpt_synth.engines.hf.prompts import Prepared


@dataclass(frozen=True, slots=True)
class Order:
    """One sample to be written.

    Attributes:
        prompt: What stands before it.
        seed: What it is drawn from.
        most: How many tokens it may have.
        unwanted: Tells whether nobody waits for it any more.
    """

    prompt: Prepared
    seed: int
    most: int
    unwanted: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Written:
    """A sample: what follows the prompt, why it ended ("stop", "length"), and how many tokens it took."""

    text: str
    finish_reason: str
    tokens: int


def generate(loaded: Loaded, orders: Sequence[Order], sampling: Sampling) -> list[Written]:
    """Write one sample for each order, all with the same sampling.

    Raises:
        Exception: Whatever the model raises; see ``out_of_memory``.
    """
    sampling = settled(sampling, loaded.defaults)
    inputs = _collated(orders, loaded)
    mask = inputs["attention_mask"]
    ended = _Ended(orders, int(mask.shape[1]), loaded, sampling.stop)
    config = GenerationConfig(
        do_sample=False,  # the processors' noise draws; what is left is to take the largest
        num_beams=1,
        use_cache=True,
        max_new_tokens=max(order.most for order in orders),
        eos_token_id=list(loaded.ends) or None,
        pad_token_id=loaded.pad,
    )
    with torch.inference_mode():
        made: torch.Tensor = loaded.model.generate(
            **inputs,
            generation_config=config,
            logits_processor=processors(
                sampling,
                seeds=[order.seed for order in orders],
                mask=mask,
                banned=banned_tokens(loaded.tokenizer, sampling.bad_words),
            ),
            stopping_criteria=StoppingCriteriaList([ended]),
        )
    rows = cast("list[list[int]]", made[:, mask.shape[1] :].tolist())
    return [_read(loaded, order, row, sampling.stop) for order, row in zip(orders, rows, strict=True)]


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that the batch was too large for the machine."""
    said = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in said or "not enough memory" in said)
    )


def let_go(device: torch.device) -> None:
    """Give memory that nothing refers to any more back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _collated(orders: Sequence[Order], loaded: Loaded) -> dict[str, torch.Tensor]:
    """One batch on the model's device: by token padded on the left, all else (images) one after another."""
    width = max(order.prompt.length for order in orders)
    batch: dict[str, torch.Tensor] = {}
    for name, first in orders[0].prompt.inputs.items():
        values = [order.prompt.inputs[name] for order in orders]
        if first.shape == orders[0].prompt.inputs["input_ids"].shape:
            fill = loaded.pad if name == "input_ids" else 0
            values = [_padded(value, width, fill) for value in values]
        joined = torch.cat(values)
        kind = loaded.dtype if joined.is_floating_point() else joined.dtype
        batch[name] = joined.to(loaded.device, kind)
    return batch


def _padded(value: torch.Tensor, width: int, fill: int) -> torch.Tensor:
    return torch.nn.functional.pad(value, (width - value.shape[1], 0), value=fill)


def _decoded(loaded: Loaded, before: Sequence[int], tokens: Sequence[int]) -> str:
    """The text of tokens as they stand after others; some tokenizers drop a first space else."""

    def text(ids: Sequence[int]) -> str:
        return loaded.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )

    lead = text(before)
    whole = text([*before, *tokens])
    return whole[len(lead) :] if whole.startswith(lead) else text(tokens)


def _read(loaded: Loaded, order: Order, row: list[int], stops: Sequence[str]) -> Written:
    """What a row of tokens says, up to whatever ended it first."""
    tokens, reason = row[: order.most], "length"
    end = next((at for at, token in enumerate(tokens) if token in loaded.ends), None)
    if end is not None:
        tokens, reason = tokens[:end], "stop"
    text = _decoded(loaded, order.prompt.before, tokens)
    cut = min((at for stop in stops if (at := text.find(stop)) >= 0), default=None)
    if cut is not None:
        text, reason = text[:cut], "stop"
    return Written(text, reason, len(tokens) + (end is not None))


class _Ended(StoppingCriteria):
    """Ends a row at its own length, at a stop text, or when nobody waits for it."""

    def __init__(self, orders: Sequence[Order], start: int, loaded: Loaded, stops: Sequence[str]) -> None:
        self._orders = orders
        self._start = start
        self._loaded = loaded
        self._stops = stops
        # A token writes at least a byte, but for those that write nothing.
        self._window = max((len(stop.encode()) for stop in stops), default=0) + 8

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """One bool for each row."""
        written = int(input_ids.shape[1]) - self._start
        done = [order.unwanted() or written >= order.most for order in self._orders]
        if self._stops:
            tails = cast("list[list[int]]", input_ids[:, self._start :][:, -self._window :].tolist())
            done = [is_done or self._stopped(tail) for is_done, tail in zip(done, tails, strict=True)]
        return torch.tensor(done, device=input_ids.device)

    def _stopped(self, tail: list[int]) -> bool:
        text = _decoded(self._loaded, (), tail)
        return any(stop in text for stop in self._stops)
