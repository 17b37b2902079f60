"""Stable ids from content: canonical JSON, hashed.

The same content gives the same id on any machine, in any process and in any order of work. What belongs
to a request's identity, and what does not, stands in one table here, because a field on the wrong side
of it either pays twice for an answer or returns a stale one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

FINGERPRINT_VERSION = 1
"""Goes into every fingerprint; raised when the canonical form changes, which renames every id."""

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

IDENTITY: Mapping[str, str] = {
    "stage": "which stage asks",
    "messages": "every message as rendered, images by the digest of their pixels' file and the pixel policy",
    "prefill": "the beginning of the answer that the model is to continue",
    "sampling": "temperature, top_p, top_k, repetition penalty, token limit, stop and banned words",
    "response_schema": "the JSON schema that the answer must have",
    "model": "the model's name",
    "revision": "the model's revision",
}
"""The parts of a request that change what is answered, and why: these make its key."""

NOT_IDENTITY: Mapping[str, str] = {
    "base_url": "the same model on another host is the same model",
    "api_key_env": "a secret's name or value has no part in an answer",
    "concurrency": "how many requests travel at once",
    "timeout": "how long an answer may take",
    "price": "what an answer costs",
    "n": "how many samples travel in one request; samples are numbered and stored singly",
    "seed": "derived from the key and the sample's number",
    "continuation": "by which mechanism the endpoint is made to go on from the prefill",
}
"""What is left out of a request's key, and why."""


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical_json(value: Json) -> bytes:
    """Encode JSON data in its one canonical form: sorted keys, no spaces, UTF-8, no NaN.

    Raises:
        ValueError: ``value`` holds NaN or an infinity.
        TypeError: ``value`` holds something that JSON cannot say.
    """
    text = _encode(value)
    # A lone surrogate can stand in a JSON string that a model's server sent; it must not end a run.
    return text.encode("utf-8", "surrogatepass")


def fingerprint(kind: str, value: Json) -> str:
    """The id of ``value`` as a thing of some ``kind``: 32 hexadecimal digits (128 bits of BLAKE2b).

    Args:
        kind: What is being named ("mcq", "request"); equal content of two kinds has two ids.
        value: JSON data.
    """
    digest = hashlib.blake2b(digest_size=16, person=f"lpt{FINGERPRINT_VERSION}".encode())
    digest.update(kind.encode() + b"\0")
    digest.update(canonical_json(value))
    return digest.hexdigest()


def uniform(seed: int, *parts: str | int) -> float:
    """A number in (0, 1) that depends on ``seed`` and ``parts`` alone.

    Draws made so do not depend on the order of rows, on other rows, or on a global random state, which
    lets a subset of a run make the same choices as the whole.
    """
    # 52 bits and a half fit a float exactly; with 53 the largest would round to 1.
    return (derived_int(seed, *parts, bits=52) + 0.5) / 2.0**52


def derived_int(seed: int, *parts: str | int, bits: int = 53) -> int:
    """A non-negative integer below ``2**bits`` (``bits`` <= 64) that depends on the arguments alone."""
    text = "\0".join((str(seed), *map(str, parts)))
    raw = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "big") >> (64 - bits)
