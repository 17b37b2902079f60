"""Configurations in YAML whose errors name file, line and field.

One of two modules of lpt-core that need more than pydantic and Jinja: the extra ``lpt-core[yaml]``. Nothing
else in this package imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import ValidationError

from lpt_core.errors import ConfigError
from lpt_core.problems import Problem

__all__ = ["Finding", "Lines", "Place", "Tree", "merged", "parse_yaml", "read_text", "validated"]

Tree = dict[str, Any]
Place = tuple[str | int, ...]
Lines = dict[Place, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not fit in a configuration, before its line is looked up.

    Attributes:
        kind: pydantic's name of the error.
        place: Where, key by key.
        message: What is wrong. The value itself is never repeated: it may be a secret.
        remedy: What to do, where that is not obvious.
    """

    kind: str
    place: Place
    message: str
    remedy: str = ""


def read_text(path: Path, *, remedy: str = "") -> str:
    """The text of a configuration's file.

    Args:
        path: The file.
        remedy: What to tell those who have none.

    Raises:
        ConfigError: It is not there, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text in UTF-8.", remedy) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.", remedy) from None


def parse_yaml(text: str, path: Path, *, remedy: str = "") -> tuple[Tree, Lines]:
    """A YAML mapping and the line, from 1, on which each of its places begins.

    Args:
        text: What the file holds.
        path: The file, for errors.
        remedy: What to tell those whose file holds no mapping.

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
        raise ConfigError(f"{path} holds no configuration: a YAML mapping is wanted.", remedy)
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


def validated(
    validate: Callable[[], T],
    path: Path,
    lines: Lines,
    *,
    retell: Callable[[Finding], Finding] = lambda finding: finding,
) -> T:
    """What pydantic makes of a configuration.

    Args:
        validate: Makes it: a model's ``model_validate`` on the tree.
        path: The file, for errors.
        lines: Of its places.
        retell: Mends the place and the words of a finding.

    Raises:
        ConfigError: It does not fit; every finding is listed with file, line and field.
    """
    try:
        return validate()
    except ValidationError as error:
        told = (retell(_finding(detail)) for detail in error.errors())
        listed = "\n".join(f"  {_problem(finding, path, lines)}" for finding in told)
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


def _finding(detail: Any) -> Finding:
    """A finding of pydantic in our words."""
    kind = str(detail["type"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        message = "there is no such field"
    elif kind == "missing":
        message = "is missing"
    return Finding(kind, tuple(detail["loc"]), message)


def _problem(finding: Finding, path: Path, lines: Lines) -> Problem:
    place = finding.place
    line = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), None)
    return Problem(
        kind=finding.kind,
        message=f"{'.'.join(map(str, place)) or 'the configuration'}: {finding.message}",
        where=f"{path}:{line}" if line else str(path),
        remedy=finding.remedy,
    )
