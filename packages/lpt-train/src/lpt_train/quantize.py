"""Frozen weights in four bits, with adapters that learn above them: QLoRA (Dettmers et al. 2023).

The projections of the decoder's layers are kept as NF4 with quantised constants, by bitsandbytes, and are
turned back into the precision of the arithmetic each time they are used. Tower, projector, embedding and
head stay as they are.
"""

# transformers leaves parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import torch

from lpt_core import ConfigError, MissingExtraError

_WHOLE = ("model.visual", "lm_head")
"""Where what stays as it is begins, in the names of a Qwen vision-language model."""


def quantized_loading(arithmetic: torch.dtype) -> dict[str, Any]:
    """What ``from_pretrained`` is told, so that it quantises a model.

    Args:
        arithmetic: What weights are turned back into.

    Raises:
        MissingExtraError: bitsandbytes is not installed.
        ConfigError: Weights are to be spread over devices, which four bits are not made for here.
    """
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError.of("lpt-train", "qlora", "model.quantize")
    for spread in ("FSDP", "DEEPSPEED"):
        if os.environ.get(f"ACCELERATE_USE_{spread}", "").lower() in ("1", "true"):
            raise ConfigError(
                "model.quantize: weights in four bits are not spread over devices.",
                "launch with the preset gpu, or with one that gives each device a whole model",
            )
    from transformers import BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=arithmetic,
        llm_int8_skip_modules=list(_WHOLE),
    )
    # Each process of a launch has its own device, which nothing else has chosen yet.
    device: Any = int(os.environ.get("LOCAL_RANK", "0")) if torch.cuda.is_available() else "cpu"
    return {"quantization_config": quantization, "device_map": {"": device}}


def refuse_quantized(name: str, where: dict[str, Any]) -> None:
    """Refuse a model whose files hold quantised weights: they can be neither trained nor merged into.

    Args:
        name: A folder, or an id on the hub.
        where: Its revision.

    Raises:
        ConfigError: They do.
    """
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(name, **where)
    if getattr(config, "quantization_config", None) is not None:
        raise ConfigError(
            f"the weights of the model {name} are quantised already.",
            "name the model that they were made from, and set model.quantize: nf4",
        )


def keep_layout(model: Any) -> None:
    """Keep a quantised model's weights as they are, whatever it is used for.

    On processors with AVX512-BF16, bitsandbytes would else lay them out anew when the model is first used in
    evaluation, for good, and round their constants: what was frozen would have changed.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def dequantized(model: Any) -> Any:
    """A quantised model with the very weights that it computes with, in float32, on the CPU."""
    return model.dequantize().to("cpu").float()


def quantization_state(weights: torch.Tensor) -> dict[str, torch.Tensor]:
    """The constants that quantised weights are turned back with, by name; nothing for any others."""
    state: Any = getattr(weights, "quant_state", None)
    return {} if state is None else state.as_dict(packed=True)
