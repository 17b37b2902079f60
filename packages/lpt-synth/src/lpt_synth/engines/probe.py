"""Finding out, with a few short requests, how an endpoint is made to go on from a begun answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from lpt_core import ConfigError
from lpt_synth.config import OpenAIEndpoint
from lpt_synth.engines.continuation import (
    SENTINEL_BEGUN,
    THINK,
    USABLE,
    Finding,
    Mode,
    ProbeMemory,
    as_mode,
    classify,
    only_opens,
    sentinel,
)
from lpt_synth.engines.faults import Fault
from lpt_synth.engines.wire import Choice
from lpt_synth.types import Request

Send = Callable[[Request, Mode | None], Awaitable[Choice | Fault]]
"""Sends a request in a mode (None: it has no prefill), and gives what came at last."""

Try = Callable[[Mode | None, str], Awaitable[Choice | Fault]]
"""Sends the sentinel in a mode (None: without a beginning), begun so, and gives what came."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found.

    Attributes:
        mode: The first mode in which the endpoint goes on; "instruct" where it does in none.
        findings: What it does in each mode that was tried.
        inconclusive: Why the probe says nothing; then ``mode`` is only the likeliest.
    """

    mode: Mode
    findings: dict[Mode, Finding]
    inconclusive: str = ""

    def __str__(self) -> str:
        if self.inconclusive:
            return (
                f"the probe for continuing a begun answer came to nothing ({self.inconclusive}); "
                f"{self.mode} is assumed, and every answer is looked at"
            )
        tried = ", ".join(f"{mode} {finding}" for mode, finding in self.findings.items())
        if self.mode == "instruct":
            return (
                f"does not go on from a begun answer ({tried}) and will be asked to in words; a server that "
                "does (vLLM, SGLang), or a chat_template for its /completions, loses fewer"
            )
        return f"a begun answer is continued by {self.mode} ({tried})"


class Modes:
    """Which mode serves a request of one endpoint: the one that is configured, or that a probe finds.

    Args:
        endpoint: Whose.
        memory: Where what was found is kept from run to run.
        notice: Is told what a person should know of it.
        send: How the probe asks.
    """

    def __init__(
        self, endpoint: OpenAIEndpoint, memory: ProbeMemory, notice: Callable[[str], None], send: Send
    ) -> None:
        self._endpoint = endpoint
        self._memory = memory
        self._notice = notice
        self._send = send
        self._mode: Mode | None = None if endpoint.prefill == "auto" else endpoint.prefill
        self._probing: asyncio.Task[Mode] | None = None

    async def of(self, request: Request) -> Mode | None:
        """The mode for this request; None where it has no prefill.

        Raises:
            ConfigError: The endpoint is configured to send no prefills, and this one matters.
        """
        if not request.prefill:
            return None
        mode = self._mode or await self._found(request)
        if mode == "completions" and request.image is not None:
            mode = "instruct"  # raw text has no place for an image
        if only_opens(request.prefill):
            return "none" if mode == "instruct" else mode
        if mode == "none":
            raise ConfigError(
                f"prefill: none of {self._endpoint.urls[0]} cannot continue a thought.",
                "prefill: auto finds out how the endpoint does",
            )
        return mode

    async def close(self) -> None:
        """Stop a probe that is under way."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _found(self, request: Request) -> Mode:
        """What the probe finds, once for all who wait for it."""
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe(request))
        # Shielded: when the one who began it is cancelled, the probe still serves the others.
        self._mode = found = await asyncio.shield(self._probing)
        return found

    async def _probe(self, request: Request) -> Mode:
        endpoint = self._endpoint
        key = f"prefill {endpoint.urls[0]} {endpoint.model} {endpoint.chat_template or ''}".rstrip()
        if known := as_mode(self._memory.get(key)):
            return known

        async def attempt(mode: Mode | None, begun: str) -> Choice | Fault:
            return await self._send(sentinel(request, begun), mode)

        modes: list[Mode] = ["continue_final_message", "prefix"]
        if endpoint.chat_template is not None:
            modes.append("completions")
        found = await probe(attempt, modes)
        if not found.inconclusive:
            self._memory.put(key, found.mode)
        if found.mode != "continue_final_message" or found.inconclusive:
            self._notice(f"{endpoint.where}: {found}")
        return found.mode


async def probe(attempt: Try, modes: Sequence[Mode]) -> Probed:
    """Try the modes in this order until one is usable.

    A control without a beginning comes first. If that is refused, the endpoint does not answer such
    questions at all, and nothing can be learnt; nor where the network fails.
    """
    control = await attempt(None, "")
    if isinstance(control, Fault):
        return Probed("continue_final_message", {}, control.message)
    alone = control.reasoning + (control.content or "")
    findings: dict[Mode, Finding] = {}
    for mode in modes:
        finding = await _finding(attempt, mode, alone)
        if isinstance(finding, Fault):
            return Probed("continue_final_message", findings, finding.message)
        findings[mode] = finding
        if finding in USABLE:
            return Probed(mode, findings)
    return Probed("instruct", findings)


async def _finding(attempt: Try, mode: Mode, control: str) -> Finding | Fault:
    """What the endpoint does with a begun thought; a second form tells whether the thought is the reason."""

    async def look(begun: str) -> Finding | Fault:
        came = await attempt(mode, begun)
        if not isinstance(came, Fault):
            return classify(begun, came, control)
        # What the network does says nothing about the mode, and is not to be remembered of it.
        return "refuses" if came.kind == "refused" else came

    with_thought = await look(f"{THINK}\n{SENTINEL_BEGUN}")
    if with_thought not in ("trims", "restarts"):
        return with_thought
    # Many templates cut thoughts out of assistant turns, and so out of this one.
    return "trims" if await look(SENTINEL_BEGUN) in USABLE else with_thought
