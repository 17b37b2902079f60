"""Writing a configuration that runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lpt_core import ConfigError
from lpt_synth.rundir import write_atomically
from lpt_synth.settings import load_recipe, parse_config
from lpt_synth.sources import guess_columns, guess_kind

_HEADER = """\
# A configuration of lpt-synth:
#   lpt-synth plan {name} --out RUN_DIR    what it would ask, and what that costs
#   lpt-synth run {name} --out RUN_DIR     does it; killed or stopped, the same line goes on
# What is not given here comes from the recipe; `lpt-synth show-recipe {recipe}` prints that.
# A key is never written here: api_key_env names the environment variable that holds it.
"""


@dataclass(frozen=True, slots=True)
class InitOptions:
    """What a person gives to ``init``; empty means: as in the recipe."""

    recipe: str
    captions: str
    images: Path | None
    base_url: str
    models: dict[str, str | None] = field(default_factory=dict[str, str | None])
    urls: dict[str, str | None] = field(default_factory=dict[str, str | None])
    api_key_env: str | None = None
    short_cots: int | None = None
    long_cots: int | None = None
    cues: Sequence[str] = ()
    limit: int | None = None


def write_config(path: Path, options: InitOptions, *, force: bool = False) -> None:
    """Write a configuration, having checked that it can be read back.

    Raises:
        ConfigError: It would not run, or there is a file that ``force`` was not given for.
        DataError: The captions are not there or nothing that can be read.
    """
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already.", "choose another name, or give --force")
    text = config_text(path, options)
    parse_config(text, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from error


def config_text(path: Path, options: InitOptions) -> str:
    """The configuration as YAML: the recipe's name, and what differs from it."""
    recipe = load_recipe(options.recipe)
    data: dict[str, Any] = {
        "recipe": options.recipe,
        "source": _source(path, options) | recipe.get("source", {}),
    }
    if options.limit is not None:
        data["source"]["limit"] = options.limit
    ends: dict[str, Any] = {}
    for role in ("asker", "thinker", "expander"):
        end = {"base_url": options.urls.get(role) or options.base_url}
        end["model"] = options.models.get(role) or recipe["endpoints"][role]["model"]
        if options.api_key_env:
            end["api_key_env"] = options.api_key_env
        ends[role] = end
    data["endpoints"] = ends
    if options.short_cots is not None:
        data["think"] = {"n": options.short_cots}
    expand: dict[str, Any] = {}
    if options.long_cots is not None:
        expand["n"] = options.long_cots
    if options.cues:
        expand["cues"] = list(options.cues)
    if expand:
        data["expand"] = expand
    header = _HEADER.format(name=path.name, recipe=options.recipe)
    return header + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def _source(path: Path, options: InitOptions) -> dict[str, Any]:
    kind = guess_kind(options.captions)
    source: dict[str, Any] = {"kind": kind, "captions": _relative(path, options.captions)}
    if kind == "docci":
        if options.images is None:
            raise ConfigError("DOCCI's captions need the folder of their images.", "give --images DIR")
        source["split"] = "train"
    if kind == "table":
        text, image, id_column = guess_columns(Path(options.captions))
        source |= {"text_column": text, "image_column": image, "id_column": id_column}
    if kind == "hub" and not Path(options.captions).exists():
        source["captions"] = options.captions
    if options.images is not None and kind in ("docci", "table", "hub"):
        source["images"] = _relative(path, str(options.images))
    return source


def _relative(config: Path, target: str) -> str:
    """A relative path as seen from the configuration's folder; an absolute one as it is."""
    if Path(target).is_absolute():
        return target
    return os.path.relpath(Path(target).resolve(), config.resolve().parent)
