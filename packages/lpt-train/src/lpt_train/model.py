"""From a configuration to a model in memory: loaded, frozen where it should be, with adapters."""

# torch, transformers and peft leave parts of what is used here without types; what comes out is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import functools
import hashlib
import os
import re
import warnings
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from lpt_core import ConfigError, LptError
from lpt_train.config import LoraSection, ModelConfig
from lpt_train.quantize import keep_layout, quantization_state, quantized_loading, refuse_quantized

ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Parts:
    """The three parts of a Qwen vision-language model.

    Attributes:
        visual: Tower and projector, as one module whose output enters the language model.
        projector: What joins them: the merger, and Qwen3-VL's deepstack mergers.
        language: The language model without its head.
    """

    visual: nn.Module
    projector: tuple[nn.Module, ...]
    language: nn.Module


def load_processor(name: str, revision: str | None = None) -> Any:
    """A model's processor: tokenizer, chat template and image processor.

    Raises:
        ConfigError: There is none, or it has no chat template.
    """
    from transformers import AutoProcessor

    where: dict[str, Any] = {} if Path(name).is_dir() else {"revision": revision or "main"}
    with _loading(name):
        processor: Any = AutoProcessor.from_pretrained(name, **where)
        if getattr(processor, "image_processor", None) is None:
            raise ConfigError(f"the model {name} reads no images.", "give a vision-language model")
        template_of(processor)
    return processor


def template_of(processor: Any) -> str:
    """A processor's chat template.

    Raises:
        ConfigError: It has none.
    """
    template = getattr(processor, "chat_template", None) or processor.tokenizer.chat_template
    if not isinstance(template, str):
        raise ConfigError("the model has no chat template.", "give a model that was tuned for chat")
    return template


def load_model(config: ModelConfig, source: Path | None = None) -> Any:
    """A model as ``config`` wants it to begin: in its precision, all parts unfrozen, without adapters.

    Args:
        config: Its name, revision, precision and kind of attention count.
        source: A folder to take the weights from instead: a checkpoint.

    Raises:
        ConfigError: It cannot be loaded, is no Qwen vision-language model, or is quantised already.
        MissingExtraError: It is to be quantised, and bitsandbytes is not installed.
    """
    from transformers import AutoModelForImageTextToText

    name = config.name if source is None else str(source)
    options: dict[str, Any] = {} if Path(name).is_dir() else {"revision": config.revision or "main"}
    if config.attention != "auto":
        options["attn_implementation"] = config.attention
    # With adapters the weights themselves never change, so that half of the memory is enough for them.
    half = config.precision == "bfloat16" or (config.precision == "mixed" and config.lora is not None)
    dtype = torch.bfloat16 if half else torch.float32
    more = quantized_loading(dtype) if config.quantize else {}
    with _loading(name):
        refuse_quantized(name, options)
        model: Any = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype, **options, **more)
        keep_layout(model)
        model.config.use_cache = False
        parts_of(model)
    return model


