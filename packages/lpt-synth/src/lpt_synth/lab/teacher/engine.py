"""The engine of the simulated teacher: plays asker and expander, in the process, by reading the caption.

It stands in for the frontier models that a real run asks, so that the whole pipeline can be run, tested
and shown without one. What it says is drawn from the endpoint's seed, the request's key and the sample's
number alone. It writes no better for a better prompt, and it looks at nothing: only captions of the lab's
own pictures are understood, and for all others it stops the run.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from lpt_core import EndpointError, derived_int
from lpt_synth.endpoints import LabTeacherEndpoint
from lpt_synth.lab.captions import OPENINGS
from lpt_synth.lab.teacher.asking import ask, reformat
from lpt_synth.lab.teacher.reading import Asked, caption_in, read_asked
from lpt_synth.lab.teacher.thoughts import continuation
from lpt_synth.types import Completion, Failure, Outcome, Reply, Request

if TYPE_CHECKING:
    from lpt_synth.engines.openai import Commit

MODE = "simulated"
"""How a prefill is continued."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
# The continuations of all thoughts about one question have one prompt.
_read_asked = lru_cache(maxsize=64)(read_asked)


class TeacherEngine:
    """Answers as an asker and an expander would.

    Banned words and temperatures have no effect. Tokens are counted as words and punctuation marks, about
    three quarters of what a tokenizer would count; the limit of ``max_tokens`` is kept in these.

    Args:
        endpoint: Its seed and its rates.
        commit: Awaited for every answer before ``complete`` returns.
    """

    name = "lab_teacher"

    def __init__(self, endpoint: LabTeacherEndpoint, *, commit: Commit | None = None) -> None:
        self.endpoint = endpoint
        self._commit = commit

    def __repr__(self) -> str:
        return f"TeacherEngine({self.endpoint.model!r}, seed={self.endpoint.seed})"

    async def open(self) -> None:
        """Nothing has to be made ready."""

    async def close(self) -> None:
        """Nothing is held."""

    async def complete(self, request: Request, samples: Sequence[int]) -> Reply:
        """Answer the samples with these numbers; see ``Engine.complete``.

        A question that is none of this world's about the caption's scene is a failure of kind "refused".

        Raises:
            EndpointError: The prompt holds no caption of this world, or another role is asked.
        """
        text = "\n".join(message.text for message in request.messages)
        outcomes = tuple(self._outcome(request, text, sample) for sample in samples)
        written = [outcome.text for outcome in outcomes if isinstance(outcome, Completion)]
        reply = Reply(
            outcomes,
            input_tokens=_tokens(text) + _tokens(request.prefill),
            output_tokens=sum(map(_tokens, written)),
            mode=MODE if request.prefill else "",
            model=self.endpoint.model,
        )
        if self._commit is not None:
            await self._commit(request, samples, reply)
        return reply

    def _outcome(self, request: Request, text: str, sample: int) -> Outcome:
        draw = random.Random(derived_int(self.endpoint.seed, "lab-teacher", request.key, sample))
        if request.stage == "ask":
            return _cut(Completion(self._ask(request, text, draw)), request)
        if request.stage == "reformat":
            return _cut(Completion(reformat(text)), request)
        if request.stage == "expand":
            asked = _read_asked(text)
            if asked is None:
                if caption_in(text) is None:
                    raise self._foreign(request, text)
                return Failure("refused", "the simulated teacher knows no such question about this scene")
            return _cut(self._expand(asked, request.prefill, draw), request)
        raise EndpointError(
            f"the simulated teacher ({self.endpoint.model}) cannot be the {request.role}: it reads captions, "
            "and sees and judges nothing.",
            f"give endpoints.{request.role} another engine: transformers or openai",
        )

    def _ask(self, request: Request, text: str, draw: random.Random) -> str:
        described = caption_in(text)
        if described is None:
            raise self._foreign(request, text)
        # The prompt for JSON shows the key; endpoints that know schemas are sent one.
        as_json = request.response_schema is not None or '"questions"' in text
        return ask(described, draw, malformed=self.endpoint.malformed, as_json=as_json)

    def _expand(self, asked: Asked, prefill: str, draw: random.Random) -> Completion:
        fate = draw.random()
        breaks_off = fate < self.endpoint.breaks_off
        lapse = not breaks_off and fate < self.endpoint.breaks_off + self.endpoint.lapse
        text = continuation(asked, prefill, draw, lapse=lapse)
        if not breaks_off:
            return Completion(text)
        ends = [match.end() for match in _TOKEN.finditer(text[: text.index(" </think>")])]
        return Completion(text[: draw.choice(ends[len(ends) // 2 : -1])], "length")

    def _foreign(self, request: Request, text: str) -> EndpointError:
        edited = any(opening in text for opening in OPENINGS)
        why = (
            "begins like one of them, but its sentences do not fit together" if edited else "is none of them"
        )
        return EndpointError(
            f"the simulated teacher ({self.endpoint.model}) reads only the captions of the lab's own "
            f"pictures; what {request.item or 'this request'} sends {why}.",
            "for other captions, set endpoints.asker and endpoints.expander to an OpenAI-compatible server: "
            "docs/how-to/your-own-captions.md and docs/how-to/your-own-vllm.md",
        )


def _cut(completion: Completion, request: Request) -> Completion:
    """What of an answer is within the request's limit and before its stop texts."""
    text, reason = completion.text, completion.finish_reason
    stops = [place for stop in request.sampling.stop if stop and (place := text.find(stop)) >= 0]
    if stops:
        text, reason = text[: min(stops)], "stop"
    limit = request.sampling.max_tokens
    if limit is not None:
        for number, token in enumerate(_TOKEN.finditer(text), 1):
            if number > limit:
                return Completion(text[: token.start()].rstrip(), "length")
    return Completion(text, reason)


def _tokens(text: str) -> int:
    """Words and punctuation marks."""
    return sum(1 for _ in _TOKEN.finditer(text))
