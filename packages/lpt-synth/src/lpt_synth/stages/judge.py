"""The optional judge: does a continuation support the gold answer? No verdict, no example."""

from __future__ import annotations

import re
from typing import Literal

from lpt_core import MCQ, Message, Trace
from lpt_synth.config import JudgeConfig
from lpt_synth.stages.base import resolve_prompt
from lpt_synth.types import Completion, Model, Request

_VERDICT = re.compile(r"<verdict\s*>\s*(yes|no)\b[^<]*</verdict\s*>", re.IGNORECASE)


class JudgeStage:
    """Builds the judge's requests and reads its verdicts."""

    def __init__(self, config: JudgeConfig, model: Model) -> None:
        self.config = config
        self.model = model
        self.prompt = resolve_prompt(config.prompt, frozenset({"question", "options", "gold", "reflection"}))

    def wants(self, short: Trace, long: Trace) -> bool:
        """Whether this continuation is to be judged."""
        if not long.verdict.correct:
            return False
        return self.config.of == "all" or not short.verdict.correct

    def request(self, mcq: MCQ, long: Trace) -> Request:
        """Ask for one verdict. The judge sees what was added, whole."""
        added = "".join(segment.text for segment in long.segments[1:]).strip()
        options = long.presentation.render_options(mcq)
        return Request.make(
            stage="judge",
            role="judge",
            item=long.id,
            messages=(
                Message.of(
                    "user",
                    self.prompt.render(
                        question=mcq.question, options=options, gold=mcq.gold_text, reflection=added
                    ),
                ),
            ),
            sampling=self.config.sampling,
            n=1,
            prompt=self.prompt.fingerprint,
            model=self.model,
        )

    def read(self, completion: Completion) -> Literal["yes", "no", "unreadable"]:
        """The last verdict that was written."""
        found = _VERDICT.findall(completion.text)
        return "unreadable" if not found else "yes" if found[-1].lower() == "yes" else "no"
