"""What ``lpt-eval tasks`` tells."""

from __future__ import annotations

from lpt_core import Sampling
from lpt_eval.benchmarks import KINDS, kind_of
from lpt_eval.presets import FORMS, NAMES, preset
from lpt_eval.protocol import Form, Protocol, Reading

READINGS: dict[Reading, str] = {
    "tagged": "between answer tags alone",
    "tail": "between answer tags, else all that follows the thought",
    "phrase": 'between answer tags, else after the last "answer is"',
}
"""Where an answer may stand, for people."""


def listed() -> str:
    """Tasks, protocols and forms."""
    lines = ["tasks (--task NAME or --task NAME=WHERE):"]
    lines += [f"  {name:<16} {kind.summary}" for name, kind in KINDS.items()]
    lines += ["protocols (--protocol NAME):"]
    lines += [f"  {name:<16} {summary}" for name, summary in NAMES.items()]
    lines += ["forms (--form NAME):"]
    lines += [f"  {name:<16} {summary}" for name, summary in FORMS.items()]
    own: dict[str, list[str]] = {}
    for name, kind in KINDS.items():
        own.setdefault(kind.protocol, []).append(name)
    lines += [f"without --protocol: {protocol} for {', '.join(names)}" for protocol, names in own.items()]
    lines += ["lpt-eval tasks NAME shows how one of them is asked, to the word"]
    return "\n".join(lines) + "\n"


def shown(task: str, name: str | None, form: Form) -> str:
    """How a task is asked, to the word.

    Args:
        task: Its name.
        name: Of the protocol; the task's own without it.
        form: The form.

    Raises:
        ConfigError: There is no such task, protocol or form.
    """
    protocol = preset(name or kind_of(task).protocol, form, task)
    told = {
        "protocol": f"{protocol.name}, {protocol.form} ({protocol.fingerprint[:12]})",
        "sampling": sampling(protocol),
        "images": "none" if protocol.pixels is None else protocol.pixels.label,
        "answer": READINGS[protocol.reading],
    }
    lines = [f"{task}", *(f"  {what:<10}{said}" for what, said in told.items())]
    for what, text in (("system prompt", protocol.system or "none"), ("user", protocol.template)):
        lines += ["", f"{what}:", *(f"  {line}" for line in text.splitlines())]
    return "\n".join(lines) + "\n"


def sampling(protocol: Protocol) -> str:
    """How answers are drawn, in a line."""
    fields = [name for name in Sampling.model_fields if name not in ("stop", "bad_words")]
    drawn = {name: getattr(protocol.sampling, name) for name in fields}
    told = [f"{name} {value:g}" for name, value in drawn.items() if value is not None]
    return ", ".join(told + ([] if protocol.seed is None else [f"seed {protocol.seed}"]))
