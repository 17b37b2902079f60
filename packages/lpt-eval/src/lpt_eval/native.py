"""The benchmarks' own words, as lmms-eval 0.7.3's stock tasks put them to a model.

Only the words: sampling, the limit of tokens and the size of images are the protocol's. (The stock tasks stop
V*, MMVP and MME-RealWorld after 16 tokens and give MMLU-Pro no limit of their own.)
"""

from __future__ import annotations

from dataclasses import dataclass

from lpt_core import ConfigError
from lpt_eval.protocol import Reading

_DOTTED = "{% for text in texts %}\n{{ letters[loop.index0] }}. {{ text }}\n{% endfor %}\n"
_DIRECTLY = "Answer with the option's letter from the given choices directly"


@dataclass(frozen=True, slots=True)
class Words:
    """How a benchmark puts its questions by itself. There is no system prompt.

    Attributes:
        template: The user's text, in Jinja, as ``Protocol.template``.
        reading: Where its answer may stand.
    """

    template: str
    reading: Reading = "tail"


NATIVE = {
    "cv_bench": Words(
        "Note: You only need to respond with {{ letters | join(', ') }} without providing any additional "
        "information.\n\n{{ question }} Select from the following choices.\n{{ options }}"
    ),
    "vstar": Words("{{ question }}\n" + _DOTTED + _DIRECTLY + "."),
    "mmvp": Words("{{ question }}\n" + _DOTTED + _DIRECTLY + "."),
    "mmstar_v": Words(
        "{{ question }}\nOptions: {% for text in texts %}{{ letters[loop.index0] }}: {{ text }}"
        "{{ ', ' if not loop.last }}{% endfor %}\n\n" + _DIRECTLY
    ),
    "mme_realworld_v": Words(
        "{{ question }} The choices are listed below:\n{{ options }}\n"
        "Select the best answer to the above multiple-choice question based on the image. Respond with only "
        "the letter (A, B, C, D, or E) of the correct option.\nThe best answer is:"
    ),
    "mmlu_pro": Words(
        "The following are multiple choice questions (with answers) about {{ category }}. Think step by step "
        'and then finish your answer with "the answer is (X)" where X is the correct letter choice.\n\n'
        "Question:\n{{ question }}\nOptions:\n" + _DOTTED + "Answer: Let's think step by step.",
        reading="phrase",
    ),
}
"""By benchmark. MMLU-Pro's are without its five examples."""


def native(benchmark: str) -> Words:
    """A benchmark's own words.

    Raises:
        ConfigError: It has none.
    """
    if benchmark not in NATIVE:
        raise ConfigError(
            f"{benchmark} has no words of its own, in which the form 'native' would ask it.",
            "choose the form think or direct",
        )
    return NATIVE[benchmark]
