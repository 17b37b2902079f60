"""How many weights a model has, from the shapes in its ``config.json`` alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lpt_core import ConfigError
from lpt_train.config import LoraSection

FAMILIES = ("qwen2_5_vl", "qwen3_vl")


@dataclass(frozen=True, slots=True)
class Shapes:
    """A model's shapes and numbers of weights.

    Attributes:
        hidden: Width of the language model.
        inner: Width of its feed-forward layers.
        layers: How many decoder layers it has.
        query: Width of all query heads together.
        key: Width of all key heads together; values have the same.
        vocabulary: How many tokens there are.
        tower: Weights of the vision tower.
        projector: Weights of what joins it to the language model.
        layer: Weights of one decoder layer.
        embedding: Weights of the embedding, and of the head where that has its own.
        patch: Pixels of a patch's side.
        merge: How many patches a side make one image token.
    """

    hidden: int
    inner: int
    layers: int
    query: int
    key: int
    vocabulary: int
    tower: int
    projector: int
    layer: int
    embedding: int
    patch: int
    merge: int

    @property
    def language(self) -> int:
        """Weights of the language model: its layers, the last norm, embedding and head."""
        return self.layers * self.layer + self.hidden + self.embedding

    @property
    def total(self) -> int:
        """All weights."""
        return self.language + self.tower + self.projector

    @property
    def projections(self) -> int:
        """Weights of the projections in all decoder layers, which ``model.quantize`` is about."""
        attention = self.hidden * (self.query + 2 * self.key) + self.query * self.hidden
        return self.layers * (attention + 3 * self.hidden * self.inner)

    def adapters(self, lora: LoraSection) -> int:
        """Weights of adapters on the language model."""
        sizes = {
            "q_proj": self.hidden + self.query,
            "k_proj": self.hidden + self.key,
            "v_proj": self.hidden + self.key,
            "o_proj": self.query + self.hidden,
            "gate_proj": self.hidden + self.inner,
            "up_proj": self.hidden + self.inner,
            "down_proj": self.inner + self.hidden,
        }
        return self.layers * lora.rank * sum(sizes[target] for target in set(lora.targets))


def read_shapes(name: str, revision: str | None = None) -> Shapes:
    """The shapes of a model in a folder or on the hub; of the latter only ``config.json`` is fetched.

    Raises:
        ConfigError: It cannot be read, or is of another family.
    """
    path = Path(name) / "config.json" if Path(name).is_dir() else _fetched(name, revision)
    try:
        data: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}: {error}.") from None
    try:
        return shapes_of(data)
    except ConfigError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path} lacks what a {'/'.join(FAMILIES)} has: {error}.") from None


def _fetched(name: str, revision: str | None) -> Path:
    import huggingface_hub

    # Its signature has types that its own dependencies leave open.
    fetch = cast("Callable[..., str]", huggingface_hub.hf_hub_download)  # pyright: ignore[reportUnknownMemberType]
    try:
        return Path(fetch(name, "config.json", revision=revision))
    except Exception as error:  # a network: as many kinds as it has faults
        said = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"the config.json of {name} cannot be had: {type(error).__name__}: {said}",
            "give a folder with the model's config.json as model.name",
        ) from None


def shapes_of(data: Mapping[str, Any]) -> Shapes:
    """The shapes that a ``config.json`` tells.

    Raises:
        ConfigError: It is of another family.
        KeyError: It lacks a shape.
    """
    family = data.get("model_type")
    if family not in FAMILIES:
        raise ConfigError(
            f"the shapes of a {family} are not known.", f"estimates are for {' and '.join(FAMILIES)}"
        )
    # Older configurations of Qwen2.5-VL have the language model's shapes at the top.
    text = cast("dict[str, Any]", data.get("text_config") or data)
    vision = cast("dict[str, Any]", data["vision_config"])
    new = family == "qwen3_vl"
    hidden, inner = int(text["hidden_size"]), int(text["intermediate_size"])
    heads = int(text["num_attention_heads"])
    head = int(text.get("head_dim") or hidden // heads)
    query, key = heads * head, int(text["num_key_value_heads"]) * head
    extra = 2 * head if new else query + 2 * key  # norms of queries and keys, or biases
    attention = hidden * (query + 2 * key) + query * hidden + extra
    tied = bool(data.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))
    vocabulary = int(text["vocab_size"])
    tower, projector = (_tower_3 if new else _tower_2_5)(vision, int(vision["hidden_size"]))
    return Shapes(
        hidden=hidden,
        inner=inner,
        layers=int(text["num_hidden_layers"]),
        query=query,
        key=key,
        vocabulary=vocabulary,
        tower=tower,
        projector=projector,
        layer=attention + 3 * hidden * inner + 2 * hidden,
        embedding=vocabulary * hidden * (1 if tied else 2),
        patch=int(vision["patch_size"] if new else vision.get("patch_size", 14)),
        merge=int(vision.get("spatial_merge_size", 2)),
    )


def _patch(vision: Mapping[str, Any]) -> int:
    channels = int(vision.get("in_channels") or vision.get("in_chans") or 3)
    return channels * int(vision.get("temporal_patch_size", 2)) * int(vision["patch_size"]) ** 2


def _tower_2_5(vision: Mapping[str, Any], hidden: int) -> tuple[int, int]:
    inner, out = int(vision["intermediate_size"]), int(vision["out_hidden_size"])
    wide = hidden * int(vision.get("spatial_merge_size", 2)) ** 2
    attention = hidden * 3 * hidden + 3 * hidden + hidden * hidden + hidden
    block = attention + 3 * hidden * inner + 2 * inner + hidden + 2 * hidden
    projector = hidden + wide * wide + wide + wide * out + out
    return _patch(vision) * hidden + int(vision["depth"]) * block, projector


def _tower_3(vision: Mapping[str, Any], hidden: int) -> tuple[int, int]:
    inner, out = int(vision["intermediate_size"]), int(vision["out_hidden_size"])
    wide = hidden * int(vision.get("spatial_merge_size", 2)) ** 2
    attention = hidden * 3 * hidden + 3 * hidden + hidden * hidden + hidden
    block = attention + 2 * hidden * inner + inner + hidden + 4 * hidden
    positions = int(vision["num_position_embeddings"]) * hidden
    tower = _patch(vision) * hidden + hidden + positions + int(vision["depth"]) * block
    merger = wide * wide + wide + wide * out + out
    deep = len(vision["deepstack_visual_indexes"])
    return tower, (2 * hidden + merger) + deep * (2 * wide + merger)
