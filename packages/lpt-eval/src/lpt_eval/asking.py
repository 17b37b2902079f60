"""From an item and a protocol to what the model is told."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lpt_core import LETTERS, ConfigError
from lpt_eval.protocol import Protocol
from lpt_eval.records import Item

# As lpt_core.prompts renders its own files.
_JINJA = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_JINJA.globals.clear()
del _JINJA.filters["random"]

VARIABLES = ("question", "options", "texts", "letters", "answer_style", "category", "subcategory")
"""What templates may name: the question, its options as lines, their texts and letters, and the rest."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is told about an item, besides its image.

    Attributes:
        system: The system prompt; "" for none.
        user: The user's text.
    """

    system: str
    user: str


def prompt(item: Item, protocol: Protocol, shuffle: int = 0) -> Prompt:
    """What the model is told about an item.

    Args:
        item: The item.
        protocol: How it is asked.
        shuffle: In which order its options stand.

    Raises:
        ConfigError: A template of the protocol cannot be rendered.
    """
    shown = item.shown(shuffle)
    texts = shown.shown(item.mcq)
    values: dict[str, object] = {
        "question": item.mcq.question,
        "options": shown.render_options(item.mcq),
        "texts": texts,
        "letters": LETTERS[: len(texts)],
        "answer_style": shown.answer_style,
        "category": item.category or "",
        "subcategory": item.subcategory or "",
    }
    return Prompt(_rendered(protocol.system, values), _rendered(protocol.template, values))


def _rendered(source: str, values: dict[str, object]) -> str:
    try:
        return _compiled(source).render(values).strip()
    except Exception as error:  # a template is somebody's program, and fails as programs do
        raise ConfigError(
            f"a template of the protocol cannot be rendered: {error}.",
            f"a template may name {', '.join(VARIABLES)}",
        ) from error


@lru_cache(maxsize=64)
def _compiled(source: str) -> Template:
    try:
        return _JINJA.from_string(source)
    except (TemplateError, RecursionError) as error:
        raise ConfigError(f"a template of the protocol is not Jinja: {error}.") from error
