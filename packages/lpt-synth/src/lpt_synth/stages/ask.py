"""Stage 1, Ask: multiple-choice questions from a dense caption (paper, section on question generation)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from lpt_core import (
    MCQ,
    Caption,
    Message,
    ParsedOptions,
    Problem,
    check_options,
    normal_text,
    parse_options,
    read_choice,
)
from lpt_synth.config import AskConfig
from lpt_synth.stages.base import provenance, resolve_prompt
from lpt_synth.types import Completion, Model, Request

MCQ_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["questions"],
    "properties": {
        "questions": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["question", "choices", "answer", "type"],
                "properties": {
                    "question": {"type": "string"},
                    "choices": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 10},
                    "answer": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        }
    },
}
# Words that two wordings of one question may differ in.
_EMPTY_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the is are was were be does do did of in on at to this that these those there here what "
        "which image picture photo scene shown seen visible can you see",
    )
)
_CHUNK = re.compile(r"<question\s*>", re.IGNORECASE)
_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A question as it was written."""

    question: str
    options: ParsedOptions
    answer: str
    kind: str


@dataclass(slots=True)
class AskReading:
    """What an answer of the asker reads as.

    Attributes:
        mcqs: The sound questions, in their order.
        rejected: Why each of the others is none, by kind.
        readable: The form was kept; where it was not, a second call may reformat it.
    """

    mcqs: list[MCQ] = field(default_factory=list[MCQ])
    rejected: list[Problem] = field(default_factory=list[Problem])
    readable: bool = True


class AskStage:
    """Builds the asker's requests and reads its answers."""

    def __init__(self, config: AskConfig, model: Model, *, json_schema: bool) -> None:
        self.config = config
        self.model = model
        self.schema = MCQ_SCHEMA if json_schema else None
        name = "ask_json.v1" if json_schema and config.prompt == "ask.v1" else config.prompt
        self.prompt = resolve_prompt(name, frozenset({"caption"}))
        self.reformat_prompt = resolve_prompt(config.reformat_prompt, frozenset({"text"}))

    def request(self, caption: Caption) -> Request:
        """Ask for questions about a caption."""
        return Request.make(
            stage="ask",
            role="asker",
            item=caption.id,
            messages=(Message.of("user", self.prompt.render(caption=caption.text)),),
            sampling=self.config.sampling,
            n=1,
            prompt=self.prompt.fingerprint,
            model=self.model,
            response_schema=self.schema,
        )

    def reformat_request(self, caption: Caption, text: str) -> Request:
        """Ask to bring an answer into form (the paper does so with each; we with those that need it)."""
        return Request.make(
            stage="reformat",
            role="asker",
            item=caption.id,
            messages=(Message.of("user", self.reformat_prompt.render(text=text)),),
            sampling=self.config.reformat_sampling,
            n=1,
            prompt=self.reformat_prompt.fingerprint,
            model=self.model,
        )

    def read(self, caption: Caption, request: Request, completion: Completion) -> AskReading:
        """The questions in an answer: exactly one gold, distinct options, no near-duplicates."""
        drafts = _drafts(completion.text)
        reading = AskReading(readable=bool(drafts))
        if not drafts:
            reading.rejected.append(Problem("unreadable", "no question in the form that was asked for"))
        cut = completion.finish_reason == "length"
        for place, draft in enumerate(drafts):
            if isinstance(draft, Problem):
                last = cut and place == len(drafts) - 1
                reading.rejected.append(Problem("truncated", draft.message) if last else draft)
                reading.readable &= last
                continue
            made = self._checked(caption, draft, request)
            if isinstance(made, MCQ) and (twin := self._twin(made, reading.mcqs)) is not None:
                made = Problem("near_duplicate", f"{made.question!r} asks what {twin.question!r} asks")
            if isinstance(made, Problem):
                reading.rejected.append(made)
            elif self.config.max_questions and len(reading.mcqs) >= self.config.max_questions:
                reading.rejected.append(Problem("over_max_questions", made.question))
            else:
                reading.mcqs.append(made)
        return reading

    def _checked(self, caption: Caption, draft: _Draft, request: Request) -> MCQ | Problem:
        options = draft.options.options
        if draft.options.problems:
            return draft.options.problems[0]
        if self.config.options is not None and len(options) != self.config.options:
            return Problem("option_count", f"{len(options)} options, not {self.config.options}")
        choice = read_choice(draft.answer, options)
        if choice.option is None:
            return Problem(f"gold_{choice.status}", f"the answer {draft.answer[:80]!r} names no one option")
        return MCQ.make(
            caption_id=caption.id,
            question=draft.question,
            options=options,
            gold=choice.option,
            kind=draft.kind or None,
            provenance=provenance(request, 0),
        )

    def _twin(self, mcq: MCQ, before: Iterable[MCQ]) -> MCQ | None:
        """An earlier question with the same answer and (nearly) the same telling words."""
        mine = _telling_words(mcq.question)
        for other in before:
            if normal_text(mcq.gold_text) != normal_text(other.gold_text):
                continue
            theirs = _telling_words(other.question)
            shared = len(mine & theirs) / max(len(mine | theirs), 1)
            if shared >= self.config.near_duplicate or mine == theirs:
                return other
        return None


