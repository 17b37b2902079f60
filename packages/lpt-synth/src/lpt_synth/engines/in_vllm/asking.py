"""What is asked of the process, and how its answers read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lpt_core import ImagePart, derived_int
from lpt_synth.engines.in_vllm.host import Host
from lpt_synth.types import Completion, Failure, Outcome, Request


class DiedError(Exception):
    """The process that was asked has ended; nothing came of the request."""


@dataclass(slots=True, eq=False)
class Copy:
    """One copy of the model.

    Attributes:
        host: Its process.
        last: Key of what went there last.
        under_way: Samples that it has.
    """

    host: Host
    last: str = ""
    under_way: int = 0


@dataclass(slots=True, eq=False)
class Ask:
    """Samples of a request that are drawn together.

    Attributes:
        size: How many.
        place: Gets the copy that they are to be asked of.
    """

    size: int
    place: asyncio.Future[Copy]


async def answer_of(host: Host, asked: dict[str, Any]) -> tuple[Any, ...]:
    """What the process makes of it. Cancelled, it is taken back.

    Raises:
        DiedError: The process has ended.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Any, ...]] = loop.create_future()

    def settle(message: tuple[Any, ...]) -> None:
        if future.done():
            return
        if message[0] == "dead":
            future.set_exception(DiedError(message[1]))
        else:
            future.set_result(message)

    def tell(message: tuple[Any, ...]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, message)

    number = host.ask(asked, tell)
    try:
        return await future
    finally:
        if future.cancelled():
            host.abort(number)


def asked_of(request: Request, run: tuple[int, ...], urls: list[str]) -> dict[str, Any]:
    """Neighbouring samples of a request as the process reads them: plain data."""
    messages = [
        (
            message.role,
            [
                {"type": "image"} if isinstance(part, ImagePart) else {"type": "text", "text": part.text}
                for part in message.content
            ],
        )
        for message in request.messages
    ]
    return {
        "messages": messages,
        "images": urls,
        "prefill": request.prefill,
        "sampling": request.sampling.model_dump(mode="json", exclude_none=True),
        "schema": None if request.response_schema is None else dict(request.response_schema),
        "n": len(run),
        "seed": derived_int(0, request.key, bits=48) + run[0],
    }


def runs_of(samples: Sequence[int]) -> list[tuple[int, ...]]:
    """Numbers of samples, parted into runs of neighbours: vLLM gives sample i of a request the seed + i."""
    runs: list[tuple[int, ...]] = []
    for sample in sorted(set(samples)):
        if runs and runs[-1][-1] == sample - 1:
            runs[-1] = (*runs[-1], sample)
        else:
            runs.append((sample,))
    return runs


def outcomes_of(message: tuple[Any, ...], count: int) -> list[Outcome]:
    """One outcome for each sample."""
    if message[0] == "refused":
        return [Failure("refused", message[2])] * count
    return [
        Failure("server", f"vLLM ended a sample with {reason!r}")
        if reason in ("abort", "error")
        else Completion(text, reason)
        for text, reason, _ in message[2]
    ]
