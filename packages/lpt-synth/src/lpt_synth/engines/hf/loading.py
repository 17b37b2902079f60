"""From an endpoint's settings to a model in memory."""

# torch and transformers leave parts of what is used here without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from threading import Lock
from typing import Any, cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    GenerationConfig,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.utils import logging

from lpt_core import ConfigError, EndpointError, LptError, Sampling
from lpt_synth.config import TransformersEndpoint
from lpt_synth.model_folder import folder_digest

_UNBOUNDED = 2**31


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that can answer. What transformers does not type is typed where it is used.

    Attributes:
        name: As requests know it.
        model: On its device, in evaluation mode; its own sampling settings have moved to ``defaults``.
        tokenizer: Its tokenizer.
        processor: Reads images as well; None for a text model.
        template: Its chat template.
        context: The most tokens of prompt and answer together.
        ends: Tokens that end an answer.
        pad: The token that fills up.
        defaults: How it samples where a request leaves that open.
    """

    name: str
    model: Any
    tokenizer: Any
    processor: Any
    template: str
    context: int
    ends: tuple[int, ...]
    pad: int
    defaults: Sampling

    @property
    def device(self) -> torch.device:
        """Where its inputs go."""
        return cast(torch.device, self.model.device)

    @property
    def dtype(self) -> torch.dtype:
        """Of its weights."""
        return cast(torch.dtype, self.model.dtype)


def load(endpoint: TransformersEndpoint, notice: Callable[[str], None]) -> Loaded:
    """Load a model; takes as long as reading (or downloading) its weights takes.

    Raises:
        ConfigError: The folder holds something else than its revision says, the model cannot be used for
            this, or there is no such device.
        EndpointError: It cannot be loaded.
    """
    _same_as_ever(endpoint)
    device = _device(endpoint.device)
    name = endpoint.identity.name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _load(endpoint, name, device, notice)
    except LptError:
        raise
    except ImportError as error:
        raise EndpointError(f"{name} needs what is not installed: {error}.") from error
    except Exception as error:  # the files are somebody's: as many kinds as their readers raise
        said = " ".join(str(error).split())[:500]
        raise EndpointError(
            f"the model {endpoint.model} cannot be loaded: {type(error).__name__}: {said}",
            "give a folder that save_pretrained wrote or the id of a model on the hub, with a revision of it",
        ) from error


def _load(
    endpoint: TransformersEndpoint, name: str, device: torch.device, notice: Callable[[str], None]
) -> Loaded:
    folder = endpoint.folder
    source = str(folder or endpoint.model)
    where: dict[str, Any] = {} if folder else {"revision": endpoint.revision or "main"}
    config: Any = AutoConfig.from_pretrained(source, **where)
    sees = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    if sees:
        # Without it transformers quietly takes other image processors, which make other pixels.
        import_module("torchvision")
    processor: Any = AutoProcessor.from_pretrained(source, **where) if sees else None
    tokenizer: Any = processor.tokenizer if sees else AutoTokenizer.from_pretrained(source, **where)
    template = getattr(processor, "chat_template", None) or tokenizer.chat_template
    if not isinstance(template, str):
        raise ConfigError(
            f"the model {endpoint.model} has no chat template.", "give a model that was tuned for chat"
        )
    options: dict[str, Any] = {"dtype": _dtype(endpoint.dtype, device, config), **where}
    if endpoint.attention != "auto":
        options["attn_implementation"] = endpoint.attention
    auto: Any = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    model: Any = auto.from_pretrained(source, **options).to(device).eval()
    own: GenerationConfig = model.generation_config
    ends = _ends(own.eos_token_id, tokenizer.eos_token_id)
    pad = next((i for i in (tokenizer.pad_token_id, own.pad_token_id, *ends) if isinstance(i, int)), 0)
    # Else generate would add the model's own settings to those that a request brings.
    model.generation_config = GenerationConfig(eos_token_id=list(ends) or None, pad_token_id=pad)
    count = sum(int(parameter.numel()) for parameter in model.parameters())
    kind = str(model.dtype).removeprefix("torch.")
    notice(f"{name}: {_short(count)} parameters in {kind} on {device}")
    text: Any = config.get_text_config()
    context = int(getattr(text, "max_position_embeddings", None) or _UNBOUNDED)
    return Loaded(name, model, tokenizer, processor, template, context, ends, pad, _defaults(own))


def _same_as_ever(endpoint: TransformersEndpoint) -> None:
    """A folder whose digest was written down must still hold the same."""
    folder = endpoint.folder
    if folder is None or endpoint.revision is None:
        return
    digest = folder_digest(folder)
    if digest != endpoint.revision:
        raise ConfigError(
            f"{folder} holds the model {digest}, and the configuration's revision is {endpoint.revision}.",
            "leave out the revision to use what is there now; what it was asked before is asked anew",
        )


def _device(wanted: str) -> torch.device:
    if wanted != "auto":
        device = torch.device(wanted)
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            count = torch.cuda.device_count()
            raise ConfigError(
                f"there is no device {wanted}: torch finds {count} CUDA devices.",
                "device: auto takes what there is",
            )
        return device
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _dtype(wanted: str, device: torch.device, config: Any) -> torch.dtype | str:
    """As wanted; "auto" is as saved, but for the CPU, where half precision is slow and gains nothing."""
    if wanted != "auto":
        return cast(torch.dtype, getattr(torch, wanted))
    half = getattr(config, "dtype", None) in (torch.bfloat16, torch.float16)
    return torch.float32 if device.type == "cpu" and half else "auto"


def _ends(*ids: int | list[int] | None) -> tuple[int, ...]:
    found = [i for some in ids for i in (some if isinstance(some, list) else [some]) if i is not None]
    return tuple(dict.fromkeys(found))


def _defaults(own: GenerationConfig) -> Sampling:
    """The model's own settings, those that a request may set."""
    greedy = not own.do_sample
    return Sampling(
        temperature=0.0 if greedy else float(1.0 if own.temperature is None else own.temperature),
        top_p=None if greedy or not own.top_p else float(own.top_p),
        top_k=None if greedy or not own.top_k else int(own.top_k),
        repetition_penalty=float(own.repetition_penalty or 1.0),
    )


def _short(count: int) -> str:
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return str(count)


class _Quiet:
    """Keeps transformers from writing to the terminal but errors, as long as anybody wants it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._wanted = 0
        self._before = (0, False)

    @contextmanager
    def __call__(self) -> Generator[None]:
        """No log and no progress bars inside; as it was, when the last one is out."""
        with self._lock:
            if not self._wanted:
                self._before = logging.get_verbosity(), logging.is_progress_bar_enabled()
                logging.set_verbosity_error()
                logging.disable_progress_bar()
            self._wanted += 1
        try:
            yield
        finally:
            with self._lock:
                self._wanted -= 1
                if not self._wanted:
                    logging.set_verbosity(self._before[0])
                    if self._before[1]:
                        logging.enable_progress_bar()


quiet = _Quiet()
