"""Prompts as data: versioned Markdown files with a small header, rendered strictly.

A prompt's fingerprint is the hash of its file's text, so any edit makes another prompt. A file reads::

    ---
    name: ask
    version: 1
    variables: caption
    ---
    Text with {{ caption }}, in Jinja.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lpt_core.errors import ConfigError
from lpt_core.fingerprint import fingerprint

_HEADER = re.compile(r"---\n(.*?)\n---\n(.*)", re.DOTALL)
_KEYS = ("name", "version", "variables")
# Sandboxed: a prompt's file may come from somebody else. No escaping: the output is text for a model.
_JINJA = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
# The same values always give the same text: no lipsum(), no random choice.
_JINJA.globals.clear()
del _JINJA.filters["random"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's template.

    Attributes:
        name: What it is for ("ask").
        version: Its version under that name.
        variables: What ``render`` must be given, no more and no less.
        source: The template's text.
        fingerprint: Hash of the whole file, header and all; line ends do not matter.
    """

    name: str
    version: int
    variables: frozenset[str]
    source: str
    fingerprint: str
    _template: Template = field(repr=False, compare=False)

    @property
    def label(self) -> str:
        """Name, version and the beginning of the fingerprint, for people: "ask.v1 (3f2a90)"."""
        return f"{self.name}.v{self.version} ({self.fingerprint[:6]})"

    def render(self, **values: object) -> str:
        """The text for these values.

        Raises:
            ConfigError: A variable is missing, unknown, or the template fails.
        """
        if values.keys() != self.variables:
            missing = ", ".join(sorted(self.variables - values.keys())) or "none"
            extra = ", ".join(sorted(values.keys() - self.variables)) or "none"
            raise ConfigError(f"prompt {self.label}: missing variables: {missing}; unknown: {extra}.")
        try:
            return self._template.render(values).strip()
        except Exception as error:  # a template is somebody's program, and fails as programs do
            raise ConfigError(f"prompt {self.label} cannot be rendered: {error}") from error

    def __reduce__(self) -> tuple[object, ...]:
        """Without the compiled template, which no pickle can hold."""
        return _compiled, (self.name, self.version, self.variables, self.source, self.fingerprint)


def _compiled(name: str, version: int, variables: frozenset[str], source: str, mark: str) -> Prompt:
    return Prompt(name, version, variables, source, mark, _JINJA.from_string(source))


def parse_prompt(text: str, where: str) -> Prompt:
    """Read a prompt from the text of its file.

    Args:
        text: Header and template.
        where: What to call the file in errors.

    Raises:
        ConfigError: The header is missing or incomplete, or its variables are not the template's.
    """
    text = text.replace("\r\n", "\n")
    match = _HEADER.fullmatch(text)
    if not match:
        raise ConfigError(f"{where}: a prompt begins with a header between two lines of '---'.")
    name, version, declared = _header(match.group(1), where)
    try:
        used = frozenset(meta.find_undeclared_variables(_JINJA.parse(match.group(2))))
        template = _JINJA.from_string(match.group(2))
    except (TemplateError, RecursionError) as error:
        raise ConfigError(f"{where}: not a Jinja template: {error}") from error
    if used != declared:
        raise ConfigError(
            f"{where}: the header declares the variables {sorted(declared)}, the text uses {sorted(used)}."
        )
    return Prompt(name, version, declared, match.group(2), fingerprint("prompt", text), template)


def _header(text: str, where: str) -> tuple[str, int, frozenset[str]]:
    """Name, version and variables from the lines of a header."""
    header: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 2):
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or key not in _KEYS or key in header:
            raise ConfigError(
                f"{where}, line {number}: {line!r} is not one of {', '.join(_KEYS)}, once each."
            )
        header[key] = value
    if missing := [key for key in _KEYS if key not in header]:
        raise ConfigError(f"{where}: the header lacks {', '.join(missing)}.")
    if not re.fullmatch(r"\w+", header["name"]):
        raise ConfigError(f"{where}: name is letters, digits and _, not {header['name']!r}.")
    if not re.fullmatch(r"[1-9][0-9]{0,5}", header["version"]):
        raise ConfigError(f"{where}: version is a whole number from 1, not {header['version']!r}.")
    variables = (name.strip() for name in header["variables"].split(","))
    return header["name"], int(header["version"]), frozenset(filter(None, variables))


@cache
def load_prompt(name: str, version: int = 1) -> Prompt:
    """A prompt that ships with LPT.

    Raises:
        ConfigError: There is no such prompt.
    """
    file = resources.files(__name__) / f"{name}.v{version}.md"
    if not re.fullmatch(r"\w+", name) or not file.is_file():
        known = ", ".join(f"{name}.v{version}" for name, version in prompt_names())
        raise ConfigError(f"there is no prompt {name}.v{version}.", f"one of: {known}")
    return parse_prompt(file.read_text(encoding="utf-8"), f"{name}.v{version}.md")


def load_prompt_file(path: Path) -> Prompt:
    """A prompt from somebody's own file.

    Raises:
        ConfigError: The file cannot be read or is no prompt.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte-order mark
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the prompt {path} cannot be read: {error}.") from error
    return parse_prompt(text, str(path))


def prompt_names() -> list[tuple[str, int]]:
    """Name and version of each prompt that ships with LPT, as ``load_prompt`` takes them."""
    files = (re.fullmatch(r"(\w+)\.v(\d+)\.md", file.name) for file in resources.files(__name__).iterdir())
    return sorted((match[1], int(match[2])) for match in files if match)
