from __future__ import annotations

import asyncio

import pytest

from lpt_synth.engines.limit import CUT_WINDOW_S, START
from lpt_synth.engines.limiter import Limiter


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def run(act):
    async def main():
        clock = Clock()
        return await act(clock)

    return asyncio.run(main())


async def rounds(limiter: Limiter, n: int, **how: bool) -> None:
    """Fill all slots and give them back, n times."""
    for _ in range(n):
        taken = [await limiter.acquire(limiter.ticket()) for _ in range(limiter.limit)]
        for cuts in taken:
            limiter.release(cuts, **how)


def test_starts_low_and_doubles_each_round_up_to_the_ceiling():
    async def act(clock):
        limiter = Limiter(100, clock)
        seen = [limiter.limit]
        for _ in range(4):
            # The growth of a round is measured against the slots that were full when it began.
            taken = [await limiter.acquire(0) for _ in range(limiter.limit)]
            waiting = [asyncio.ensure_future(limiter.acquire(1)) for _ in range(300)]
            await asyncio.sleep(0)
            for cuts in taken:
                limiter.release(cuts, succeeded=True)
            seen.append(limiter.limit)
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            assert limiter.in_flight == 0
        return seen

    assert run(act) == [START, 2 * START, 4 * START, 100, 100]


@pytest.mark.parametrize("ceiling", [1, 3])
def test_never_goes_above_the_ceiling_nor_below_one(ceiling):
    async def act(clock):
        limiter = Limiter(ceiling, clock)
        await rounds(limiter, 5, succeeded=True)
        top = limiter.limit
        for _ in range(10):
            clock.now += 2 * CUT_WINDOW_S
            await rounds(limiter, 1, throttled=True)
        return top, limiter.limit

    assert run(act) == (ceiling, 1)


def test_a_burst_of_refusals_cuts_once():
    async def act(clock):
        limiter = Limiter(16, clock)
        await rounds(limiter, 1, throttled=True)
        return limiter.limit

    assert run(act) == 8


def test_requests_sent_before_a_cut_do_not_cut_again_however_late_they_come_back():
    async def act(clock):
        limiter = Limiter(16, clock)
        taken = [await limiter.acquire(0) for _ in range(16)]
        limiter.release(taken[0], throttled=True)
        clock.now += 60
        for cuts in taken[1:]:
            limiter.release(cuts, throttled=True)
        return limiter.limit

    assert run(act) == 8


def test_refusals_within_the_window_are_one_burst_and_after_it_another():
    async def act(clock):
        limiter = Limiter(16, clock)
        await rounds(limiter, 1, throttled=True)
        clock.now += CUT_WINDOW_S / 2
        await rounds(limiter, 1, throttled=True)
        within = limiter.limit
        clock.now += CUT_WINDOW_S
        await rounds(limiter, 1, throttled=True)
        return within, limiter.limit

    assert run(act) == (8, 4)


def test_after_a_cut_the_limit_grows_by_about_one_a_round():
    async def act(clock):
        limiter = Limiter(64, clock)
        await rounds(limiter, 1, throttled=True)
        taken = [await limiter.acquire(0) for _ in range(8)]
        waiting = [asyncio.ensure_future(limiter.acquire(1)) for _ in range(50)]
        await asyncio.sleep(0)
        for cuts in taken:
            limiter.release(cuts, succeeded=True)
        grown = limiter.limit
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return grown

    assert run(act) in (8, 9)


def test_a_limit_that_is_not_reached_does_not_grow():
    async def act(clock):
        limiter = Limiter(64, clock)
        for _ in range(50):
            limiter.release(await limiter.acquire(0), succeeded=True)
        return limiter.limit

    assert run(act) == START


def test_slots_are_given_in_the_order_of_tickets_and_a_retry_goes_first():
    async def act(clock):
        limiter = Limiter(1, clock)
        old, order = limiter.ticket(), []
        held = await limiter.acquire(limiter.ticket())

        async def take(name: str, ticket: int) -> None:
            cuts = await limiter.acquire(ticket)
            order.append(name)
            limiter.release(cuts)

        tasks = [asyncio.ensure_future(take(str(i), limiter.ticket())) for i in range(3)]
        await asyncio.sleep(0)
        tasks.append(asyncio.ensure_future(take("retry", old)))
        await asyncio.sleep(0)
        limiter.release(held)
        await asyncio.gather(*tasks)
        return order, limiter.in_flight

    assert run(act) == (["retry", "0", "1", "2"], 0)


def test_cancelled_waiters_lose_no_slot():
    async def act(clock):
        limiter = Limiter(2, clock)
        held = [await limiter.acquire(0), await limiter.acquire(0)]
        waiting = [asyncio.ensure_future(limiter.acquire(i)) for i in range(6)]
        await asyncio.sleep(0)
        assert limiter.waiting == 6
        # The first two are given their slots and cancelled before they could know.
        for cuts in held:
            limiter.release(cuts)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (limiter.in_flight, limiter.waiting) == (0, 0)
        return (await asyncio.wait_for(limiter.acquire(9), 1)).server

    assert run(act) == 0


def test_a_newcomer_is_not_stuck_behind_the_cancelled():
    async def act(clock):
        limiter = Limiter(1, clock)
        held = await limiter.acquire(0)
        one = asyncio.ensure_future(limiter.acquire(1))
        await asyncio.sleep(0)
        one.cancel()
        await asyncio.gather(one, return_exceptions=True)
        limiter.release(held)
        await asyncio.wait_for(limiter.acquire(2), 1)
        return limiter.in_flight

    assert run(act) == 1