def _telling_words(question: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", normal_text(question))) - _EMPTY_WORDS


def _drafts(text: str) -> list[_Draft | Problem]:
    """Read tagged questions, or a JSON object or list of them."""
    chunks = _CHUNK.split(text)[1:]
    if chunks:
        return [_tagged(chunk) for chunk in chunks]
    return [_from_json(entry) for entry in _json_entries(text)]


def _tagged(chunk: str) -> _Draft | Problem:
    question = _field(chunk, "question", opened=True)
    choices, answer = _field(chunk, "choices"), _field(chunk, "answer")
    for name, value in (("question", question), ("choices", choices), ("answer", answer)):
        if not value:
            return Problem(f"no_{name}", f"<{name}> is missing or empty in {chunk[:80]!r}")
    return _Draft(_one_line(question), parse_options(choices), answer, _one_line(_field(chunk, "type"))[:60])


def _field(chunk: str, name: str, *, opened: bool = False) -> str:
    """The text of a tag up to its end tag, or up to the next tag where that was forgotten."""
    start = "" if opened else rf"<{name}\s*>"
    match = re.search(rf"{start}(.*?)(?:</\s*{name}\s*>|<(?:choices|answer|type)\s*>|\Z)", chunk, _FLAGS)
    return match.group(1).strip() if match else ""


_FLAGS = re.IGNORECASE | re.DOTALL


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _json_entries(text: str) -> list[object]:
    fenced = _FENCE.search(text)
    try:
        data: object = json.loads(fenced.group(1) if fenced else text.strip())
        # JSON can say half a surrogate pair, which no file of ours could hold.
        data = json.loads(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return []
    if isinstance(data, dict):
        data = cast("dict[str, object]", data).get("questions")
    return cast("list[object]", data) if isinstance(data, list) else []


def _from_json(entry: object) -> _Draft | Problem:
    if not isinstance(entry, dict):
        return Problem("not_a_question", "an entry of the JSON list is no object")
    values = cast("dict[str, object]", entry)
    question, choices, answer = values.get("question"), values.get("choices"), values.get("answer")
    if not isinstance(question, str) or not question.strip():
        return Problem("no_question", "question is missing or no text")
    if not isinstance(answer, str) or not answer.strip():
        return Problem("no_answer", "answer is missing or no text")
    if not isinstance(choices, list) or not choices:
        return Problem("no_choices", "choices is missing or no list")
    kind = values.get("type")
    kind = _one_line(kind)[:60] if isinstance(kind, str) else ""
    return _Draft(_one_line(question), _listed(cast("list[object]", choices)), answer.strip(), kind)


def _listed(choices: list[object]) -> ParsedOptions:
    """Options given as a list, with or without letters of their own."""
    if not all(isinstance(choice, str) for choice in choices):
        return ParsedOptions(problems=(Problem("options_unreadable", "a choice is no text"),))
    texts = [_one_line(cast(str, choice)) for choice in choices]
    labelled = [re.fullmatch(rf"\(?{'ABCDEFGHIJ'[i : i + 1]}[).:]\s*(.+)", t) for i, t in enumerate(texts)]
    if all(labelled) and len(texts) <= 10:
        texts = [match.group(1) for match in labelled if match]
    return check_options(texts)
