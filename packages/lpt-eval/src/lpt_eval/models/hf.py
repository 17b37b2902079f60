"""The part of a model in the process that needs torch: loading, encoding, generating."""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    GenerationConfig,
    StoppingCriteriaList,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.utils import logging

from lpt_core import ConfigError, EndpointError, LptError
from lpt_eval.journal import Answer
from lpt_eval.models.calls import DEFAULT_TOKENS, Call, opened
from lpt_eval.models.drawing import Stop, processors

_UNBOUNDED = 2**31


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that can answer.

    Attributes:
        model: On its device, in evaluation mode.
        tokenizer: Its tokenizer.
        processor: Reads images as well; None for a text model.
        template: Its chat template.
        context: The most tokens of prompt and answer together.
        ends: Tokens that end an answer.
        pad: The token that fills up.
        commit: The hub's commit; None for a folder.
    """

    model: Any
    tokenizer: Any
    processor: Any
    template: str
    context: int
    ends: tuple[int, ...]
    pad: int
    commit: str | None

    @property
    def device(self) -> torch.device:
        """Where its inputs go."""
        return cast(torch.device, self.model.device)


def load(source: str, *, revision: str | None, device: str, dtype: str, attention: str) -> Loaded:
    """Load a model; takes as long as reading (or downloading) its weights takes.

    Args:
        source: A folder, or a hub id.
        revision: Of the hub id.
        device: "cuda", "cpu", "cuda:1"; "auto" for what there is.
        dtype: A name of torch's; "auto" for as saved (on the CPU: float32).
        attention: "auto" for transformers' choice.

    Raises:
        ConfigError: The model cannot be used for this.
        EndpointError: It cannot be loaded.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _load(source, revision, _device(device), dtype, attention)
    except LptError:
        raise
    except Exception as error:  # the files are somebody's: as many kinds as their readers raise
        said = " ".join(str(error).split())[:500]
        raise EndpointError(
            f"the model {source} cannot be loaded: {type(error).__name__}: {said}",
            "give a folder that save_pretrained wrote or the id of a model on the hub",
        ) from error


