"""Teaching the student's tower to see: what stands in each cell."""

# torch and transformers leave parts of what is used here without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from lpt_core import derived_int
from lpt_synth.lab.draw import draw_scene
from lpt_synth.lab.scene import COLOURS, PATTERNS, PLACES, SHAPES, SIZES, Scene
from lpt_synth.lab.student.batches import VISUAL_TOKENS
from lpt_synth.lab.student.schooling import Curve, Schooling, set_rate

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

_HEADS: Sequence[tuple[str, Sequence[str]]] = (
    ("shape", SHAPES),
    ("colour", COLOURS),
    ("size", SIZES),
    ("pattern", PATTERNS),
    ("place", PLACES),
)


def _cells(scene: Scene) -> list[list[int]]:
    """For each head the class of every cell, 0 for an empty one; its place, empty or not."""
    seen = [
        [
            1 + names.index(getattr(thing, attribute)) if (thing := scene.at(cell)) else 0
            for cell in range(VISUAL_TOKENS)
        ]
        for attribute, names in _HEADS[:-1]
    ]
    return [*seen, list(range(1, VISUAL_TOKENS + 1))]


class Eye:
    """Turns pictures into the tower's tokens."""

    def __init__(
        self, model: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor, seed: int
    ) -> None:
        self.tower = cast("torch.nn.Module", model.model.visual)
        self._processor = cast(Any, processor).image_processor
        self._seed = seed
        self._drawn: dict[Scene, Image] = {}  # 21 kB each, and drawing takes longer than looking

    def _picture(self, scene: Scene) -> Image:
        if scene not in self._drawn:
            self._drawn[scene] = draw_scene(scene, seed=self._seed)
        return self._drawn[scene]

    def tokens(self, scenes: Sequence[Scene]) -> torch.Tensor:
        """Visual tokens, float, (scenes, 9, hidden)."""
        images = [self._picture(scene) for scene in scenes]
        seen = self._processor(images=images, return_tensors="pt")
        out = self.tower(seen["pixel_values"], grid_thw=seen["image_grid_thw"])
        return out.pooler_output.view(len(scenes), VISUAL_TOKENS, -1)


def names_of(words: torch.Tensor, tokenizer: PreTrainedTokenizerFast) -> list[torch.Tensor]:
    """The word embeddings of what each head names, (classes, hidden): the empty cell's word, then its own."""
    ids = [[tokenizer(f" {name}").input_ids[-1] for name in ("nothing", *names)] for _, names in _HEADS]
    return [words[of].detach() for of in ids]


def teach_tower(
    eye: Eye, scenes: Sequence[Scene], how: Schooling, curve: Curve, names: Sequence[torch.Tensor]
) -> None:
    """Teach the tower to know what is in each cell, and which, and to say it in the language model's words.

    A cell's token is compared with the embeddings of the words for its shape, colour, size, pattern and
    place, so that in the end it is near their sum: what attention learns from words then holds for cells.
    The place is taught as well: the language model's own frequencies hardly tell one column from the next.

    Args:
        eye: The tower, untaught.
        scenes: What is drawn.
        how: Steps, batch, rate.
        curve: Is told the share that is right.
        names: Of ``names_of``; they stay as they are.
    """
    import torch

    parameters = list(eye.tower.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=how.tower_rate, weight_decay=0.01)
    draw = random.Random(derived_int(how.seed, "tower"))
    for step in range(how.tower_steps):
        chosen = [scenes[draw.randrange(len(scenes))] for _ in range(how.tower_batch)]
        truth = torch.tensor([_cells(scene) for scene in chosen])
        seen = eye.tokens(chosen)
        logits = [seen @ words.T for words in names]
        losses = [
            torch.nn.functional.cross_entropy(part.flatten(0, 1), truth[:, place].flatten())
            for place, part in enumerate(logits)
        ]
        set_rate(optimizer, how.tower_rate, step, how.tower_steps)
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 50 == 49 or step + 1 == how.tower_steps:
            right = {
                name: (part.argmax(-1) == truth[:, place]).float().mean().item()
                for place, ((name, _), part) in enumerate(zip(_HEADS, logits, strict=True))
            }
            curve.add(tower_step=step + 1, **{name: round(value, 4) for name, value in right.items()})


def settle(eye: Eye, scenes: Sequence[Scene], spread: float) -> None:
    """Scale the tower's tokens to the spread of word embeddings, so that no layer is drowned by them.

    Args:
        eye: The tower, taught.
        scenes: Some of the scenes.
        spread: Standard deviation of word embeddings.
    """
    import torch

    with torch.no_grad():
        factor = spread / float(eye.tokens(scenes).std())
        last = cast(Any, eye.tower).merger.mlp[-1]
        last.weight.mul_(factor)
        last.bias.mul_(factor)
