"""Stage 2, Think: short thoughts of the VLM about a question, with the image."""

from __future__ import annotations

from lpt_core import MCQ, Caption, Message, Presentation, Segment, Trace, verify
from lpt_synth.config import ThinkConfig
from lpt_synth.stages.base import has_tags, provenance, resolve_prompt
from lpt_synth.types import Completion, Model, Request, ShortNode

THINK = "<think>"


class ThinkStage:
    """Builds the thinker's requests and reads its answers."""

    def __init__(self, config: ThinkConfig, model: Model, seed: int) -> None:
        self.config = config
        self.model = model
        self.seed = seed
        self.system = resolve_prompt(config.system_prompt, frozenset())
        self.question = resolve_prompt(
            config.question_prompt, frozenset({"question", "options", "answer_style"})
        )
        self._system_message = Message.of("system", self.system.render())

    def present(self, mcq: MCQ) -> Presentation:
        """How the question is shown, to every model and in every training example."""
        return Presentation.derive(
            mcq,
            self.seed,
            shuffle=self.config.shuffle_options,
            option_styles=self.config.option_styles,
            answer_styles=self.config.answer_styles,
        )

    def messages(self, caption: Caption, mcq: MCQ, presentation: Presentation) -> tuple[Message, ...]:
        """System prompt and question, with the image: also the prompt of training examples."""
        text = self.question.render(
            question=mcq.question,
            options=presentation.render_options(mcq),
            answer_style=presentation.answer_style,
        )
        return (self._system_message, Message.of("user", text, caption.image))

    def request(self, mcq: MCQ, messages: tuple[Message, ...]) -> Request:
        """Ask for n thoughts about a question."""
        return Request.make(
            stage="think",
            role="thinker",
            item=mcq.id,
            messages=messages,
            sampling=self.config.sampling,
            n=self.config.n,
            prompt=self.question.fingerprint,
            model=self.model,
            prefill=THINK if self.config.prefill else "",
            pixels=self.config.pixels.label,
        )

    def read(
        self, mcq: MCQ, presentation: Presentation, request: Request, sample: int, completion: Completion
    ) -> ShortNode:
        """The thought, its answer and its verdict. ``dropped``: no_thought, tags_in_thought."""
        text = completion.text
        if request.prefill and not text.lstrip().lower().startswith(THINK):
            text = request.prefill + text
        answer, verdict = verify(text, mcq, presentation)
        trace = Trace.make(
            caption_id=mcq.caption_id,
            presentation=presentation,
            segments=(
                Segment(kind="thought", text=answer.thought or "", provenance=provenance(request, sample)),
            ),
            answer=answer.tail,
            verdict=verdict,
        )
        dropped = None
        if not answer.thought:
            dropped = "no_thought"
        elif has_tags(answer.thought):
            dropped = "tags_in_thought"
        return ShortNode(trace, dropped if verdict.status == "found" else None)