def _load(source: str, revision: str | None, device: torch.device, dtype: str, attention: str) -> Loaded:
    where: dict[str, Any] = {"revision": revision} if revision else {}
    config: Any = AutoConfig.from_pretrained(source, **where)
    sees = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    if sees:
        # Without it transformers quietly takes other image processors, which make other pixels.
        import_module("torchvision")
    processor: Any = AutoProcessor.from_pretrained(source, **where) if sees else None
    tokenizer: Any = processor.tokenizer if sees else AutoTokenizer.from_pretrained(source, **where)
    template = getattr(processor, "chat_template", None) or tokenizer.chat_template
    if not isinstance(template, str):
        raise ConfigError(f"the model {source} has no chat template.", "give a model that was tuned for chat")
    half = getattr(config, "dtype", None) in (torch.bfloat16, torch.float16)
    kind: Any = getattr(torch, dtype, None) if dtype != "auto" else "auto"
    if kind is None:
        raise ConfigError(f"torch has no dtype {dtype!r}.", "auto, float32, bfloat16 or float16")
    if dtype == "auto" and device.type == "cpu" and half:
        kind = torch.float32  # half precision is slow there and gains nothing
    options: dict[str, Any] = {"dtype": kind, **where}
    if attention != "auto":
        options["attn_implementation"] = attention
    auto: Any = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    model: Any = auto.from_pretrained(source, **options).to(device).eval()
    own: GenerationConfig = model.generation_config
    ends = _ends(own.eos_token_id, tokenizer.eos_token_id)
    pad = next((i for i in (tokenizer.pad_token_id, own.pad_token_id, *ends) if isinstance(i, int)), 0)
    # Else generate would add the model's own sampling to the protocol's.
    model.generation_config = GenerationConfig(eos_token_id=list(ends) or None, pad_token_id=pad)
    context = int(getattr(config.get_text_config(), "max_position_embeddings", None) or _UNBOUNDED)
    commit = getattr(config, "_commit_hash", None)
    return Loaded(model, tokenizer, processor, template, context, ends, pad, commit)


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise ConfigError(f"there is no kind of device {wanted!r}.", "auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError(f"there is no device {wanted}: torch finds {count} CUDA devices.", "device: auto")
    return device


def _ends(*ids: int | list[int] | None) -> tuple[int, ...]:
    found = [i for some in ids for i in (some if isinstance(some, list) else [some]) if i is not None]
    return tuple(dict.fromkeys(found))


# ---- answering -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A call as the model reads it: text, pictures, and its tokens of a batch of one."""

    key: str
    call: Call
    inputs: dict[str, torch.Tensor]
    image_size: tuple[int, int] | None

    @property
    def length(self) -> int:
        return int(self.inputs["input_ids"].shape[1])


def answers(loaded: Loaded, batch: Sequence[tuple[str, Call]]) -> list[Answer]:
    """Answer a batch of calls with the same sampling; one that cannot be asked is a failure of its own."""
    found: dict[str, Answer] = {}
    ready: list[_Prepared] = []
    for key, call in batch:
        try:
            prepared = _prepared(loaded, key, call)
        except Exception as error:  # texts and images can be anything
            found[key] = Answer.failure(f"{type(error).__name__}: {error}")
            continue
        if prepared.length >= loaded.context:
            found[key] = Answer.failure(
                f"the prompt has {prepared.length} tokens, and the model takes {loaded.context}",
                prompt_tokens=prepared.length,
                image_size=prepared.image_size,
            )
            continue
        ready.append(prepared)
    if ready:
        found.update(_generated(loaded, ready))
    return [found[key] for key, _ in batch]


def _prepared(loaded: Loaded, key: str, call: Call) -> _Prepared:
    pictures = [opened(image).under(call.settings.pixels) for image in call.images]
    if pictures and loaded.processor is None:
        raise ConfigError("a text model cannot be shown an image.", "choose a model that sees")
    turns = [
        {
            "role": turn.role,
            "content": [
                {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
                for part in turn.parts
            ]
            if loaded.processor is not None
            else "".join(part for part in turn.parts if isinstance(part, str)),
        }
        for turn in call.turns
    ]
    text: str = loaded.tokenizer.apply_chat_template(
        turns, chat_template=loaded.template, tokenize=False, add_generation_prompt=True
    )
    # Half a surrogate pair can stand in a string and in no text.
    text = (text + call.settings.prefill).encode("utf-8", "replace").decode()
    # Templates write all special tokens themselves, so none is added here.
    if loaded.processor is None:
        made: Any = loaded.tokenizer(text, add_special_tokens=False, return_tensors="pt")
    else:
        shown: dict[str, Any] = {"images": pictures} if pictures else {}
        made = loaded.processor(text=[text], add_special_tokens=False, return_tensors="pt", **shown)
    inputs = {name: value for name, value in made.items() if isinstance(value, torch.Tensor)}
    return _Prepared(key, call, inputs, pictures[0].size if pictures else None)


def _generated(loaded: Loaded, ready: Sequence[_Prepared]) -> dict[str, Answer]:
    sampling = ready[0].call.settings.sampling
    batch = _collated(loaded, ready)
    width = int(batch["input_ids"].shape[1])
    most = min(sampling.max_tokens or DEFAULT_TOKENS, loaded.context - width)
    began = time.perf_counter()
    with torch.inference_mode():
        out: Any = loaded.model.generate(
            **batch,
            do_sample=False,
            max_new_tokens=most,
            logits_processor=processors(sampling, [one.call.draw_seed(one.key) for one in ready]),
            stopping_criteria=StoppingCriteriaList([Stop(loaded.tokenizer, sampling.stop, width)]),
        )
    seconds = round((time.perf_counter() - began) / len(ready), 6)
    rows = cast("list[list[int]]", out[:, width:].tolist())
    return {
        one.key: _answer(loaded, one, row, sampling.stop, seconds)
        for one, row in zip(ready, rows, strict=True)
    }


def _collated(loaded: Loaded, ready: Sequence[_Prepared]) -> dict[str, torch.Tensor]:
    """One batch on the model's device: by token padded on the left, all else (images) one after another."""
    width = max(one.length for one in ready)
    batch: dict[str, torch.Tensor] = {}
    for name, first in ready[0].inputs.items():
        values = [one.inputs[name] for one in ready]
        if first.shape == ready[0].inputs["input_ids"].shape:
            fill = loaded.pad if name == "input_ids" else 0
            values = [
                torch.nn.functional.pad(value, (width - value.shape[1], 0), value=fill) for value in values
            ]
        joined = torch.cat(values)
        kind = loaded.model.dtype if joined.is_floating_point() else joined.dtype
        batch[name] = joined.to(loaded.device, kind)
    return batch


def _answer(loaded: Loaded, one: _Prepared, row: list[int], stops: Sequence[str], seconds: float) -> Answer:
    """What a row of tokens says, up to whatever ended it first."""
    end = next((at for at, token in enumerate(row) if token in loaded.ends), None)
    tokens = row if end is None else row[:end]
    text: str = loaded.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    cut = min((at for stop in stops if (at := text.find(stop)) >= 0), default=None)
    stopped = end is not None or cut is not None
    return Answer(
        text=one.call.settings.prefill + text[:cut],
        finish_reason="stop" if stopped else "length",
        prompt_tokens=one.length,
        completion_tokens=len(tokens) + (end is not None),
        seconds=seconds,
        image_size=one.image_size,
    )
