"""Reading and writing configurations: YAML with recipes, errors that name file, line and field."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError

from lpt_core import ConfigError, Problem
from lpt_synth.config import ENGINES, RunConfig

Tree = dict[str, Any]
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
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the configuration {path} cannot be read: {error}.", "`lpt-synth init` writes one"
        ) from error
    return parse_config(text, path)


def parse_config(text: str, path: Path) -> RunConfig:
    """Read a configuration from the text of its file; see ``load_config``."""
    data, lines = _parse_yaml(text, path)
    recipe = data.get("recipe")
    if recipe is not None:
        data = _merged(_fitting(load_recipe(str(recipe)), data), data)
    _absolute(data, path.resolve().parent)
    try:
        return RunConfig.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        problems = [_problem(detail, path, lines) for detail in error.errors()]
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigError(f"{path} cannot be used:\n{listed}") from None


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


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """``above`` over ``below``, mapping by mapping; lists are replaced whole."""
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        if isinstance(value, dict) and isinstance(lower, dict):
            merged[key] = _merged(cast(Tree, lower), cast(Tree, value))
        else:
            merged[key] = value
    return merged


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
    fields = ("model",) if end.get("engine") == "transformers" else ("chat_template",)
    for field in fields:
        value = end.get(field)
        if not isinstance(value, str) or not value:
            continue
        here = base / Path(value).expanduser()
        # "name" or "name/name" may be an id on the hub as well; a folder that is there comes first.
        if value.startswith((".", "~")) or here.exists():
            end[field] = os.path.normpath(here)


# ---- YAML with line numbers ------------------------------------------------------------------------

Lines = dict[tuple[str | int, ...], int]


def _parse_yaml(text: str, path: Path) -> tuple[Tree, Lines]:
    lines: Lines = {}
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or "it is not YAML"
        raise ConfigError(f"{where}: {what}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: a value cannot be read: {error}.") from None
    if not isinstance(data, dict) or node is None:
        raise ConfigError(f"{path} holds no configuration.", "`lpt-synth init` writes one")
    try:
        found = list(_walk(node, (), lines))
    except RecursionError:
        raise ConfigError(f"{path}: a value refers to itself, or is nested too deep.") from None
    twice = [f"{path}:{line}: {'.'.join(map(str, loc))} stands twice" for loc, line in found]
    if twice:
        raise ConfigError("\n".join(twice))
    return cast(Tree, data), lines


def _walk(
    node: yaml.Node, loc: tuple[str | int, ...], lines: Lines
) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """Fill in the line of every place; yield keys that stand twice."""
    if isinstance(node, yaml.MappingNode):
        pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
        for key, value in pairs:
            inner = (*loc, str(key.value))
            if inner in lines:
                yield inner, key.start_mark.line + 1
            lines[inner] = key.start_mark.line + 1
            yield from _walk(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(cast("list[yaml.Node]", node.value)):
            lines[*loc, place] = value.start_mark.line + 1
            yield from _walk(value, (*loc, place), lines)


def _problem(detail: Any, path: Path, lines: Lines) -> Problem:
    """A finding of pydantic in our words; the value itself is never repeated, it may be a secret."""
    loc = tuple(cast("tuple[str | int, ...]", detail["loc"]))
    loc = _without_tag(loc)
    is_tag = str(detail["type"]).startswith("union_tag")
    if is_tag and loc[:1] == ("endpoints",):
        loc = (*loc, "engine")
    line = next((lines[loc[:end]] for end in range(len(loc), 0, -1) if loc[:end] in lines), None)
    name = ".".join(map(str, loc)) or "the configuration"
    message = str(detail["msg"]).removeprefix("Value error, ")
    remedy = ""
    if detail["type"] == "extra_forbidden":
        message = "there is no such field"
        if loc[-1:] == ("api_key",):
            remedy = "name the environment variable that holds the key: api_key_env"
    elif detail["type"] == "missing":
        message = "is missing"
    elif is_tag and loc[-1] == "engine":
        message = f"none of {', '.join(ENGINES)}"
    elif is_tag:
        message = "kind is none of docci, table, folder, hub"
    return Problem(
        kind=str(detail["type"]),
        message=f"{name}: {message}",
        where=f"{path}:{line}" if line else str(path),
        remedy=remedy,
    )


def _without_tag(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The place of a finding without the name that pydantic adds: of the kind or engine that it tried."""
    if len(loc) > 1 and loc[0] == "source":
        return (loc[0], *loc[2:])
    if len(loc) > 2 and loc[0] == "endpoints" and loc[2] in ENGINES:
        return (*loc[:2], *loc[3:])
    return loc
