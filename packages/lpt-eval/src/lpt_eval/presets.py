"""The protocols that ship: which words, which sampling, which pixels, by name, form and benchmark."""

from __future__ import annotations

from lpt_core import ConfigError, PixelPolicy, Sampling, load_prompt
from lpt_eval.native import native
from lpt_eval.protocol import Form, Protocol

NAMES = {
    "lpt": "the words and pixels of lpt-synth's training sets, greedy",
    "paper": "the paper's appendix: greedy, 1024 tokens (MMLU-Pro 2048), longer side 512",
    "released": "the authors' first code: temperature 0.7, top_p 0.8, penalty 1.05, 2048 tokens, area 512²",
}
"""The protocols by name, and what each is."""

FORMS: dict[Form, str] = {
    "think": "asked to think first, then to answer between tags",
    "direct": "asked to answer at once, between tags",
    "native": "asked in the benchmark's own words, as lmms-eval's stock task asks",
}
"""The forms in which a model can be asked. Only published benchmarks have words of their own."""

_LETTER = "Format the answer with the letter of the correct option in parentheses."
_RELEASED_LETTER = "Please provide your answer as (X), where X is the letter of the correct option."
_SELECT = "{{ question }}\nSelect from the following choices.\n{{ options }}"
_RELEASED_SELECT = "{{ question }} Select the correct answer from the following options:\n{{ options }}"
_TEXT_ONLY = "mmlu_pro"


def preset(name: str, form: Form, benchmark: str) -> Protocol:
    """A protocol that ships.

    Args:
        name: One of ``NAMES``.
        form: How the model is to answer.
        benchmark: Of which benchmark; MMLU-Pro has words of its own.

    Raises:
        ConfigError: There is none of that name or form, or the benchmark has no native words.
    """
    if name not in NAMES:
        raise ConfigError(f"there is no protocol {name!r}.", f"one of: {', '.join(NAMES)}")
    if form not in FORMS:
        raise ConfigError(f"{benchmark} cannot be asked in the form {form!r}.", f"one of: {', '.join(FORMS)}")
    text_only = benchmark == _TEXT_ONLY
    drawn = _RELEASED_SAMPLING if name == "released" else _greedy(2048 if text_only else 1024)
    settings = Protocol(
        name=name,
        form=form,
        system="",
        template="",
        sampling=drawn,
        # The authors had no seed; without one, nobody could draw again what was drawn.
        seed=0 if drawn.temperature else None,
        pixels=None if text_only else PixelPolicy(rule="longer_side" if name == "paper" else "area"),
    )
    if form == "native":
        words = native(benchmark)
        return settings.model_copy(update={"template": words.template, "reading": words.reading})
    system, template = _tagged(name, form, text_only=text_only)
    # The authors' scorer, too, reads the whole answer where there are no tags.
    reading = "tail" if name == "released" else "tagged"
    return settings.model_copy(update={"system": system, "template": template, "reading": reading})


_RELEASED_SAMPLING = Sampling(temperature=0.7, top_p=0.8, top_k=-1, repetition_penalty=1.05, max_tokens=2048)
"""Written into the authors' code, whatever its command line was told."""


def _greedy(max_tokens: int) -> Sampling:
    """Every field: what is left open, a server takes from the model's own defaults (Qwen2.5-VL: 1.05)."""
    return Sampling(temperature=0.0, top_p=1.0, top_k=-1, repetition_penalty=1.0, max_tokens=max_tokens)


def _tagged(name: str, form: Form, *, text_only: bool) -> tuple[str, str]:
    """System prompt and template of the forms in which an answer stands between tags."""
    system = load_prompt(f"mmlu_pro_{form}" if text_only else f"{form}_system").source.strip()
    if text_only:
        system = system.replace("{{ subject }}", "{{ category }}")
    if name == "released":
        return f"{system.removesuffix(_LETTER).strip()} {_RELEASED_LETTER}", _RELEASED_SELECT
    if name == "paper" and not text_only:
        system = f"{system} {_LETTER}"
    if text_only or name == "paper":
        return system, _SELECT
    return system, load_prompt("question").source.strip()
