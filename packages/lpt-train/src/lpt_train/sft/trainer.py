"""Supervised fine-tuning: loss where it belongs, in an order that pads little, watched by region.

It stands on transformers' own trainer. Of what TRL's adds, nothing would be left: rows are encoded by
``lpt_train.encoding``, the head is applied to the response alone, and loss and entropy are told apart by
region.
"""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset, Sampler

from lpt_core import SFTExample
from lpt_train.collate import NO_LABEL, NO_REGION
from lpt_train.encoding import REGIONS, Encoded, Encoder
from lpt_train.order import LengthOrder
from lpt_train.packing import Pack, PackedOrder
from lpt_train.resume import ResumingTrainer
from lpt_train.watch import Meter, entropies

_FIRST_OF_RESPONSE = REGIONS.index("format")
"""Regions from here on are a response's; those before it are the prompt's."""


class EncodedRows(Dataset[Encoded]):
    """Rows that are encoded when they are needed; tokens of a whole set take more room than its text."""

    def __init__(self, examples: Sequence[SFTExample], encoder: Encoder) -> None:
        self._examples = examples
        self._encoder = encoder

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Encoded:
        example = self._examples[index]
        return self._encoder.encode(example.prompt, example.response)


class PackedRows(Dataset[list[Encoded]]):
    """Rows by the packs that a ``PackedOrder`` makes."""

    def __init__(self, examples: Sequence[SFTExample], encoder: Encoder) -> None:
        self._rows = EncodedRows(examples, encoder)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Pack) -> list[Encoded]:
        return [self._rows[row] for row in index]


class OrderedSampler(Sampler[Any]):
    """An order for a ``DataLoader``."""

    def __init__(self, order: LengthOrder | PackedOrder) -> None:
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Any:
        return iter(self._order)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; accelerate does."""
        self._order.set_epoch(epoch)


class SFTTrainer(ResumingTrainer):
    """Trains on batches of ``SFTCollator``, or of ``PackingCollator``.

    Args:
        order: Of the rows.
        arguments: Of ``ResumingTrainer``.
    """

    # The loss is a mean over all tokens of an update, however these are spread over its micro-batches.
    loss_is_scaled_for_ga = True

    def __init__(self, *, order: LengthOrder | PackedOrder, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._order = order
        self._meters = {True: Meter(), False: Meter()}
        self.model_accepts_loss_kwargs = True

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[Any]:
        return OrderedSampler(self._order)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Cross entropy over the tokens that bear loss, divided by their number in the whole update.

        The head of the model is applied to the places that predict a response, and to no others.
        """
        inputs = dict(inputs)
        labels, regions = inputs.pop("labels")[:, 1:], inputs.pop("regions")
        tokens, regions = regions != NO_REGION, regions[:, 1:]
        answers = regions >= _FIRST_OF_RESPONSE
        keep = answers.any(0).nonzero()[:, 0]
        answers, bears = answers[:, keep], labels[:, keep] != NO_LABEL
        outputs = model(**inputs, use_cache=False, logits_to_keep=keep)
        logits = outputs.logits[answers]
        targets = inputs["input_ids"][:, 1:][:, keep][answers]
        bears, regions = bears[answers], regions[:, keep][answers]
        nll = functional.cross_entropy(logits.float(), targets, reduction="none")
        meter = self._meters[bool(model.training)]
        meter.add(nll=nll, entropy=entropies(logits), regions=regions, bears=bears)
        meter.count(tokens=tokens, labels=labels != NO_LABEL, rows=_rows(inputs))
        number = bears.sum() if num_items_in_batch is None else num_items_in_batch
        loss = nll[bears].sum() / torch.as_tensor(number, device=nll.device).clamp(min=1)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            # The number is that of all processes, whose gradients are then averaged.
            loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor, None, None]:
        """The loss of a batch of the evaluation; logits are never kept."""
        with torch.no_grad(), self.compute_loss_context_manager():
            return self.compute_loss(model, self._prepare_inputs(inputs)).detach(), None, None

    def _over_processes(self, sums: Tensor) -> Tensor:
        return cast(Tensor, self.accelerator.reduce(sums, "sum"))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what was watched since the last line."""
        measured = any(name.startswith("eval_") for name in logs)
        values = self._meters[not measured].read(self._over_processes)
        if measured and values:
            # The mean over tokens; what transformers has put there is a mean over batches.
            logs["eval_loss"] = values.pop("token_loss")
            values = {f"eval_{name}": value for name, value in values.items()}
        logs.update(values)
        super().log(logs, start_time)


def _rows(inputs: dict[str, Any]) -> Tensor | int:
    """How many rows a batch has; packed ones begin where places in a row do."""
    if "position_ids" not in inputs:
        return len(inputs["input_ids"])
    return (inputs["position_ids"][0] == 0).sum()
