from __future__ import annotations

import asyncio

from lpt_synth.budget import Budget


def test_without_a_limit_everything_passes() -> None:
    async def go() -> bool:
        return await Budget(None).reserve(1e9)

    assert asyncio.run(go())


def test_what_is_set_aside_is_never_more_than_the_limit() -> None:
    async def go() -> tuple[float, int]:
        budget, peak, passed = Budget(1.0), 0.0, 0
        aside = 0.0

        async def one() -> None:
            nonlocal peak, passed, aside
            if await budget.reserve(0.3):
                aside += 0.3
                peak = max(peak, aside + budget.spent)
                await asyncio.sleep(0)
                aside -= 0.3
                passed += 1
                await budget.settle(0.3, 0.05)

        await asyncio.gather(*(one() for _ in range(50)))
        return peak, passed

    peak, passed = asyncio.run(go())
    assert peak <= 1.0 + 1e-9
    # Each costs less than was set aside, so that more pass than the worst case would let.
    assert passed == 15


def test_a_request_that_could_overdraw_waits_for_others_and_then_is_refused() -> None:
    async def go() -> tuple[bool, bool]:
        budget = Budget(1.0)
        first = await budget.reserve(0.8)
        waiting = asyncio.ensure_future(budget.reserve(0.5))
        await asyncio.sleep(0)
        assert not waiting.done()
        await budget.settle(0.8, 0.8)
        return first, await waiting

    assert asyncio.run(go()) == (True, False)
