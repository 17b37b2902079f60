"""Every key of LLaMA-Factory that a training of LPT may have, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Any, cast

from lpt_core import ConfigError
from lpt_train.config import PROJECTIONS
from lpt_train.import_draft import Draft, Fate, Finding
from lpt_train.import_tables import IGNORED, SAME

Take = Callable[[Draft, str, Any], None]


def take_key(draft: Draft, key: str, value: Any) -> None:
    """Honour, change or ignore a key.

    Raises:
        ConfigError: It asks for what lpt-train does not do at all.
    """
    if key in SAME:
        draft.put(key, SAME[key].format(stage=draft.stage), value)
    elif key in _SPECIAL:
        _SPECIAL[key](draft, key, value)
    elif key in IGNORED:
        draft.ignore(key, IGNORED[key])
    else:
        draft.ignore(key, "not known; see whether trainer: takes it")


# ---- keys that take a thought ----------------------------------------------------------------------


def _section(name: str) -> Take:
    """A key of DPO, of which other stages take no notice."""

    def take(draft: Draft, key: str, value: Any) -> None:
        if draft.stage == "dpo":
            draft.put(key, f"dpo.{name}", value)
        else:
            draft.ignore(key, "has a meaning in dpo alone")

    return take


def _pref_loss(draft: Draft, key: str, value: Any) -> None:
    if value == "sigmoid":
        draft.findings.append(Finding(key, draft.line(key), "honoured"))
    else:
        draft.ignore(key, f"there is no {value!r} loss here: it becomes sigmoid")


def _cutoff(draft: Draft, key: str, value: Any) -> None:
    why = "longer rows are dropped, not cut off"
    draft.put(key, "data.max_tokens", value, fate="changed", why=why)
    draft.put("", "data.too_long", "drop", fate="added", why="as cutoff_len does not stop a training")


def _pixels(draft: Draft, key: str, value: Any) -> None:
    area = value if isinstance(value, int) else 0
    side = isqrt(max(0, area))
    exact = side * side == area
    draft.put("", "data.pixels.rule", "area", fate="added", why="image_max_pixels caps the area")
    why = "" if exact else f"{side} x {side} pixels is the next smaller square"
    draft.put(key, "data.pixels.limit", side, fate="honoured" if exact else "changed", why=why)


def _finetuning(draft: Draft, key: str, value: Any) -> None:
    if value == "lora":
        draft.made.setdefault("model", {}).setdefault("lora", {})
        draft.findings.append(Finding(key, draft.line(key), "honoured", "model.lora"))
    elif value == "full":
        draft.findings.append(Finding(key, draft.line(key), "honoured"))
    else:
        raise ConfigError(f"finetuning_type is {value!r}; lpt-train does full and lora.")


def _lora(name: str) -> Take:
    """A key of adapters, which full training takes no notice of."""

    def take(draft: Draft, key: str, value: Any) -> None:
        if draft.source.get("finetuning_type", "lora") != "lora":
            draft.ignore(key, "has a meaning with finetuning_type: lora alone")
        elif name == "targets":
            _targets(draft, key, value)
        else:
            draft.put(key, f"model.lora.{name}", value)

    return take


def _targets(draft: Draft, key: str, value: Any) -> None:
    given = [name.strip() for name in str(value).split(",")]
    why = "on the language model alone"
    if given == ["all"]:
        draft.put(key, "model.lora.targets", list(PROJECTIONS), fate="changed", why=why)
        return
    kept = [name for name in given if name in PROJECTIONS]
    if left_out := [name for name in given if name not in kept]:
        why += f"; without {', '.join(left_out)}"
    draft.put(key, "model.lora.targets", kept, fate="changed", why=why)


def _quantized(draft: Draft, key: str, value: Any) -> None:
    if draft.source.get("finetuning_type", "lora") != "lora":
        draft.ignore(key, "has a meaning with finetuning_type: lora alone")
    elif value in (4, "4") and draft.source.get("quantization_type", "nf4") == "nf4":
        draft.put(key, "model.quantize", "nf4", fate="changed", why="on the language model alone")
    else:
        raise ConfigError(f"{key} is {value!r}; lpt-train quantises to nf4 in four bits, or not at all.")


def _frozen(name: str) -> Take:
    def take(draft: Draft, key: str, value: Any) -> None:
        draft.put(key, f"model.{name}", not value)

    return take


def _frozen_language(draft: Draft, key: str, value: Any) -> None:
    if value:
        raise ConfigError(f"{key} is set; in lpt-train the language model always learns.")
    draft.findings.append(Finding(key, draft.line(key), "honoured"))


def _accumulation(draft: Draft, key: str, value: Any) -> None:
    rows = draft.source.get("per_device_train_batch_size", 8)
    product = rows * value if isinstance(rows, int) and isinstance(value, int) else value
    why = "times per_device_train_batch_size: it counts the rows of all devices; multiply by their number"
    draft.put(key, f"{draft.stage}.batch_size", product, fate="changed", why=why)


def _max_steps(draft: Draft, key: str, value: Any) -> None:
    draft.put(key, f"{draft.stage}.max_steps", value if isinstance(value, int) and value > 0 else None)


def _schedule(draft: Draft, key: str, value: Any) -> None:
    if value in ("cosine", "linear", "constant_with_warmup"):
        draft.put(key, f"{draft.stage}.schedule", value)
    else:
        draft.ignore(key, f"there is no schedule {value!r} here: it becomes cosine")


def _keep(draft: Draft, key: str, value: Any) -> None:
    less = isinstance(value, int) and value < 2
    why = "one is being written while another must be whole" if less else ""
    fate: Fate = "changed" if less else "honoured"
    draft.put(key, f"{draft.stage}.keep", 2 if less else value, fate=fate, why=why)


def _half(draft: Draft, key: str, value: Any) -> None:
    if key == "pure_bf16" and value:
        draft.put(key, "model.precision", "bfloat16")
    elif key == "bf16":
        if draft.source.get("pure_bf16"):
            draft.ignore(key, "pure_bf16 says more")
        else:
            draft.put(key, "model.precision", "mixed" if value else "float32")
    elif value:
        draft.ignore(key, "there is no float16 here: it becomes mixed bfloat16")
    else:
        draft.findings.append(Finding(key, draft.line(key), "honoured"))


def _recompute(draft: Draft, key: str, value: Any) -> None:
    draft.put(key, f"{draft.stage}.gradient_checkpointing", not value)


def _attention(draft: Draft, key: str, value: Any) -> None:
    names = {"auto": "auto", "sdpa": "sdpa", "fa2": "flash_attention_2", "disabled": "eager"}
    if str(value) in names:
        draft.put(key, "model.attention", names[str(value)])
    else:
        draft.ignore(key, f"there is no {value!r} here: it becomes auto")


def _report_to(draft: Draft, key: str, value: Any) -> None:
    given = cast("list[Any]", value) if isinstance(value, list) else [value]
    known = [name for name in given if name in ("wandb", "trackio", "tensorboard")]
    other = [str(name) for name in given if name not in known and name != "none"]
    why = f"without {', '.join(other)}" if other else ""
    draft.put(key, f"{draft.stage}.report_to", known, fate="changed" if other else "honoured", why=why)


def _beta(place: int) -> Take:
    def take(draft: Draft, key: str, value: Any) -> None:
        section = draft.made.setdefault(draft.stage, {})
        betas = list(section.get("betas", (0.9, 0.999)))
        betas[place] = value
        draft.put(key, f"{draft.stage}.betas", betas)

    return take


def _prompt_loss(draft: Draft, key: str, value: Any) -> None:
    if value:
        draft.ignore(key, "prompts bear no loss here")
    else:
        draft.findings.append(Finding(key, draft.line(key), "honoured"))


_SPECIAL: dict[str, Take] = {
    "pref_beta": _section("beta"),
    "pref_ftx": _section("sft_weight"),
    "pref_loss": _pref_loss,
    "cutoff_len": _cutoff,
    "image_max_pixels": _pixels,
    "image_resolution": _pixels,
    "finetuning_type": _finetuning,
    "lora_rank": _lora("rank"),
    "lora_alpha": _lora("alpha"),
    "lora_dropout": _lora("dropout"),
    "lora_target": _lora("targets"),
    "quantization_bit": _quantized,
    "freeze_vision_tower": _frozen("train_tower"),
    "freeze_multi_modal_projector": _frozen("train_projector"),
    "freeze_language_model": _frozen_language,
    "gradient_accumulation_steps": _accumulation,
    "max_steps": _max_steps,
    "lr_scheduler_type": _schedule,
    "save_total_limit": _keep,
    "bf16": _half,
    "fp16": _half,
    "pure_bf16": _half,
    "disable_gradient_checkpointing": _recompute,
    "flash_attn": _attention,
    "report_to": _report_to,
    "adam_beta1": _beta(0),
    "adam_beta2": _beta(1),
    "train_on_prompt": _prompt_loss,
}


def add_defaults(draft: Draft) -> None:
    """Write out what LLaMA-Factory does without being told."""
    stage, source = draft.stage, draft.source
    draft.put(
        "", "data.prefix_loss", "full", fate="added", why="LLaMA-Factory has no column for a masked beginning"
    )
    defaults: dict[str, tuple[str, Any]] = {
        "learning_rate": (f"{stage}.learning_rate", 5e-5),
        "num_train_epochs": (f"{stage}.epochs", 3.0),
        "per_device_train_batch_size": (f"{stage}.micro_batch", 8),
        "lr_scheduler_type": (f"{stage}.schedule", "linear"),
        "warmup_steps": (f"{stage}.warmup_steps", 0),
    }
    if stage == "dpo":
        defaults |= {"pref_beta": ("dpo.beta", 0.1), "pref_ftx": ("dpo.sft_weight", 0.0)}
        draft.put("", "dpo.sft_over", "sequence", fate="added", why="as LLaMA-Factory averages")
    for key, (name, value) in defaults.items():
        if key not in source:
            draft.put("", name, value, fate="added", why="LLaMA-Factory's default")
    _add_adapters(draft)
    if "gradient_accumulation_steps" not in source:
        _accumulation(draft, "", 1)
    if "cutoff_len" not in source:
        _cutoff(draft, "", 2048)
    if "image_max_pixels" not in source and "image_resolution" not in source:
        _pixels(draft, "", 768 * 768)


def _add_adapters(draft: Draft) -> None:
    """Adapters are what LLaMA-Factory trains unless it is told otherwise."""
    source = draft.source
    if source.get("finetuning_type", "lora") != "lora":
        return
    why = "LLaMA-Factory's default"
    rank = source.get("lora_rank", 8)
    if "lora_rank" not in source:
        draft.put("", "model.lora.rank", rank, fate="added", why=why)
    if "lora_alpha" not in source and isinstance(rank, int):
        draft.put("", "model.lora.alpha", 2 * rank, fate="added", why=why)
