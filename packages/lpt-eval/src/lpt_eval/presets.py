"""The protocols that ship: which words, which sampling, which pixels, by name, form and benchmark."""

from __future__ import annotations

from lpt_core import ConfigError, PixelPolicy, Sampling, load_prompt
from lpt_eval.protocol import Form, Protocol

NAMES = {
    "lpt": "the words and pixels of lpt-synth's training sets, greedy",
    "paper": "the paper's appendix: greedy, 1024 tokens (MMLU-Pro 2048), longer side 512",
}
"""The protocols by name, and what each is."""

FORMS: tuple[Form, ...] = ("think", "direct")
"""The forms in which every benchmark can be asked."""

_LETTER = "Format the answer with the letter of the correct option in parentheses."
_SELECT = "{{ question }}\nSelect from the following choices.\n{{ options }}"
_TEXT_ONLY = "mmlu_pro"


def preset(name: str, form: Form, benchmark: str) -> Protocol:
    """A protocol that ships.

    Args:
        name: One of ``NAMES``.
        form: How the model is to answer.
        benchmark: Of which benchmark; MMLU-Pro has words of its own.

    Raises:
        ConfigError: There is none of that name or form.
    """
    if name not in NAMES:
        raise ConfigError(f"there is no protocol {name!r}.", f"one of: {', '.join(NAMES)}")
    if form not in FORMS:
        raise ConfigError(f"{benchmark} cannot be asked in the form {form!r}.", f"one of: {', '.join(FORMS)}")
    text_only = benchmark == _TEXT_ONLY
    system = load_prompt(f"mmlu_pro_{form}" if text_only else f"{form}_system").source.strip()
    if text_only:
        system = system.replace("{{ subject }}", "{{ category }}")
    elif name == "paper":
        system = f"{system} {_LETTER}"
    return Protocol(
        name=name,
        form=form,
        system=system,
        template=_SELECT if text_only or name == "paper" else load_prompt("question").source.strip(),
        sampling=Sampling(temperature=0.0, top_p=1.0, max_tokens=2048 if text_only else 1024),
        pixels=None if text_only else PixelPolicy(rule="longer_side" if name == "paper" else "area"),
    )
