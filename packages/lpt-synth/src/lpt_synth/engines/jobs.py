"""What is known of a request while it is being answered."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from lpt_synth.engines.continuation import Mode
from lpt_synth.engines.faults import Fault
from lpt_synth.engines.wire import Choice
from lpt_synth.types import Outcome, Reply, Request


def _outcomes() -> dict[int, Outcome]:
    # Calling dict[int, Outcome] itself takes ten times as long.
    return {}


def _parts() -> list[Reply]:
    return []


def _names() -> set[str]:
    return set()


@dataclass(slots=True)
class Job:
    """One call of an engine's ``complete``.

    Attributes:
        request: What is asked.
        mode: How its prefill is sent; None where it has none.
        ticket: Its place in the queue for slots.
        first_tried: When it began, on the clock of ``Health``.
        outcomes: Of its samples, as far as they are known.
        parts: What each HTTP request contributed.
        n_refused: Several samples in one request were refused.
        sent: HTTP requests since the last part.
        input_tokens: Counted by the endpoint since the last part.
        output_tokens: Counted by the endpoint since the last part.
        probe: For a probe, what came, as it came; None otherwise.
    """

    request: Request
    mode: Mode | None
    ticket: int
    first_tried: float
    outcomes: dict[int, Outcome] = field(default_factory=_outcomes)
    parts: list[Reply] = field(default_factory=_parts)
    n_refused: bool = False
    sent: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    probe: list[Choice | Fault] | None = None

    def book(self, other: Reply) -> None:
        """Put what something else has cost down to the next part."""
        self.sent += other.sent
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens

    def part(self, outcomes: tuple[Outcome, ...], model: str) -> Reply:
        """A part with these outcomes, to which everything since the last part is put down."""
        reply = Reply(outcomes, self.input_tokens, self.output_tokens, self.sent, self.mode or "", model)
        self.sent = self.input_tokens = self.output_tokens = 0
        return reply

    def reply(self, samples: Sequence[int]) -> Reply:
        """The parts in one, with an outcome for each of the samples, in their order."""
        if len(self.parts) == 1:
            return self.parts[0]
        return Reply(
            tuple(self.outcomes[sample] for sample in samples),
            sum(part.input_tokens for part in self.parts),
            sum(part.output_tokens for part in self.parts),
            sum(part.sent for part in self.parts),
            self.mode or "",
            next((part.model for part in self.parts if part.model), ""),
        )


@dataclass(slots=True)
class Ask:
    """Samples of a job that travel in one HTTP request.

    Attributes:
        job: Whose.
        samples: Those that have no outcome yet.
        without: Fields left out because they were refused, not yet known to have helped.
        fields: Names of the fields that were sent last.
        server: To which server.
        attempts: HTTP requests that failed in a way that may pass.
        counted: Of these, the ones that count towards giving up.
    """

    job: Job
    samples: tuple[int, ...]
    without: set[str] = field(default_factory=_names)
    fields: tuple[str, ...] = ()
    server: int = 0
    attempts: int = 0
    counted: int = 0


async def together(all_of: Sequence[Coroutine[Any, Any, object]]) -> None:
    """Wait for all; where one fails, the others are cancelled before its error is raised."""
    tasks = [asyncio.ensure_future(one) for one in all_of]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
