"""What a batch's files say, and what its end means for each request in it. Nothing here raises."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from lpt_synth.engines import wire
from lpt_synth.engines.faults import Fault, Redactor, of_status

Result = wire.Answer | Fault
"""What came of one request."""


def read_results(raw: bytes, redact: Redactor) -> dict[str, wire.Answer | Fault]:
    """What a file of answers or errors holds, by ``custom_id``. Lines that are none are passed over."""
    results: dict[str, wire.Answer | Fault] = {}
    for line in raw.split(b"\n"):
        row = as_object(line)
        name = row.get("custom_id")
        if isinstance(name, str):
            results[name] = _result(row, redact)
    return results


def _result(row: Mapping[str, Any], redact: Redactor) -> wire.Answer | Fault:
    response, error = row.get("response"), row.get("error")
    if isinstance(response, dict):
        told = cast("dict[str, Any]", response)
        status, body = told.get("status_code"), json.dumps(told.get("body")).encode()
        if type(status) is int and not 200 <= status < 300:
            return of_status(status, body, 0.0, redact)
        answer = wire.read_answer(body)
        return Fault("malformed", redact(answer)) if isinstance(answer, str) else answer
    words = cast("dict[str, Any]", error) if isinstance(error, dict) else {}
    code, message = str(words.get("code") or ""), str(words.get("message") or "")
    kind = "timeout" if "expired" in code else "server"
    return Fault(kind, redact(f"{code}: {message}" if code else message or "no reason was given"))


def as_object(raw: bytes) -> dict[str, Any]:
    """A JSON object; empty where it is none."""
    try:
        body: object = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def refused_lines(
    ids: Sequence[str], refusals: Sequence[tuple[int | None, str, str]], redact: Redactor
) -> dict[str, Result]:
    """What a batch that failed because of some of its lines means for each; empty where no line is named.

    Args:
        ids: The requests, in the order of their lines.
        refusals: (line, counted from 1, or None; code; message).
        redact: Makes messages fit to be shown.
    """
    words = {line: redact(f"{code}: {said}") for line, code, said in refusals if line is not None}
    if not words:
        return {}
    results: dict[str, Result] = {}
    for line, name in enumerate(ids, start=1):
        said = words.get(line)
        if said is None:
            results[name] = Fault("server", "the batch was refused because of other requests in it")
        else:
            results[name] = Fault("refused", said, 400, retry=False, named=said.lower())
    return results
