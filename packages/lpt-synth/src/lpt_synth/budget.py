"""Keeping a run within a sum of money."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from lpt_synth.config import Endpoint, Endpoints
from lpt_synth.meter import Meter
from lpt_synth.store import Store
from lpt_synth.types import Reply, Request

_CHARACTERS_PER_TOKEN = 3.0  # low on purpose: English has about 4, and a bound must not be too small
_IMAGE_TOKENS = 1500  # above what any endpoint that we know counts for 512 x 512 pixels
_UNBOUNDED = 4096  # output tokens assumed where no limit is set


def cost_of(endpoint: Endpoint, reply: Reply) -> float:
    """What an answer cost, by the tokens that the endpoint counted."""
    price = endpoint.paid
    if price is None:
        return 0.0
    return (reply.input_tokens * price.input + reply.output_tokens * price.output) / 1e6


def prompt_tokens(request: Request) -> float:
    """An upper estimate of a request's prompt, in tokens."""
    characters = sum(len(message.text) for message in request.messages) + len(request.prefill)
    return characters / _CHARACTERS_PER_TOKEN + (_IMAGE_TOKENS if request.image else 0)


def most_it_can_cost(endpoint: Endpoint, request: Request, samples: int) -> float:
    """An upper estimate of what a request will cost."""
    price = endpoint.paid
    if price is None:
        return 0.0
    output = samples * (request.sampling.max_tokens or _UNBOUNDED)
    return (prompt_tokens(request) * price.input + output * price.output) / 1e6


class Budget:
    """Lets a request pass only if the sum cannot be overdrawn by it and all that are under way.

    What a request can cost at most is set aside while it is under way; what it did cost is booked after.
    """

    def __init__(self, limit: float | None, spent: float = 0.0) -> None:
        self.limit = limit
        self.spent = spent
        self._aside = 0.0
        self._settled = asyncio.Condition()

    async def reserve(self, amount: float) -> bool:
        """Set a sum aside; waits for others to settle where that could make room. False: no room left."""
        if self.limit is None:
            return True
        async with self._settled:
            while self.spent + self._aside + amount > self.limit:
                if not self._aside:
                    return False
                await self._settled.wait()
            self._aside += amount
            return True

    async def settle(self, reserved: float, cost: float) -> None:
        """Book what a request did cost."""
        self.spent += cost
        if self.limit is None:
            return
        async with self._settled:
            self._aside = max(0.0, self._aside - reserved)
            if self._aside < 1e-12:
                self._aside = 0.0
            self._settled.notify_all()


class Ledger:
    """Puts replies on disk and books what they cost; engines await ``commit`` before they answer."""

    def __init__(self, store: Store, endpoints: Endpoints, meter: Meter) -> None:
        self.store = store
        self.endpoints = endpoints
        self.meter = meter

    async def commit(self, request: Request, samples: Sequence[int], reply: Reply) -> None:
        """Store a reply; when this returns, it is on disk.

        Raises:
            StoreError: It cannot be written.
        """
        endpoint = self.endpoints.of(request.role)
        cost = cost_of(endpoint, reply) if endpoint else 0.0
        await self.store.put(request, samples, reply, cost)
        self.meter.sent += reply.sent
        self.meter.input_tokens += reply.input_tokens
        self.meter.output_tokens += reply.output_tokens
        self.meter.cost += cost
