"""The dataset card: what is in an export, how it was made, and under which licences.

A card is the same for the same run, whenever and wherever it is written: it holds no date, no host, no
path, and nothing of how often something was asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import yaml

from lpt_core import Prompt
from lpt_synth.config import RunConfig
from lpt_synth.export.records import Contents, Format

Yield = tuple[str, int, int]
"""What, how many were kept, of how many."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model and what it did. ``None`` where the configuration does not say."""

    role: str
    name: str
    revision: str | None = None
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class PromptFacts:
    """A prompt and the stage that used it."""

    stage: str
    label: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card says beyond the rows themselves.

    Attributes:
        source: Name of the captions' source ("DOCCI").
        source_licence: Licence of the captions, where stated.
        recipe: Name of the recipe, if one was used.
        models: By role.
        prompts: By stage.
        config: What decided the content of the sets; no secrets, hosts or paths (see ``config_echo``).
        funnel: (stage, name, count), in order.
        yields: Shares worth a look.
    """

    source: str
    source_licence: str | None = None
    recipe: str | None = None
    models: tuple[ModelFacts, ...] = ()
    prompts: tuple[PromptFacts, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    funnel: tuple[tuple[str, str, int], ...] = ()
    yields: tuple[Yield, ...] = ()


def card_facts(
    config: RunConfig,
    *,
    source: str,
    prompts: Iterable[tuple[str, Prompt]],
    funnel: Iterable[tuple[str, str, int]],
    yields: Iterable[Yield] = (),
) -> CardFacts:
    """The facts of a run.

    Args:
        config: Of the run.
        source: Name of the captions' source, for people.
        prompts: Every prompt that was used, with its stage.
        funnel: What came to which end.
        yields: Shares worth a look.
    """
    ends = {role: config.endpoints.of(role) for role in ("asker", "thinker", "expander", "judge")}
    if not config.judge.enabled:
        ends["judge"] = None
    return CardFacts(
        source=source,
        source_licence=config.source.licence,
        recipe=config.recipe,
        models=tuple(
            ModelFacts(role, end.title, end.identity.revision, end.licence)
            for role, end in ends.items()
            if end
        ),
        prompts=tuple(PromptFacts(stage, prompt.label, prompt.fingerprint) for stage, prompt in prompts),
        config=config_echo(config),
        funnel=tuple(funnel),
        yields=tuple(yields),
    )


def config_echo(config: RunConfig) -> dict[str, Any]:
    """The part of a configuration that decides what the sets hold, for showing.

    Endpoints are left out whole: URLs name hosts, and free-form fields could hold a secret. Of paths,
    only the last part stays.
    """
    stages = {"ask", "think", "expand", "judge"}
    echo: dict[str, Any] = config.model_dump(mode="json", include={"recipe", "seed", "select", *stages})
    for stage in stages:
        for key, value in echo[stage].items():
            if key.endswith("prompt"):
                echo[stage][key] = PurePath(value).name
    hidden = {"captions", "images", "licence"}
    echo["source"] = config.source.model_dump(mode="json", exclude=hidden, exclude_none=True)
    return echo


def render_card(facts: CardFacts, fmt: Format, contents: Contents) -> str:
    """The card as Markdown with a YAML front matter that ``datasets`` and the Hub read."""
    front: dict[str, Any] = {
        "license": licence_id(facts),
        "pretty_name": "Long perceptual thoughts",
        "task_categories": ["image-text-to-text"],
        "tags": ["long-perceptual-thoughts", "reasoning", "synthetic", "vision-language"],
    }
    if configs := fmt.configs(contents):
        front["configs"] = configs
    parts = [
        "# Long perceptual thoughts",
        "Verified chains of thought about images, made from dense captions by lpt-synth after "
        "LongPerceptualThoughts (arXiv 2504.15362): questions are asked of a caption, a vision-language "
        "model thinks about each, a reasoning model goes on from there, and only what reaches the gold "
        "answer is taught.",
        "## What is in here",
        _contents(contents),
        f"## How it is laid out ({fmt.title})",
        fmt.notes,
        "## How it was made",
        _made(facts),
        "## Licences",
        _licences(facts),
        *_numbers(facts),
        "## Configuration",
        "````yaml\n" + _yaml(dict(facts.config), sort=True) + "````",
    ]
    return f"---\n{_yaml(front)}---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def licence_id(facts: CardFacts) -> str:
    """The licence for the front matter, as the Hub spells it.

    The one that captions and all models share; "other" where they differ or some are not stated;
    "unknown" where none is.
    """
    stated = {facts.source_licence, *(model.licence for model in facts.models)}
    names = {re.sub(r"\s+", "-", licence.strip().lower()) for licence in stated if licence}
    if not names:
        return "unknown"
    return names.pop() if len(names) == 1 and None not in stated else "other"


def _contents(contents: Contents) -> str:
    rows = [("SFT", kind, count) for kind, count in sorted(contents.sft.items())]
    rows += [("preference", kind, count) for kind, count in sorted(contents.pairs.items())]
    rows += [("prompts", kind, count) for kind, count in sorted(contents.prompts.items())]
    if contents.prompts:
        total = f"{contents.prompts.total():,} questions about {contents.images.total():,} images."
        return f"{total}\n\n{_table(('set', 'kind', 'questions'), rows)}"
    total = (
        f"{contents.sft.total():,} SFT examples and {contents.pairs.total():,} preference pairs "
        f"about {contents.images.total():,} images."
    )
    return f"{total}\n\n{_table(('set', 'kind', 'examples'), rows)}" if rows else total


def _made(facts: CardFacts) -> str:
    recipe = f", recipe {_cell(facts.recipe)}" if facts.recipe else ""
    models = [(m.role, m.name, m.revision or "not stated", m.licence or "not stated") for m in facts.models]
    prompts = [(prompt.stage, prompt.label, prompt.fingerprint) for prompt in facts.prompts]
    parts = [
        f"Captions: {_cell(facts.source)}{recipe}.",
        _table(("role", "model", "revision", "licence of outputs"), models),
        _table(("stage", "prompt", "fingerprint"), prompts),
    ]
    return "\n\n".join(part for part in parts if part)


def _licences(facts: CardFacts) -> str:
    captions = facts.source_licence or "not stated"
    return (
        f"Captions of {_cell(facts.source)}: {_cell(captions)}. Questions and thoughts were written by the "
        "models above and fall under the terms of each. Images remain under the licence of their source."
    )


def _numbers(facts: CardFacts) -> list[str]:
    parts: list[str] = []
    if facts.yields:
        rows = [
            (what, kept, of, f"{kept / of:.1%}" if of else "none to keep") for what, kept, of in facts.yields
        ]
        parts += ["## Yields", _table(("what", "kept", "of", "share"), rows)]
    if facts.funnel:
        parts += ["## Funnel", _table(("stage", "what", "count"), facts.funnel)]
    return parts


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    """A value that cannot break out of its place: names come from configurations."""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return re.sub(r"[|\\`<>\[\]]", r"\\\g<0>", " ".join(text.split()))


def _yaml(value: Any, *, sort: bool = False) -> str:
    return yaml.safe_dump(value, sort_keys=sort, allow_unicode=True, width=1_000)
