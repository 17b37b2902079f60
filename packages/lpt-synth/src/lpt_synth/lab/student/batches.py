"""From lessons to tensors: token ids, labels, and the positions that Qwen2.5-VL gives to image and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lpt_synth.lab.student.lessons import Lesson
from lpt_synth.lab.student.tokenizer import token_id

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

VISUAL_TOKENS = 9
"""Of a picture of 84 x 84 pixels: three rows of three."""
_GRID = 3
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Batch:
    """Lessons as tensors, padded on the right.

    Attributes:
        ids: int64, (lessons, length).
        labels: int64, (lessons, length): ``IGNORED`` but for what is to be learned.
        positions: int64, (3, lessons, length): time, row and column.
        images: int64, (lessons,): first place of the picture's tokens.
        scenes: int64, (lessons,).
    """

    ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    images: torch.Tensor
    scenes: torch.Tensor


class Batches:
    """Makes batches with a tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._image = token_id(tokenizer, "<|image_pad|>")
        self._pad = token_id(tokenizer, "<|endoftext|>")

    def prompt(self, lesson: Lesson) -> str:
        """The text before the answer, one image token for the picture."""
        user = [{"type": "image"}, {"type": "text", "text": lesson.user}]
        system = [{"role": "system", "content": lesson.system}] if lesson.system else []
        return str(
            cast(Any, self._tokenizer).apply_chat_template(
                [*system, {"role": "user", "content": user}], tokenize=False, add_generation_prompt=True
            )
        )

    def make(self, lessons: Sequence[Lesson]) -> Batch:
        """Tensors of some lessons."""
        import torch

        pads = "<|image_pad|>" * VISUAL_TOKENS
        prompts = [self.prompt(lesson).replace("<|image_pad|>", pads) for lesson in lessons]
        answers = [f"{lesson.answer}<|im_end|>" for lesson in lessons]
        asked = self._tokenizer(prompts, add_special_tokens=False)["input_ids"]
        said = self._tokenizer(answers, add_special_tokens=False)["input_ids"]
        longest = max(len(a) + len(s) for a, s in zip(asked, said, strict=True))
        ids = torch.full((len(lessons), longest), self._pad)
        labels = torch.full((len(lessons), longest), IGNORED)
        positions = torch.zeros((3, len(lessons), longest), dtype=torch.int64)
        images = torch.zeros(len(lessons), dtype=torch.int64)
        for row, (before, after) in enumerate(zip(asked, said, strict=True)):
            end = len(before) + len(after)
            ids[row, :end] = torch.tensor(before + after)
            labels[row, len(before) : end] = torch.tensor(after)
            images[row] = before.index(self._image)
            positions[:, row] = positions_of(int(images[row]), longest)
        return Batch(ids, labels, positions, images, torch.tensor([lesson.scene for lesson in lessons]))


def positions_of(image: int, length: int) -> torch.Tensor:
    """Positions (3, length) of a text with a picture of 3 x 3 tokens that begins at ``image``.

    As ``Qwen2_5_VLModel.get_rope_index`` gives them, for the one shape of picture that the lab has.
    """
    import torch

    place = torch.arange(length)
    cell = place - image
    inside = (cell >= 0) & (cell < VISUAL_TOKENS)
    text = torch.where(cell < 0, place, place - VISUAL_TOKENS + _GRID)
    time = torch.where(inside, torch.full_like(place, image), text)
    row = torch.where(inside, image + cell.div(_GRID, rounding_mode="floor"), text)
    column = torch.where(inside, image + cell.remainder(_GRID), text)
    return torch.stack([time, row, column])
