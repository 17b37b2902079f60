"""How much there is to compute in rows: tokens of text and of images, counted without torch.

Text is counted with the model's ``tokenizer.json``, images from their headers; of many rows, a sample. The
chat template is taken to add as many tokens as Qwen's.
"""

# tokenizers has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import ceil
from pathlib import Path
from typing import Any, Literal

from lpt_core import ImageRef, Message, ResponseSegment, resized_size
from lpt_core.image_files import header_size
from lpt_train.config import StageConfig, TrainConfig
from lpt_train.order import LengthOrder
from lpt_train.rows import read_pairs, read_prompts, read_sft
from lpt_train.shapes import Shapes

Stage = Literal["sft", "dpo", "grpo"]

SAMPLE = 2000
"""Rows that are counted of a larger set."""

_TURN = 5
"""Tokens that the template puts around a message: its beginning, role, line breaks and end."""

_CHARACTERS = 4.2
"""Of a token of English, where the model's tokenizer is not at hand."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What one pass over the rows of a stage has.

    Attributes:
        rows: How many.
        tokens: That the language model computes; what pairs share, once where it is computed once.
        squares: Sum of the squares of the sequences' lengths, for attention.
        image_tokens: Of them, those of images.
        images: How many images there are that differ.
        scored: Tokens of the responses, which the head is applied to; prompts have none yet.
        padded: Places that are computed for each token.
    """

    rows: int
    tokens: float
    squares: float
    image_tokens: float
    images: float
    scored: float
    padded: float = 1.0


@dataclass(frozen=True, slots=True)
class _Row:
    tokens: int
    squares: int
    image_tokens: int
    scored: int
    image: str


def workload_of(config: TrainConfig, stage: Stage, shapes: Shapes, *, devices: int = 1) -> Workload | None:
    """What a stage's rows have; None where the configuration names none that are there.

    Raises:
        DataError: The rows or their images cannot be read.
    """
    sections: dict[Stage, StageConfig] = {"sft": config.sft, "dpo": config.dpo, "grpo": config.grpo}
    section = sections[stage]
    if section.data is None or not section.data.is_file():
        return None
    count = _Count(config, shapes)
    if stage == "sft":
        examples = read_sft(section.data)
        every = len(examples)
        rows = [count.example(row.prompt, row.response, row.image) for row in _some(examples)]
    elif stage == "grpo":
        prompts = read_prompts(section.data)
        every = len(prompts)
        rows = [count.prompt(row.prompt, row.image) for row in _some(prompts)]
    else:
        pairs = [pair for pair in read_pairs(section.data) if pair.kind in config.dpo.kinds]
        every = len(pairs)
        rows = [count.pair(p.prompt, (p.chosen, p.rejected), p.image) for p in _some(pairs)]
    if not rows:
        return None
    scale = every / len(rows)
    return Workload(
        rows=every,
        tokens=scale * sum(row.tokens for row in rows),
        squares=scale * sum(row.squares for row in rows),
        image_tokens=scale * sum(row.image_tokens for row in rows),
        images=scale * len({row.image for row in rows}),
        scored=scale * sum(row.scored for row in rows),
        padded=_padded([row.tokens for row in rows], config, section, devices) if stage == "sft" else 1.0,
    )


def _some(rows: Sequence[Any]) -> list[Any]:
    """All rows, or a sample at even distances."""
    if len(rows) <= SAMPLE:
        return list(rows)
    return [rows[number * len(rows) // SAMPLE] for number in range(SAMPLE)]


def _padded(lengths: list[int], config: TrainConfig, section: StageConfig, devices: int) -> float:
    """Places for each token, as the order of the first epoch pads them."""
    if config.sft.packing:
        return 1.0
    order = list(
        LengthOrder(
            lengths,
            batch=section.batch_size,
            micro=section.micro_batch * devices,
            window=section.sort_window,
            seed=config.seed,
        )
    )
    size = section.micro_batch
    groups = [[lengths[row] for row in order[at : at + size]] for at in range(0, len(order), size)]
    return sum(len(group) * max(group) for group in groups) / sum(lengths)


class _Count:
    """Counts tokens for one model."""

    def __init__(self, config: TrainConfig, shapes: Shapes) -> None:
        self._pixels = config.data.pixels
        self._factor = shapes.patch * shapes.merge
        self._shared = config.dpo.shared_prefix
        self._text = _text_counter(config)
        self._seen: dict[str, int] = {}

    def example(
        self, prompt: Sequence[Message], response: Sequence[ResponseSegment], image: ImageRef
    ) -> _Row:
        """What a row for fine-tuning has."""
        pieces = self._image(image)
        scored = self._text("".join(segment.text for segment in response)) + 1
        tokens = self._prompt(prompt) + pieces + scored
        return _Row(tokens, tokens**2, pieces, scored, image.sha256)

    def prompt(self, prompt: Sequence[Message], image: ImageRef) -> _Row:
        """What a question that waits for answers has."""
        pieces = self._image(image)
        tokens = self._prompt(prompt) + pieces
        return _Row(tokens, tokens**2, pieces, 0, image.sha256)

    def pair(
        self, prompt: Sequence[Message], responses: Sequence[Sequence[ResponseSegment]], image: ImageRef
    ) -> _Row:
        """What a pair has, together."""
        pieces = self._image(image)
        before = self._prompt(prompt) + pieces
        texts = ["".join(segment.text for segment in response) for response in responses]
        lengths = [self._text(text) + 1 for text in texts]
        if self._shared:
            common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False)))
            tokens = before + sum(lengths) - self._text(texts[0][:common])
            return _Row(tokens, tokens**2, pieces, sum(lengths), image.sha256)
        squares = sum((before + length) ** 2 for length in lengths)
        return _Row(2 * before + sum(lengths), squares, 2 * pieces, sum(lengths), image.sha256)

    def _prompt(self, prompt: Sequence[Message]) -> int:
        """Of the prompt and the answer's opening, but for the image; its two marks are counted."""
        for message in prompt:
            if message.text not in self._seen:
                self._seen[message.text] = self._text(message.text)
        return sum(self._seen[message.text] + _TURN for message in prompt) + 6

    def _image(self, image: ImageRef) -> int:
        width, height = resized_size(*header_size(Path(image.path)), self._pixels)
        return max(1, round(width / self._factor)) * max(1, round(height / self._factor))


def _text_counter(config: TrainConfig) -> Callable[[str], int]:
    from tokenizers import Tokenizer

    path = Path(config.model.name) / "tokenizer.json"
    try:
        if not path.is_file():
            import huggingface_hub

            path = Path(huggingface_hub.hf_hub_download(config.model.name, "tokenizer.json"))
        tokenizer: Any = Tokenizer.from_file(str(path))
    except Exception:  # a network or somebody's file: as many kinds as they have faults
        return lambda text: ceil(len(text) / _CHARACTERS)
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
