"""Requests to bytes, and bytes to answers: the JSON of OpenAI's API and of those that speak it."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

from lpt_core import ConfigError, ImageRef, Message, Sampling, TextPart
from lpt_synth.config import OpenAIEndpoint
from lpt_synth.types import Request

RESERVED = ("messages", "prompt", "model", "n", "seed", "stream", *Sampling.model_fields)
"""What ``extra_body`` may not set: it belongs to a request's identity, or to the engine's accounts."""

OPTIONAL = ("seed", "top_k", "repetition_penalty", "bad_words", "response_format", "add_special_tokens")
"""Fields that are left out for an endpoint that refuses them."""

_REFUSES = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|not (permitted|allowed|recogni[sz]ed|available)|"
    r"unexpected|extra|cannot find|additional propert|unavailable|invalid (parameter|argument|field)"
)
_REFUSES_N = re.compile(
    r"[\"'`]n[\"'`]|\bn\b\s*(must|should|is|=|>|:|cannot)|\bbody\.n\b|"
    r"(one|single) (completion )?choice|multiple (choices|completions)"
)


def check_extra_body(endpoint: OpenAIEndpoint) -> None:
    """See that ``extra_body`` can be sent, and sets nothing that is set elsewhere.

    Raises:
        ConfigError: It cannot, or it does: then the answers would be stored under a key that does not tell
            how they were made.
    """
    extra = endpoint.extra_body
    if taken := sorted(extra.keys() & set(RESERVED)):
        raise ConfigError(
            f"extra_body of {endpoint.model} may not set {', '.join(taken)}.",
            "set sampling in the stage's own section, where it is part of an answer's identity",
        )
    if not isinstance(extra.get("chat_template_kwargs", {}), dict):
        raise ConfigError(f"extra_body of {endpoint.model}: chat_template_kwargs is not a mapping.")
    try:
        json.dumps(extra, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"extra_body of {endpoint.model} cannot be sent as JSON: {error}.") from error


async def chat_messages(
    messages: Sequence[Message], images: Callable[[ImageRef], Awaitable[str]]
) -> list[dict[str, Any]]:
    """Messages as OpenAI's API has them, each image as the URL that ``images`` gives for it."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        parts = message.content
        if len(parts) == 1 and isinstance(parts[0], TextPart):
            turns.append({"role": message.role, "content": parts[0].text})
            continue
        content = [
            {"type": "text", "text": part.text}
            if isinstance(part, TextPart)
            else {"type": "image_url", "image_url": {"url": await images(part.image)}}
            for part in parts
        ]
        turns.append({"role": message.role, "content": content})
    return turns


def sampling_fields(request: Request, endpoint: OpenAIEndpoint, without: Collection[str]) -> dict[str, Any]:
    """The fields that say how to sample, as far as they are set and the endpoint knows them.

    Args:
        request: Whose sampling it is.
        endpoint: What it knows (``extra_sampling``, ``ban_words``, ``json_schema``).
        without: Fields that it has refused. "max_tokens" stands for its newer name to be used.
    """
    sampling = request.sampling
    limit = "max_completion_tokens" if "max_tokens" in without else "max_tokens"
    fields: list[tuple[str, Any]] = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        (limit, sampling.max_tokens),
        ("stop", sampling.stop or None),
    ]
    if endpoint.extra_sampling:
        fields.append(("top_k", sampling.top_k))
        fields.append(("repetition_penalty", sampling.repetition_penalty))
    if endpoint.ban_words:
        fields.append(("bad_words", sampling.bad_words or None))
    if endpoint.json_schema and request.response_schema is not None:
        schema = {"name": request.stage, "strict": True, "schema": dict(request.response_schema)}
        fields.append(("response_format", {"type": "json_schema", "json_schema": schema}))
    return {name: value for name, value in fields if value is not None and name not in without}


def complaint(named: str, sent: Collection[str]) -> str | None:
    """Which field that was sent a refusal complains of, among those that can be done without.

    Args:
        named: All that the refusal says, in lower case.
        sent: Names of the fields of the body that was refused.
    """
    if "max_tokens" in sent and "max_completion_tokens" in named:
        return "max_tokens"
    if "n" in sent and _REFUSES_N.search(named):
        return "n"
    if not _REFUSES.search(named):
        return None
    return next((name for name in OPTIONAL if name in sent and _names(named, name)), None)


def _names(text: str, field: str) -> bool:
    return re.search(rf"(?<!\w){field}(?!\w)", text) is not None


