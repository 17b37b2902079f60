"""Stage 3, Think harder: the reasoning model, which sees the caption, goes on from a short thought."""

from __future__ import annotations

import re

from lpt_core import MCQ, Caption, Message, Presentation, Segment, Trace, Verdict, derived_int, verify
from lpt_synth.config import ExpandConfig
from lpt_synth.stages.base import has_tags, provenance, resolve_prompt
from lpt_synth.stages.think import THINK
from lpt_synth.types import NOT_CONTINUED, Completion, LongNode, Model, Request

_THINK_END = re.compile(r"</think\s*>", re.IGNORECASE)
_SENTENCE_ENDS = (".", "!", "?", "…", ":", ";", ",", "。", "！", "？")


class ExpandStage:
    """Builds the expander's requests and reads its continuations."""

    def __init__(self, config: ExpandConfig, model: Model, seed: int) -> None:
        self.config = config
        self.model = model
        self.seed = seed
        self.banned = Banned(config.banned_words)
        self.prompt = resolve_prompt(
            config.prompt, frozenset({"caption", "question", "options", "answer_style"})
        )

    def cue(self, thought: str, short_id: str) -> str:
        """What joins a thought to its continuation: a full stop where it lacks one, a break, the cue.

        Drawn from the short trace's id and the seed, so that a thought has the same cue in any run.
        """
        cues, breaks = self.config.cues, self.config.breaks
        cue = cues[derived_int(self.seed, short_id, "cue") % len(cues)]
        space = breaks[derived_int(self.seed, short_id, "break") % len(breaks)]
        stop = "" if thought.endswith(_SENTENCE_ENDS) else "."
        return f"{stop}{space}{cue}"

    def wants(self, short: Trace) -> bool:
        """Whether this short thought is to be continued."""
        if short.verdict.status != "found":
            return False
        return self.config.of == "all" or short.verdict.correct == (self.config.of == "right")

    def user_text(self, caption: Caption, mcq: MCQ, presentation: Presentation) -> str:
        """The user's turn; the same for all thoughts of a question, so that prefix caches serve it."""
        return self.prompt.render(
            caption=caption.text,
            question=mcq.question,
            options=presentation.render_options(mcq),
            answer_style=presentation.answer_style,
        )

    def request(self, short: Trace, user_text: str) -> Request:
        """Ask for n continuations of a thought; the thought is sent exactly as it is stored."""
        return Request.make(
            stage="expand",
            role="expander",
            item=short.id,
            messages=(Message.of("user", user_text),),
            sampling=self.config.sampling.model_copy(update={"bad_words": self.config.banned_words}),
            n=self.config.n,
            prompt=self.prompt.fingerprint,
            model=self.model,
            prefill=f"{THINK} {short.thought}{self.cue(short.thought, short.id)}",
        )

    def read(self, mcq: MCQ, short: Trace, request: Request, sample: int, completion: Completion) -> LongNode:
        """The whole thought, its answer and its verdict.

        ``dropped``: not_continued (the engine saw that it does not follow from the thought),
        tags_in_thought (it began anew later), empty_continuation, banned_words.
        """
        if completion.finish_reason == NOT_CONTINUED:
            verdict = Verdict(status="missing")
        else:
            _, verdict = verify(request.prefill + completion.text, mcq, short.presentation)
        cue = request.prefill[len(THINK) + 1 + len(short.thought) :]
        ends = list(_THINK_END.finditer(completion.text))
        end = ends[-1] if ends else None
        added = completion.text[: end.start()] if end else completion.text
        tail = completion.text[end.end() :].strip() if end else ""
        trace = Trace.make(
            caption_id=mcq.caption_id,
            presentation=short.presentation,
            segments=(
                short.segments[0],
                Segment(kind="cue", text=cue),
                Segment(kind="continuation", text=added.rstrip(), provenance=provenance(request, sample)),
            ),
            answer=tail,
            verdict=verdict,
            parent=short.id,
        )
        if completion.finish_reason == NOT_CONTINUED:
            return LongNode(trace, "not_continued")
        return LongNode(trace, self._dropped(added) if verdict.status == "found" else None)

    def _dropped(self, added: str) -> str | None:
        if not added.strip():
            return "empty_continuation"
        if has_tags(added):
            return "tags_in_thought"
        return "banned_words" if self.banned.found_in(added) else None


class Banned:
    """Words or phrases, sought as whole words, whatever their case and the spaces between them."""

    def __init__(self, words: tuple[str, ...]) -> None:
        parted = [word.split() for word in words if word.strip()]
        self._firsts = tuple({parts[0].lower() for parts in parted})
        forms = "|".join(r"\s+".join(map(re.escape, parts)) for parts in parted)
        self._pattern = re.compile(rf"(?<!\w)(?:{forms})(?!\w)", re.IGNORECASE)

    def found_in(self, text: str) -> bool:
        """Whether the text has any of them."""
        # Most texts hold none even as a substring, which is told ten times faster.
        lower = text.lower()
        return any(first in lower for first in self._firsts) and self._pattern.search(text) is not None