@contextmanager
def _loading(name: str) -> Generator[None]:
    """Turn whatever reading somebody's files raises into a sentence, and keep their warnings quiet."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except LptError:
        raise
    except Exception as error:  # the files are somebody's: as many kinds as their readers raise
        said = " ".join(str(error).split())[:500]
        raise ConfigError(
            f"the model {name} cannot be loaded: {type(error).__name__}: {said}",
            "give a folder that save_pretrained wrote or the id of a model on the hub",
        ) from error


def parts_of(model: Any) -> Parts:
    """Where tower, projector and language model lie in a Qwen2-VL, Qwen2.5-VL or Qwen3-VL.

    Raises:
        ConfigError: The model is built in another way.
    """
    inner = getattr(model, "model", None)
    visual, language = getattr(inner, "visual", None), getattr(inner, "language_model", None)
    merger = getattr(visual, "merger", None)
    if visual is None or language is None or merger is None:
        raise ConfigError(
            f"{type(model).__name__} is no model whose parts lpt-train knows.",
            "give a Qwen2.5-VL or a Qwen3-VL",
        )
    deep = cast("Iterable[nn.Module]", getattr(visual, "deepstack_merger_list", None) or ())
    return Parts(cast(nn.Module, visual), (merger, *deep), cast(nn.Module, language))


# ---- what learns -----------------------------------------------------------------------------------


def prepare(model: Any, config: ModelConfig) -> Any:
    """Freeze what ``config`` freezes, keep the graph out of it, and put adapters on where wanted.

    A frozen tower runs under ``no_grad``: with gradient checkpointing transformers makes the outputs of all
    embeddings require gradients, so that it would else be run and walked through once more in every
    backward pass.

    Returns:
        The model, or a ``PeftModel`` around it.
    """
    freeze(model, config)
    if config.lora is None:
        return model
    return add_adapters(model, config.lora)


def freeze(model: Any, config: ModelConfig) -> None:
    """Mark what learns, and bring what is frozen into its precision."""
    parts = parts_of(model)
    tower, projector = config.train_tower, config.train_projector
    for parameter in parts.visual.parameters():
        parameter.requires_grad_(tower)
    for module in parts.projector:
        for parameter in module.parameters():
            parameter.requires_grad_(projector)
    if config.precision == "mixed":
        for parameter in parts.visual.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.to(torch.bfloat16)
    if tower:
        return
    if not projector:
        _without_graph(parts.visual)
        return
    visual: Any = parts.visual
    for module in (visual.patch_embed, *visual.blocks):
        _without_graph(module)


def use_checkpointing(model: Any) -> None:
    """Compute activations a second time in the backward pass instead of keeping them.

    To be called before adapters are put on. A frozen tower, which runs without a graph, is not affected.
    """
    # Named anew within transformers 5.
    enable: Any = (
        getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    )
    enable({"use_reentrant": False})


def _without_graph(module: nn.Module) -> None:
    """Run a module under ``no_grad`` from now on."""
    forward = module.forward

    @functools.wraps(forward)
    def quiet(*args: Any, **named: Any) -> Any:
        with torch.no_grad():
            return forward(*args, **named)

    module.forward = quiet


def lora_pattern(targets: Iterable[str]) -> str:
    """Names of projections in the decoder's layers; the tower's layers have modules of the same names."""
    return rf".*\blanguage_model\.layers\.\d+\.(?:self_attn|mlp)\.(?:{'|'.join(sorted(targets))})"


def add_adapters(model: Any, lora: LoraSection) -> Any:
    """Put new adapters on the language model; they begin as doing nothing.

    Raises:
        ConfigError: The model has none of the layers, or an adapter came to lie outside of them.
    """
    from peft import LoraConfig, get_peft_model

    pattern = lora_pattern(lora.targets)
    if not any(re.fullmatch(pattern, name) for name, _ in model.named_modules()):
        raise ConfigError(
            f"model.lora.targets: {type(model).__name__} has none of {', '.join(lora.targets)} in its layers."
        )
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=cast(int, lora.alpha),
        lora_dropout=lora.dropout,
        target_modules=pattern,
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted: Any = get_peft_model(model, config)
    return adapted


def load_adapters(model: Any, folder: Path, *, trainable: bool) -> Any:
    """Put the adapters of a checkpoint on a model.

    Raises:
        ConfigError: They cannot be read, or do not fit.
    """
    from peft import PeftModel

    with _loading(str(folder)):
        adapted: Any = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    return adapted


def trained_parameters(model: Any) -> Iterator[tuple[str, Tensor]]:
    """What learns, by name."""
    return ((name, value) for name, value in model.named_parameters() if value.requires_grad)


def frozen_parameters(model: Any) -> Iterator[tuple[str, Tensor]]:
    """What does not, by name."""
    return ((name, value) for name, value in model.named_parameters() if not value.requires_grad)


# ---- identity --------------------------------------------------------------------------------------


def weights_hash(named: Iterable[tuple[str, Tensor]]) -> str:
    """32 hexadecimal digits that name weights: names, types, shapes and every byte.

    Of quantised weights the constants count, too, with which they are turned back.

    It reads about a gigabyte a second on each of up to eight cores, and does not depend on the order.
    """
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        digests = sorted(pool.map(_tensor_digest, named))
    whole = hashlib.blake2b(digest_size=16, person=b"lpt-weights-1")
    for digest in digests:
        whole.update(digest)
    return whole.hexdigest()


def _tensor_digest(item: tuple[str, Tensor]) -> bytes:
    name, tensor = item
    digest = hashlib.blake2b(digest_size=32)
    constants = quantization_state(tensor)
    for label, part in ((name, tensor.detach()), *sorted(constants.items(), key=lambda item: item[0])):
        digest.update(f"{label}\0{part.dtype}\0{tuple(part.shape)}\0".encode())
        flat = part.to("cpu").contiguous().reshape(-1)
        digest.update(cast(bytes, flat.view(torch.uint8).numpy()))  # a buffer, which is all that is needed
    return digest.digest()
