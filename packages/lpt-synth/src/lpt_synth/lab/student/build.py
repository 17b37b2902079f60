"""Building the student: a Qwen2.5-VL of some two million parameters, with the real processor classes."""

# torch and transformers leave parts of what is used here without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lpt_synth.lab.scene import SIDE
from lpt_synth.lab.student.tokenizer import SPECIAL, option_lines, thing_names, token_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

HIDDEN = 128
LAYERS = 3
VISION_HIDDEN = 128
VISION_DEPTH = 3
_ALIKE, _PASSED = 0.7, 0.5  # shares of the keys in the first queries, of the values in the first outputs


def build_model(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLForConditionalGeneration:
    """A model with random weights from torch's generator; heads of 32, the smallest that vLLM serves."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    ids = {token: token_id(tokenizer, token) for token in SPECIAL}
    text: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 3 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HIDDEN // 32,
        "num_key_value_heads": HIDDEN // 64,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [4, 6, 6]},
        "bos_token_id": None,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "initializer_range": HIDDEN**-0.5,
    }
    vision: dict[str, Any] = {
        "depth": VISION_DEPTH,
        "hidden_size": VISION_HIDDEN,
        "intermediate_size": 3 * VISION_HIDDEN,
        "num_heads": VISION_HIDDEN // 32,
        "out_hidden_size": HIDDEN,
        "fullatt_block_indexes": [VISION_DEPTH - 1],
        "window_size": 112,
        "initializer_range": VISION_HIDDEN**-0.5,
    }
    config = cast(Any, Qwen2_5_VLConfig)(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
        # The usual 0.02 is for widths of a thousand; at this width attention would take long to wake up.
        initializer_range=HIDDEN**-0.5,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    _compose(model, tokenizer)
    _mirror(model)
    return model


def _compose(model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let the token of a thing's name, or of an option's line, begin as the sum of its parts."""
    import torch

    words = cast(torch.Tensor, model.get_input_embeddings().weight)
    with torch.no_grad():
        for name, (colour, shape) in thing_names().items():
            words[token_id(tokenizer, name)] = sum(
                words[tokenizer(f" {word}").input_ids[-1]] for word in (colour, shape)
            )
        for line, (letter, text) in option_lines().items():
            parts = [token_id(tokenizer, letter), *tokenizer(f" {text}").input_ids]
            words[token_id(tokenizer, line)] = words[parts].sum(0)


def _mirror(model: Qwen2_5_VLForConditionalGeneration) -> None:
    """Let attention begin by looking for what is alike and by passing on what it finds.

    Queries begin near their keys, and outputs near the transpose of their values, as they are found in
    trained transformers (Trockman and Kolter, Mimetic Initialization of Self-Attention Layers, 2023).
    """
    import torch

    with torch.no_grad():
        for layer in cast(Any, model.model.language_model).layers:
            attention = layer.self_attn
            size = attention.head_dim
            for head in range(attention.config.num_attention_heads):
                group = head // attention.num_key_value_groups
                ours, shared = (slice(at * size, (at + 1) * size) for at in (head, group))
                queries, outputs = attention.q_proj.weight[ours], attention.o_proj.weight[:, ours]
                queries.mul_(1 - _ALIKE).add_(attention.k_proj.weight[shared], alpha=_ALIKE)
                outputs.mul_(1 - _PASSED).add_(attention.v_proj.weight[shared].T, alpha=_PASSED)


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLProcessor:
    """The processor of Qwen2.5-VL, for pictures between the lab's size and four times its area."""
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    bounds: dict[str, Any] = {"min_pixels": SIDE * SIDE, "max_pixels": 4 * SIDE * SIDE}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**bounds),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**bounds),
        chat_template=tokenizer.chat_template,
    )


def save_student(model: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor, to: Path) -> None:
    """Write a folder that transformers, TRL, lmms-eval and vLLM load, weights in bfloat16."""
    import torch

    cast(Any, model).to(torch.bfloat16).save_pretrained(to)
    processor.save_pretrained(to)
