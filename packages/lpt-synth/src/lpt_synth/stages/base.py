"""What the stages share."""

from __future__ import annotations

import re
from pathlib import Path

from lpt_core import ConfigError, Prompt, Provenance, load_prompt, load_prompt_file
from lpt_synth.types import Request

_SHIPPED = re.compile(r"(\w+)\.v(\d+)")
_TAGS = re.compile(r"</?\s*(?:think|answer)\s*>", re.IGNORECASE)


def resolve_prompt(name: str, variables: frozenset[str]) -> Prompt:
    """A prompt by the name that ships with LPT ("ask.v1") or by its file.

    Raises:
        ConfigError: There is none, or it uses other variables than the stage gives.
    """
    shipped = _SHIPPED.fullmatch(name)
    prompt = load_prompt(shipped[1], int(shipped[2])) if shipped else load_prompt_file(Path(name))
    if prompt.variables != variables:
        raise ConfigError(
            f"the prompt {name} uses the variables {sorted(prompt.variables)}; "
            f"this stage gives {sorted(variables)}."
        )
    return prompt


def provenance(request: Request, sample: int) -> Provenance:
    """Where a completion of this request comes from."""
    return Provenance(
        stage=request.stage,
        prompt=request.prompt,
        engine=request.model.engine,
        model=request.model.name,
        revision=request.model.revision,
        sampling=request.sampling,
        request=request.key,
        sample=sample,
    )


def has_tags(thought: str) -> bool:
    """Whether a thought holds tags of its own, which would break the format of a training example."""
    return _TAGS.search(thought) is not None
