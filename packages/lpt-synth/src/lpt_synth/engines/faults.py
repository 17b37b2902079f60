"""What can go wrong with one attempt, and in whose words it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import aiohttp

from lpt_synth.types import FailureKind

MESSAGE_LENGTH = 500
"""Characters that are kept of an endpoint's own words."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TOKEN = re.compile(r"(?i:bearer)\s+[^\s\"',;]{8,}|\bsk-[^\s\"',;]{4,}")
_MODERATED = re.compile(r"moderat|flagged|content[ _]policy|content[ _]filter", re.IGNORECASE)
_NO_CREDIT = re.compile(r"insufficient_quota|exceeded your current quota|insufficient (balance|credit)", re.I)


@dataclass(frozen=True, slots=True)
class Fault:
    """What became of an attempt that brought no answer.

    Attributes:
        kind: As a failure's.
        message: In the endpoint's own words, shortened, secrets removed.
        status: HTTP status, where there was one.
        retry: It may pass if it is tried again.
        stop: No request to this endpoint will pass; the run must stop.
        throttled: The endpoint says that it has too much to do.
        unreachable: Nobody was there to look at the request (no connection, or a gateway's 502 to 504).
        retry_after: Seconds that the endpoint asked to wait.
        named: What a refusal says of single fields, in lower case, for ``wire.complaint``.
    """

    kind: FailureKind
    message: str
    status: int | None = None
    retry: bool = True
    stop: bool = False
    throttled: bool = False
    unreachable: bool = False
    retry_after: float = 0.0
    named: str = ""


class Redactor:
    """Makes text fit to be shown and stored: no secrets, no control characters, not too long."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "Redactor()"

    def __call__(self, text: str, length: int = MESSAGE_LENGTH) -> str:
        """The text without the key, without what looks like one, in one line of at most ``length``."""
        # Longer than any message is worth reading, so that a page of HTML costs nothing.
        text = _CONTROL.sub(" ", text[: 20 * length])
        if self._secret:
            text = text.replace(self._secret, "***")
        text = " ".join(_TOKEN.sub("***", text).split())
        return text if len(text) <= length else text[: length - 1] + "…"


def of_status(status: int, raw: bytes, retry_after: float, redact: Redactor) -> Fault:
    """The fault that an answer with this status other than 2xx is."""
    words, named = error_words(raw)
    message = redact(words) or f"HTTP {status} without a reason"
    if status == 429 or status == 529:
        # OpenAI says 429 also to an account that has nothing left, which no waiting mends.
        spent = bool(_NO_CREDIT.search(named))
        return Fault(
            "throttled", message, status, retry=not spent, stop=spent, throttled=True, retry_after=retry_after
        )
    if status >= 500:
        gateway = status in (502, 503, 504)
        return Fault(
            "server",
            message,
            status,
            throttled=status == 503,
            unreachable=gateway,
            retry_after=retry_after,
        )
    if status in (408, 409, 425):
        kind: FailureKind = "timeout" if status == 408 else "server"
        return Fault(kind, message, status, retry_after=retry_after)
    stop = status in (401, 402, 403, 404, 405) or status < 400
    if status == 403 and _MODERATED.search(named):
        stop = False  # OpenRouter's way to refuse one prompt
    return Fault("refused", message, status, retry=False, stop=stop, named=named)


def of_exception(error: Exception, timeout_s: float, redact: Redactor) -> Fault:
    """The fault that an exception of aiohttp's is."""
    # Never repr(): of a ClientResponseError it shows the request's headers, and with them the key.
    words = redact(str(error)) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Fault("connection", words, retry=False, stop=True)
    if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError):
        return Fault("connection", words, unreachable=True)
    if isinstance(error, TimeoutError):
        return Fault("timeout", f"no answer within {timeout_s:g} s")
    return Fault("connection", words)


def error_words(raw: bytes) -> tuple[str, str]:
    """What an error's body says: for people, and all of it in lower case, the fields it names included.

    Knows OpenAI's ``{"error": {"message", "param", "code"}}``, Google's list of one such, FastAPI's
    ``{"detail": [{"loc", "msg"}]}`` and Mistral's and vLLM's variants; anything else is taken as text.
    """
    text = raw[:20_000].decode("utf-8", "replace")
    try:
        body: object = json.loads(raw)
    except (ValueError, RecursionError):
        return text, text.lower()
    message = _message(body, 0)
    return message or text, f"{message or text}\n{text}".lower()


def _message(body: object, depth: int) -> str:
    """The first text in an error's body under one of the names that servers use for it."""
    if isinstance(body, str):
        return body
    if depth > 6:
        return ""
    if isinstance(body, list):
        return "; ".join(filter(None, (_message(one, depth + 1) for one in cast("list[object]", body)[:5])))
    if not isinstance(body, Mapping):
        return ""
    error = cast("Mapping[str, Any]", body)
    if isinstance(error.get("msg"), str):
        loc: object = error.get("loc")
        where = ".".join(map(str, cast("list[object]", loc))) if isinstance(loc, list) else ""
        return f"{where}: {error['msg']}" if where else error["msg"]
    names = ("error", "message", "detail", "errors", "reason")
    return next(filter(None, (_message(error.get(name), depth + 1) for name in names)), "")
