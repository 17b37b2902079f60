"""YAML that remembers where everything stood, so that an error can name the line.

lpt-synth reads its configurations in the same way; the two packages never import each other, and
lpt-core, which both stand on, does without a YAML reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import BaseModel, ValidationError

from lpt_core import ConfigError, Problem

Tree = dict[str, Any]
Place = tuple[str | int, ...]
Lines = dict[Place, int]
ModelT = TypeVar("ModelT", bound=BaseModel)


def read_text(path: Path) -> str:
    """The text of a configuration's file.

    Raises:
        ConfigError: It is not there, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text in UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None


def parse_yaml(text: str, path: Path) -> tuple[Tree, Lines]:
    """A YAML mapping and the line, from 1, on which each of its places begins.

    Raises:
        ConfigError: It is no YAML, no mapping, or a key stands twice.
    """
    lines: Lines = {}
    try:
        node = yaml.SafeLoader(text).get_single_node()
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or "it is not YAML"
        raise ConfigError(f"{where}: {what}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: a value cannot be read: {error}.") from None
    if not isinstance(data, dict) or node is None:
        raise ConfigError(f"{path} holds no configuration: a YAML mapping is wanted.")
    try:
        found = list(_walk(node, (), lines))
    except RecursionError:
        raise ConfigError(f"{path}: a value refers to itself, or is nested too deep.") from None
    twice = [f"{path}:{line}: {'.'.join(map(str, place))} stands twice" for place, line in found]
    if twice:
        raise ConfigError("\n".join(twice))
    return cast(Tree, data), lines


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """``above`` over ``below``, mapping by mapping; lists are replaced whole."""
    result = dict(below)
    for key, value in above.items():
        lower = result.get(key)
        if isinstance(value, dict) and isinstance(lower, dict):
            result[key] = merged(cast(Tree, lower), cast(Tree, value))
        else:
            result[key] = value
    return result


def validated(model: type[ModelT], data: Tree, path: Path, lines: Lines) -> ModelT:
    """``data`` as a ``model``.

    Raises:
        ConfigError: It does not fit; every finding is listed with file, line and field.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        listed = "\n".join(f"  {_problem(detail, path, lines)}" for detail in error.errors())
        raise ConfigError(f"{path} cannot be used:\n{listed}") from None


def _walk(node: yaml.Node, place: Place, lines: Lines) -> Iterator[tuple[Place, int]]:
    """Fill in the line of every place; yield keys that stand twice."""
    if isinstance(node, yaml.MappingNode):
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            inner = (*place, str(key.value))
            if inner in lines:
                yield inner, key.start_mark.line + 1
            lines[inner] = key.start_mark.line + 1
            yield from _walk(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(cast("list[yaml.Node]", node.value)):
            lines[*place, index] = value.start_mark.line + 1
            yield from _walk(value, (*place, index), lines)


def _problem(detail: Any, path: Path, lines: Lines) -> Problem:
    """A finding of pydantic in our words; the value is not repeated."""
    place: Place = tuple(detail["loc"])
    line = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), None)
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "there is no such field"
    elif detail["type"] == "missing":
        message = "is missing"
    return Problem(
        kind=str(detail["type"]),
        message=f"{'.'.join(map(str, place)) or 'the configuration'}: {message}",
        where=f"{path}:{line}" if line else str(path),
    )