# ---- answers -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Choice:
    """One sample as the endpoint gave it.

    Attributes:
        content: The text, None where there was none.
        reasoning: The thought, where the server takes it out of the text; else "".
        finish_reason: "stop", "length", "content_filter", ...
    """

    content: str | None
    reasoning: str
    finish_reason: str


@dataclass(slots=True)
class Answer:
    """A body that could be read.

    Attributes:
        choices: In the order of their index; None for one that holds nothing usable.
        input_tokens: As counted by the endpoint, 0 where it does not say.
        output_tokens: As counted by the endpoint, 0 where it does not say.
        model: The name that the endpoint gives the model.
    """

    choices: tuple[Choice | None, ...]
    input_tokens: int
    output_tokens: int
    model: str


def read_answer(raw: bytes) -> Answer | str:
    """Read the body of an answer with status 2xx; a str says why it is none. Never raises."""
    if not raw or raw.isspace():
        return "the body is empty"
    try:
        body: object = json.loads(raw)
    except (ValueError, RecursionError):
        return f"the body is not JSON: {raw[:200].decode('utf-8', 'replace')}"
    if not isinstance(body, dict):
        return "the body is JSON, but no object"
    answer = cast("dict[str, Any]", body)
    choices: object = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        error: object = answer.get("error")
        return f"the body is an error: {json.dumps(error)[:400]}" if error else "the body has no choices"
    usage: object = answer.get("usage")
    counts = cast("dict[str, Any]", usage) if isinstance(usage, dict) else {}
    model: object = answer.get("model")
    return Answer(
        tuple([_choice(choice) for choice in _in_order(cast("list[object]", choices))]),
        _tokens(counts.get("prompt_tokens")),
        _tokens(counts.get("completion_tokens")),
        sound(model[:200]) if isinstance(model, str) else "",
    )


def _in_order(choices: list[object]) -> list[object]:
    if len(choices) == 1:
        return choices
    indices = [cast("dict[str, object]", c).get("index") if isinstance(c, dict) else None for c in choices]
    if any(type(index) is not int for index in indices):
        return choices
    return [choice for _, choice in sorted(enumerate(choices), key=lambda at: cast(int, indices[at[0]]))]


def _choice(choice: object) -> Choice | None:
    """A choice of either API, or None where it holds neither text nor a reason for having none."""
    if not isinstance(choice, dict):
        return None
    fields = cast("dict[str, Any]", choice)
    reason: object = fields.get("finish_reason")
    finish_reason = reason[:40] if isinstance(reason, str) else "stop"
    if finish_reason == "error":
        return None  # OpenRouter: the upstream broke off
    if isinstance(fields.get("text"), str):
        return Choice(sound(fields["text"]), "", finish_reason)
    message: object = fields.get("message")
    if not isinstance(message, dict):
        return None
    content, reasoning = _texts(cast("dict[str, Any]", message))
    if content is None and not reasoning and finish_reason not in ("length", "content_filter"):
        return None
    return Choice(content, reasoning, finish_reason)


def _texts(message: dict[str, Any]) -> tuple[str | None, str]:
    """Content and reasoning of a message."""
    content: object = message.get("content")
    reasoning = next(
        (message[name] for name in ("reasoning", "reasoning_content") if isinstance(message.get(name), str)),
        "",
    )
    if isinstance(content, list):
        # Mistral's reasoning models answer in parts.
        parts = [cast("dict[str, Any]", p) for p in cast("list[object]", content) if isinstance(p, dict)]
        reasoning = reasoning or "".join(_part(part, "thinking") for part in parts)
        content = "".join(_part(part, "text") for part in parts)
    if not isinstance(content, str):
        refusal: object = message.get("refusal")
        content = refusal if isinstance(refusal, str) else None
    return (None if content is None else sound(content)), sound(reasoning)


def _part(part: dict[str, Any], kind: str) -> str:
    inner: object = part.get(kind) if part.get("type") == kind else None
    if isinstance(inner, list):
        pieces = [cast("dict[str, Any]", p) for p in cast("list[object]", inner) if isinstance(p, dict)]
        inner = "".join(_part(piece, "text") for piece in pieces)
    return inner if isinstance(inner, str) else ""


def _tokens(value: object) -> int:
    return value if type(value) is int and 0 <= value < 2**53 else 0


def sound(text: str) -> str:
    """The text, with half surrogate pairs, which no UTF-8 file can hold, replaced."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
