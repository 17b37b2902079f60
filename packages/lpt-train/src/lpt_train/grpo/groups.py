"""In which order prompts are drawn, and how often each is repeated."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler

from lpt_core import derived_int


class GroupSampler(Sampler[int]):
    """The prompts' places as TRL's trainer takes them: groups of completions, chunk by chunk.

    A chunk is the prompts of one generation. Each place stands there as often as there are completions of
    a prompt, and each chunk as often as the trainer comes by for a micro-batch of it. An epoch's order
    depends on the seed and its number alone, so that a resumed training draws what an uninterrupted one
    would; TRL's own sampler begins anew. The last chunk is filled up with the epoch's first prompts.

    Args:
        prompts: How many there are.
        chunk: Prompts of one generation.
        generations: Completions of each.
        repeats: Micro-batches for which the completions of a chunk are used.
        seed: Another seed, another order.
    """

    def __init__(self, prompts: int, *, chunk: int, generations: int, repeats: int, seed: int) -> None:
        self._prompts = prompts
        self._chunk = chunk
        self._generations = generations
        self._repeats = repeats
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        chunks = -(-self._prompts // self._chunk)
        return chunks * self._chunk * self._generations * self._repeats

    def __iter__(self) -> Iterator[int]:
        order = sorted(
            range(self._prompts), key=lambda place: derived_int(self._seed, "grpo-order", self._epoch, place)
        )
        for start in range(0, self._prompts, self._chunk):
            chunk = [order[(start + place) % self._prompts] for place in range(self._chunk)]
            for _ in range(self._repeats):
                for place in chunk:
                    yield from [place] * self._generations

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; accelerate does."""
        self._epoch = epoch
