"""Reading and writing configurations: YAML with recipes, errors that name file, line and field."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import cast

import yaml

from lpt_core import ConfigError
from lpt_core.yaml_lines import Finding, Place, Tree, merged, parse_yaml, read_text, validated
from lpt_synth.config import ENGINES, RunConfig

_REMEDY = "`lpt-synth init` writes one"
_PATHS = (("source", "captions"), ("source", "images"))
_PROMPTS = (
    ("ask", "prompt"),
    ("ask", "reformat_prompt"),
    ("think", "system_prompt"),
    ("think", "question_prompt"),
    ("expand", "prompt"),
    ("judge", "prompt"),
)


def load_config(path: Path) -> RunConfig:
    """Read a configuration, filled in by its recipe, with paths made absolute.

    Args:
        path: A YAML file; relative paths in it are relative to its folder.

    Raises:
        ConfigError: It cannot be used; the message lists every problem with its line.
    """
    return parse_config(read_text(path, remedy=_REMEDY), path)


def parse_config(text: str, path: Path) -> RunConfig:
    """Read a configuration from the text of its file; see ``load_config``."""
    data, lines = parse_yaml(text, path, remedy=_REMEDY)
    recipe = data.get("recipe")
    if recipe is not None:
        data = merged(_fitting(load_recipe(str(recipe)), data), data)
    _absolute(data, path.resolve().parent)
    written = json.dumps(data, default=str)
    return validated(lambda: RunConfig.model_validate_json(written), path, lines, retell=_retold)


def dump_config(config: RunConfig) -> str:
    """The configuration as YAML, whole, with nothing left to defaults."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def recipe_names() -> list[str]:
    """The recipes that ship with lpt-synth."""
    files = resources.files("lpt_synth.recipes").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def load_recipe(name: str) -> Tree:
    """What a recipe fills in.

    Raises:
        ConfigError: There is no such recipe.
    """
    if name not in recipe_names():
        raise ConfigError(f"there is no recipe {name!r}.", f"one of: {', '.join(recipe_names())}")
    file = resources.files("lpt_synth.recipes") / f"{name}.yaml"
    return cast(Tree, yaml.safe_load(file.read_text(encoding="utf-8")))


def _fitting(recipe: Tree, data: Tree) -> Tree:
    """The recipe without what it says of models that are not used: another model has another licence."""
    ends, ours = recipe.get("endpoints"), data.get("endpoints")
    if not isinstance(ends, dict) or not isinstance(ours, dict):
        return recipe
    kept: Tree = {}
    for role, theirs in cast(Tree, ends).items():
        end = cast(Tree, ours).get(role)
        if isinstance(end, dict):
            given = cast(Tree, end)
            inner = given.get("inner")
            if given.get("engine") == "ray":
                # What a recipe says of a model belongs to the model, which stands in there.
                nested = _fitting({"endpoints": {role: theirs}}, {"endpoints": {role: inner}})["endpoints"]
                if isinstance(inner, dict) and role in cast(Tree, nested):
                    kept[role] = {"inner": theirs}
                continue
            default = None if given.get("engine") == "lab_teacher" else theirs["model"]
            if given.get("model", default) != theirs["model"]:
                continue
        kept[role] = theirs
    return recipe | {"endpoints": kept}


def _absolute(data: Tree, base: Path) -> None:
    """Make the paths of a configuration absolute, so that its copy works from anywhere."""
    for section, field in (*_PATHS, *_PROMPTS):
        inner = data.get(section)
        value = cast(Tree, inner).get(field) if isinstance(inner, dict) else None
        if not isinstance(value, str):
            continue
        here = base / Path(value).expanduser()
        is_file = (section, field) in _PATHS and cast(Tree, inner).get("kind") != "hub"
        if is_file or here.exists():
            cast(Tree, inner)[field] = os.path.normpath(here)
    ends = data.get("endpoints")
    for end in cast(Tree, ends).values() if isinstance(ends, dict) else ():
        if isinstance(end, dict):
            _absolute_endpoint(cast(Tree, end), base)


def _absolute_endpoint(end: Tree, base: Path) -> None:
    inner = end.get("inner")
    if isinstance(inner, dict):
        _absolute_endpoint(cast(Tree, inner), base)
    fields = {"transformers": ("model",), "vllm": ("model", "python")}
    for field in fields.get(str(end.get("engine")), ("chat_template",)):
        value = end.get(field)
        if not isinstance(value, str) or not value:
            continue
        here = base / Path(value).expanduser()
        # "name" or "name/name" may be an id on the hub as well; a folder that is there comes first.
        if value.startswith((".", "~")) or here.exists():
            end[field] = os.path.normpath(here)


# ---- errors ----------------------------------------------------------------------------------------


def _retold(finding: Finding) -> Finding:
    """A finding without the names that pydantic's unions add to its place, and with what helps here."""
    place = _without_tag(finding.place)
    is_tag = finding.kind.startswith("union_tag")
    if is_tag and place[:1] == ("endpoints",):
        known = ENGINES if place[-1] != "inner" else [name for name in ENGINES if name != "ray"]
        return replace(finding, place=(*place, "engine"), message=f"none of {', '.join(known)}")
    if is_tag:
        return replace(finding, place=place, message="kind is none of docci, table, folder, hub")
    if finding.kind == "extra_forbidden" and place[-1:] == ("api_key",):
        remedy = "name the environment variable that holds the key: api_key_env"
        return replace(finding, place=place, remedy=remedy)
    return replace(finding, place=place)


def _without_tag(loc: Place) -> Place:
    """The place of a finding without the name that pydantic adds: of the kind or engine that it tried."""
    if len(loc) > 1 and loc[0] == "source":
        return (loc[0], *loc[2:])
    if loc[:1] == ("endpoints",):
        # Below a role, and below the endpoint in it, come names of ours alone: no field has an engine's name.
        return (*loc[:2], *(part for part in loc[2:] if part not in (*ENGINES, "plain")))
    return loc
