"""The reference model's log-probabilities: computed once, kept on disk.

A file has a line a pair, by the pair's tokens and image. Its name says for which weights, which encoder and
which arithmetic: a run whose learning rate or beta differs finds them there. Lines are added as batches are
done; a line that was cut short by a kill is passed over, and its batch computed again. Batches are made the
same way whatever is there already, so that the numbers do not depend on how often a run was killed.
"""

# torch leaves parts of what is used here without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from lpt_core import StoreError, fingerprint
from lpt_train.dpo.collate import PairCollator, Scored
from lpt_train.dpo.pairs import TokenPair
from lpt_train.dpo.shared import pair_log_probs

Sums = tuple[float, float]
"""Log-probabilities in nats of the tokens in which chosen and rejected differ, summed for each."""


def reference_identity(*, weights: str, encoder: str, arithmetic: str) -> str:
    """What a file of reference log-probabilities is for.

    Args:
        weights: Digest of the reference model's weights.
        encoder: Identity of the encoder, its pixel policy included.
        arithmetic: Precision and kind of attention.
    """
    return fingerprint("reference", {"weights": weights, "encoder": encoder, "arithmetic": arithmetic})


class ReferenceCache:
    """Reference log-probabilities on disk.

    Args:
        folder: Where the files lie; made when something is added.
        identity: As ``reference_identity`` makes it.
        process: Number of this process; each adds to a file of its own and reads all.
    """

    def __init__(self, folder: Path, identity: str, *, process: int = 0) -> None:
        self._folder = folder
        self._pattern = f"{identity}.*.jsonl"
        self._own = folder / f"{identity}.{process}.jsonl"
        self._known: dict[str, Sums] = {}
        self.reread()

    def reread(self) -> None:
        """Take in what other processes have added.

        Raises:
            StoreError: A file cannot be read.
        """
        try:
            for path in sorted(self._folder.glob(self._pattern)):
                for line in path.read_bytes().splitlines():
                    self._take(line)
        except OSError as error:
            raise StoreError(f"{self._folder} cannot be read: {error.strerror or error}.") from error

    def _take(self, line: bytes) -> None:
        try:
            row: object = json.loads(line)
        except ValueError:
            return  # cut short by a kill; its batch is computed again
        match row:
            case {"pair": str(pair), "chosen": float(chosen), "rejected": float(rejected)}:
                self._known[pair] = chosen, rejected
            case _:
                return

    def __contains__(self, pair: TokenPair) -> bool:
        return pair.key in self._known

    def __getitem__(self, pair: TokenPair) -> Sums:
        return self._known[pair.key]

    def add(self, found: Mapping[str, Sums]) -> None:
        """Keep the sums of some pairs, by their keys; on disk when this returns.

        Raises:
            StoreError: They cannot be written.
        """
        lines = "".join(
            json.dumps({"pair": key, "chosen": chosen, "rejected": rejected}) + "\n"
            for key, (chosen, rejected) in found.items()
        )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._own.open("ab+") as file:
                # A line that was cut short must not take the next one with it.
                if file.tell() and not _ends_line(file):
                    file.write(b"\n")
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{self._own} cannot be written: {error.strerror or error}.") from error
        self._known.update(found)


def _ends_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def fill_reference(
    cache: ReferenceCache,
    pairs: Sequence[TokenPair],
    model: Any,
    collator: PairCollator,
    *,
    micro: int,
    device: torch.device,
    attention: str,
    inside: Callable[[], AbstractContextManager[Any]],
    process: int = 0,
    processes: int = 1,
) -> int:
    """Compute what a cache lacks.

    Args:
        cache: Of the reference model.
        pairs: All pairs of the training, whether known or not.
        model: The reference, wrapped as it may be.
        collator: As training uses it.
        micro: Pairs of a batch.
        device: The model's.
        attention: Its kind.
        inside: Makes what a forward pass runs in: adapters off, arithmetic as in training.
        process: Number of this process.
        processes: How many share the work; all call this, and all make as many passes, since a model that is
            spread over them runs on all or on none.

    Returns:
        How many pairs this process computed.
    """
    mine = list(_batches(pairs, micro))
    rounds = -(-len(mine) // processes)
    todo = [
        step
        for step in range(rounds)
        if any(
            pair not in cache for batch in mine[step * processes : (step + 1) * processes] for pair in batch
        )
    ]
    computed = 0
    for step in todo:
        batch = mine[min(step * processes + process, len(mine) - 1)]
        cache.add(_scores(model, batch, collator, device, attention, inside))
        computed += len(batch)
    return computed


def _batches(pairs: Sequence[TokenPair], micro: int) -> Iterator[list[TokenPair]]:
    """Each pair once; those about one prompt together, as long as each other where possible."""
    unique = {pair.key: pair for pair in pairs}
    groups: dict[bytes, list[tuple[str, TokenPair]]] = {}
    for key, pair in sorted(unique.items()):
        groups.setdefault(pair.prompt.tobytes(), []).append((key, pair))
    longest = sorted(
        groups.values(), key=lambda group: (-max(p.encoded_tokens for _, p in group), group[0][0])
    )
    ordered = [pair for group in longest for _, pair in group]
    for start in range(0, len(ordered), micro):
        yield ordered[start : start + micro]


def _scores(
    model: Any,
    pairs: Sequence[TokenPair],
    collator: PairCollator,
    device: torch.device,
    attention: str,
    inside: Callable[[], AbstractContextManager[Any]],
) -> dict[str, Sums]:
    batch = {name: value.to(device) for name, value in collator([Scored(pair) for pair in pairs]).items()}
    before = bool(model.training)
    model.eval()
    try:
        with torch.no_grad(), inside():
            found = pair_log_probs(model, batch, attention=attention)
    finally:
        model.train(before)
    sums: Tensor = torch.stack([found.chosen, found.rejected], dim=1).double().cpu()
    rows = cast("list[list[float]]", sums.tolist())
    return {pair.key: (row[0], row[1]) for pair, row in zip(pairs, rows, strict=True)}
