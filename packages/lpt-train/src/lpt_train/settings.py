"""Reading and writing configurations: YAML with recipes, errors that name file, line and field."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any, cast

import yaml

from lpt_core import ConfigError
from lpt_core.yaml_lines import Tree, merged, parse_yaml, read_text, validated
from lpt_train.config import TrainConfig

_PATHS = (
    *(("sft", field) for field in ("data", "evaluation")),
    *((stage, field) for stage in ("dpo", "grpo") for field in ("data", "evaluation", "start")),
)


def load_config(path: Path) -> TrainConfig:
    """Read a configuration, filled in by its recipe, with paths made absolute.

    Args:
        path: A YAML file; relative paths in it are relative to its folder.

    Raises:
        ConfigError: It cannot be used; the message lists every problem with its line.
    """
    return parse_config(read_text(path), path)


def parse_config(text: str, path: Path) -> TrainConfig:
    """Read a configuration from the text of its file; see ``load_config``."""
    data, lines = parse_yaml(text, path)
    recipe = data.get("recipe")
    if recipe is not None:
        data = merged(load_recipe(str(recipe)), data)
    whole = _absolute(data, path.resolve().parent)
    return validated(lambda: TrainConfig.model_validate(whole), path, lines)


def dump_config(config: TrainConfig) -> str:
    """The configuration as YAML, whole, with nothing left to defaults."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def recipe_names() -> list[str]:
    """The recipes that ship with lpt-train."""
    files = resources.files("lpt_train.recipes").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """A recipe as it is written, with its comments.

    Raises:
        ConfigError: There is no such recipe.
    """
    if name not in recipe_names():
        raise ConfigError(f"there is no recipe {name!r}.", f"one of: {', '.join(recipe_names())}")
    return (resources.files("lpt_train.recipes") / f"{name}.yaml").read_text(encoding="utf-8")


def load_recipe(name: str) -> Tree:
    """What a recipe fills in.

    Raises:
        ConfigError: There is no such recipe.
    """
    return cast(Tree, yaml.safe_load(recipe_text(name)))


def _absolute(data: Tree, base: Path) -> Tree:
    """The same with absolute paths, so that its copy works from anywhere."""
    made = dict(data)
    for section, field in _PATHS:
        value = _field(made, section, field)
        if isinstance(value, str):
            made[section] = made[section] | {field: os.path.normpath(base / Path(value).expanduser())}
    name = _field(made, "model", "name")
    if isinstance(name, str) and name:
        here = base / Path(name).expanduser()
        # "name" or "name/name" may be an id on the hub as well; a folder that is there comes first.
        if name.startswith((".", "~")) or here.exists():
            made["model"] = made["model"] | {"name": os.path.normpath(here)}
    return made


def _field(data: Tree, section: str, field: str) -> Any:
    inner = data.get(section)
    return cast(Tree, inner).get(field) if isinstance(inner, dict) else None
