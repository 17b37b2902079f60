"""Watching a training: loss and entropy of each region of the responses, from the forward passes themselves.

A token's region is what it is part of (first thought, cue, continuation, answer, ...). Tokens that bear no
loss, such as a wrong first thought's, are watched beside the others under names of their own.
"""

# torch leaves parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import TrainerCallback

from lpt_core import StoreError
from lpt_train.encoding import REGIONS
from lpt_train.plot import Curve, Panel, draw

UNTRAINED = "untrained_"
"""Stands before the region of tokens that bear no loss."""

_CHUNK = 2**27
"""Most logits that are turned into probabilities at a time (512 MiB in float32)."""

_TOTALS = ("tokens", "places", "labels", "rows")


class Meter:
    """Adds up, between two lines of the log, what the forward passes say.

    Everything stays on the device until it is read.
    """

    def __init__(self) -> None:
        self._sums: Tensor | None = None
        self._totals: Tensor | None = None

    def add(self, *, nll: Tensor, entropy: Tensor, regions: Tensor, bears: Tensor) -> None:
        """Take in the tokens of a forward pass.

        Args:
            nll: Negative log-likelihood in nats, (N,).
            entropy: Of the distribution that each was drawn from, in nats, (N,).
            regions: Places in ``REGIONS``, int64 (N,).
            bears: Whether each bears loss, (N,).
        """
        where = regions + len(REGIONS) * (~bears).long()
        values = torch.stack([torch.ones_like(nll), nll, entropy], 1).detach().double()
        if self._sums is None:
            self._sums = torch.zeros(2 * len(REGIONS), 3, dtype=torch.float64, device=nll.device)
        self._sums.index_add_(0, where, values)

    def count(self, *, tokens: Tensor, labels: Tensor, rows: Tensor | int) -> None:
        """Take in a batch.

        Args:
            tokens: Which of its places hold a token, (B, N).
            labels: Which of them bear loss, (B, N) or without the first of each.
            rows: How many rows it has; of packed ones, more than B.
        """
        counts = [tokens.sum(), tokens.numel(), labels.sum(), rows]
        made = torch.stack([torch.as_tensor(c, dtype=torch.float64, device=tokens.device) for c in counts])
        self._totals = made if self._totals is None else self._totals + made

    def read(self, total: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """What was added up, as means, and begin anew.

        Args:
            total: Adds a tensor up over all processes.
        """
        if self._sums is None or self._totals is None:
            return {}
        sums, totals = total(self._sums).tolist(), total(self._totals).tolist()
        self._sums = self._totals = None
        values: dict[str, float] = {}
        names = (*REGIONS, *(UNTRAINED + region for region in REGIONS))
        for name, (count, nll, entropy) in zip(names, sums, strict=True):
            if count:
                values[f"loss/{name}"] = nll / count
                values[f"entropy/{name}"] = entropy / count
        numbers = dict(zip(_TOTALS, totals, strict=True))
        trained = [row for row in sums[: len(REGIONS)] if row[0]]
        if trained:
            values["token_loss"] = sum(row[1] for row in trained) / sum(row[0] for row in trained)
        values["tokens"] = numbers["tokens"]
        values["rows"] = numbers["rows"]
        values["padding_share"] = 1 - numbers["tokens"] / numbers["places"]
        values["label_share"] = numbers["labels"] / numbers["tokens"]
        return values


def entropies(logits: Tensor) -> Tensor:
    """Entropy in nats of the distribution over the vocabulary, without a graph; (N, V) to (N,)."""
    made: list[Tensor] = []
    with torch.no_grad():
        for part in logits.detach().split(max(1, _CHUNK // logits.shape[-1])):
            logs = torch.log_softmax(part.float(), -1)
            made.append(-(logs.exp() * logs).sum(-1))
    return torch.cat(made) if made else logits.new_zeros(0, dtype=torch.float32)


def write_history(history: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write the log of a training into its folder: ``log.jsonl`` and, as pictures, ``watch.png``.

    Raises:
        StoreError: They cannot be written.
    """
    try:
        text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in history)
        _replace(folder / "log.jsonl", text.encode())
        panels = [panel for panel in _panels(history) if any(curve.points for curve in panel.curves)]
        if panels:
            _replace(folder / "watch.png", draw(panels))
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror or error}.") from error


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _panels(history: Sequence[Mapping[str, Any]]) -> list[Panel]:
    def curve(key: str, name: str, unless: str = "") -> Curve:
        lines = [line for line in history if key in line and unless not in line]
        points = [(float(line["step"]), float(line[key])) for line in lines]
        return Curve(name, points)

    def regions(kind: str) -> list[Curve]:
        names = [name for region in REGIONS for name in (region, UNTRAINED + region)]
        curves = [curve(f"{kind}/{name}", name.replace("_", " ")) for name in names]
        return [one for one in curves if one.points]

    return [
        Panel(
            "loss (nats per token)",
            [curve("token_loss", "training"), curve("eval_loss", "evaluation", unless="eval_dpo_loss")],
        ),
        Panel("preference loss", [curve("dpo_loss", "training"), curve("eval_dpo_loss", "evaluation")]),
        Panel(
            "margin where chosen and rejected differ (nats)",
            [
                curve("margin", "margin"),
                curve("chosen", "chosen"),
                curve("rejected", "rejected"),
                curve("eval_margin", "margin in evaluation"),
            ],
        ),
        Panel(
            "chosen preferred (share)", [curve("accuracy", "training"), curve("eval_accuracy", "evaluation")]
        ),
        Panel("loss on chosen (nats per token)", [curve("sft_loss", "training")]),
        Panel(
            "reward (mean of a completion)",
            [
                curve("reward", "weighted sum"),
                *(curve(f"rewards/{part}/mean", part) for part in ("correct", "format", "length")),
                curve("eval_rewards/correct/mean", "correct in evaluation"),
            ],
        ),
        Panel(
            "groups and answers (share)",
            [
                curve("frac_reward_zero_std", "groups without spread"),
                curve("answers/found", "answers that can be read"),
                curve("completions/clipped_ratio", "completions cut off"),
            ],
        ),
        Panel(
            "length of completions (tokens)",
            [curve("completions/mean_length", "mean"), curve("completions/max_length", "longest")],
        ),
        Panel("entropy of completions (nats per token)", [curve("entropy", "entropy")]),
        Panel("divergence from the start (nats per token)", [curve("kl", "KL")]),
        Panel("loss by region (nats per token)", regions("loss")),
        Panel("entropy by region (nats)", regions("entropy")),
        Panel("learning rate", [curve("learning_rate", "learning rate")]),
    ]


class LogLines(TrainerCallback):
    """Tells, a line for each line of the log, how far a training is.

    Args:
        note: Is told.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._began = 0.0
        self._first = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Remember when and where it began."""
        self._began, self._first = time.monotonic(), int(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Say what was logged last."""
        values = cast("dict[str, float]", logs or {})
        if not state.is_world_process_zero:
            return
        done, of = int(state.global_step), int(state.max_steps)
        if "eval_loss" in values:
            self._note(f"update {done} of {of}: loss on evaluation rows {values['eval_loss']:.4f}")
        elif "token_loss" in values:
            seconds = (time.monotonic() - self._began) / max(1, done - self._first) * (of - done)
            self._note(
                f"update {done} of {of}: loss {values['token_loss']:.4f}, "
                f"padding {values['padding_share']:.1%}, about {timedelta(seconds=round(seconds))} left"
            )
