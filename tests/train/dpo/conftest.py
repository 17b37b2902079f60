"""Pairs as tokens, and models of both families to run them through."""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from lpt_core import ImageRef
from lpt_train.dpo.collate import PairCollator, Scored
from lpt_train.dpo.pairs import TokenPair, common_prefix

IMAGE, START, END, PAD = 5, 3, 2, 0
VOCABULARY = 64
TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 512,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]},
    "bos_token_id": None,
    "eos_token_id": END,
    "pad_token_id": PAD,
}
IDS = {"image_token_id": IMAGE, "video_token_id": 6, "vision_start_token_id": START, "vision_end_token_id": 4}
VISION: dict[str, Any] = {
    "depth": 2,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_heads": 2,
    "out_hidden_size": 32,
}


def _qwen25(attention: str) -> Any:
    vision = VISION | {"fullatt_block_indexes": [1], "window_size": 112}
    config = Qwen2_5_VLConfig(text_config=TEXT, vision_config=vision, tie_word_embeddings=True, **IDS)
    config._attn_implementation = attention
    return Qwen2_5_VLForConditionalGeneration(config)


def _qwen3(attention: str) -> Any:
    vision = VISION | {"deepstack_visual_indexes": [0], "num_position_embeddings": 64}
    text = TEXT | {"head_dim": 16}
    config = Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **IDS)
    config._attn_implementation = attention
    return Qwen3VLForConditionalGeneration(config)


def _whole_norms(model: Any) -> None:
    """Norms that compute in the model's own type; the library's go through float32 and round gradients."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):

            def norm(x: torch.Tensor, own: Any = module) -> torch.Tensor:
                return own.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + own.variance_epsilon)

            module.forward = norm


def build(family: str, attention: str, dtype: torch.dtype) -> Any:
    """A random model in evaluation mode, with opinions: what stands before matters to what comes next."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = {"qwen2.5": _qwen25, "qwen3": _qwen3}[family](attention).to(dtype)
        with torch.no_grad():
            for weights in model.parameters():
                if weights.dim() > 1:
                    weights.mul_(6)
                elif weights.dim() == 1 and not weights.any():
                    weights.normal_(std=0.2)
    _whole_norms(model)
    return model.eval()


@dataclass
class Drawn:
    """Random images under names; their tensors are those of a grid of patches."""

    patch: int
    dtype: torch.dtype
    grids: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def image(self, name: int, grid: tuple[int, int, int]) -> ImageRef:
        ref = ImageRef(path=f"{name}.png", sha256=f"{name:064x}", width=14, height=14)
        self.grids[ref.sha256] = grid
        return ref

    def tensors(self, image: ImageRef) -> dict[str, torch.Tensor]:
        grid = self.grids[image.sha256]
        patches = grid[0] * grid[1] * grid[2]
        draw = torch.Generator().manual_seed(int(image.sha256, 16))
        pixels = torch.randn(patches, self.patch, generator=draw, dtype=self.dtype)
        return {"pixel_values": pixels, "image_grid_thw": torch.tensor([grid])}


@dataclass
class Bench:
    """A model, and pairs drawn for it."""

    model: Any
    images: Drawn
    attention: str
    draw: random.Random

    @classmethod
    def of(
        cls, family: str = "qwen2.5", attention: str = "sdpa", dtype: torch.dtype = torch.float64
    ) -> Bench:
        model = build(family, attention, dtype)
        vision = model.config.vision_config
        patch = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
        return cls(model, Drawn(patch, dtype), attention, random.Random(3))

    def text(self, length: int) -> list[int]:
        return [self.draw.randrange(8, VOCABULARY) for _ in range(length)]

    def prompt(self, name: int, grid: tuple[int, int, int]) -> tuple[array[int], ImageRef]:
        merged = grid[0] * (grid[1] // 2) * (grid[2] // 2)
        tokens = [*self.text(3), START, *[IMAGE] * merged, 4, *self.text(5)]
        return array("i", tokens), self.images.image(name, grid)

    def pair(
        self,
        prompt: tuple[array[int], ImageRef],
        *,
        shared: int,
        chosen: int,
        rejected: int,
        silent: int = 0,
        start: list[int] | None = None,
    ) -> TokenPair:
        """Responses with a common beginning; the first ``silent`` tokens of chosen bear no SFT loss."""
        common = self.text(shared) if start is None else start
        # They part where they are meant to: odd tokens open the one, even ones the other.
        one = [*common, 9, *self.text(chosen - 1), END] if chosen else [*common, END]
        other = [*common, 10, *self.text(rejected - 1), END] if rejected else [*common, END]
        sft = bytes([0] * silent + [1] * (len(one) - silent))
        return TokenPair(
            "x", prompt[0], array("i", one), array("i", other), common_prefix(one, other), sft, prompt[1]
        )

    def collator(self, *, share: bool = True, sft: bool = True) -> PairCollator:
        return PairCollator(self.images, PAD, IMAGE, 2, share=share, sft=sft)

    def batch(
        self, pairs: list[TokenPair], *, share: bool = True, sft: bool = True
    ) -> dict[str, torch.Tensor]:
        return self.collator(share=share, sft=sft)(
            [Scored(pair, (-30.0 - i, -28.5)) for i, pair in enumerate(pairs)]
        )

    def mixed(self) -> list[TokenPair]:
        """Pairs of different lengths and kinds, with images of different sizes; some answer one prompt."""
        a, b, c = self.prompt(1, (1, 4, 4)), self.prompt(2, (1, 6, 4)), self.prompt(3, (1, 2, 8))
        thought = self.text(9)
        return [
            self.pair(a, shared=7, chosen=5, rejected=8, silent=7),
            self.pair(b, shared=0, chosen=4, rejected=2),
            # One is the beginning of the other, but for the end of the turn.
            self.pair(c, shared=6, chosen=3, rejected=0),
            self.pair(c, shared=9, chosen=6, rejected=4, silent=4, start=thought),
            self.pair(c, shared=6, chosen=0, rejected=5, start=thought[:6]),
            self.pair(b, shared=3, chosen=1, rejected=1),
        ]

    def plain(self, pair: TokenPair) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of each token of both responses, each encoded alone, by the model's own means."""
        found = []
        for response in (pair.chosen, pair.rejected):
            ids = torch.tensor([[*pair.prompt, *response]])
            logits = self.model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                mm_token_type_ids=(ids == IMAGE).int(),
                use_cache=False,
                **self.images.tensors(pair.image),
            ).logits[0]
            log_probs = logits.log_softmax(-1)[len(pair.prompt) - 1 : -1]
            found.append(log_probs.gather(1, torch.tensor(response)[:, None])[:, 0])
        return found[0], found[1]


@pytest.fixture
def bench() -> type[Bench]:
    return Bench
