"""When to try again, how long to wait, and when to stop trying anything."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from itertools import count

from lpt_core import EndpointError
from lpt_synth.engines.faults import Fault

BASE_S = 0.5
CAP_S = 30.0
"""Backoff before attempt k + 1 is drawn from [0, min(CAP_S, BASE_S * 2^(k-1))] seconds: full jitter."""

RETRY_AFTER_CAP_S = 120.0
"""The longest that an endpoint's Retry-After is obeyed."""

CONNECT_S = 30.0
"""Seconds after which an attempt to connect is given up."""

REFUSALS = 20
"""So many refusals with the same words, before anything has succeeded, stop a run."""

# The clock and chance of a retry are no part of a result, so the system's generator serves.
_CHANCE = random.SystemRandom()
_DIGITS = re.compile(r"\d+")


def backoff_s(attempt: int, retry_after: float = 0.0) -> float:
    """Seconds to wait after ``attempt`` (1 for the first) has failed.

    What the endpoint asks for is a floor, to which the jitter is added: those who were told the same
    number of seconds shall not all come back at once.
    """
    # The exponent is bounded because 2.0**1100 overflows, and patience may last that many attempts.
    spread = min(CAP_S, BASE_S * 2.0 ** min(attempt - 1, 16))
    return min(max(retry_after, 0.0), RETRY_AFTER_CAP_S) + _CHANCE.uniform(0.0, spread)


def retry_after_s(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float:
    """Seconds that an answer's headers ask to wait: milliseconds, seconds or a date; 0 if unreadable."""
    try:
        if value := headers.get("retry-after-ms"):
            seconds = float(value) / 1000
        elif not (value := headers.get("Retry-After", "").strip()):
            return 0.0
        elif value[0].isalpha():
            seconds = parsedate_to_datetime(value).timestamp() - now()
        else:
            seconds = float(value)
    except (ValueError, OverflowError):
        return 0.0
    # Also false for NaN.
    return seconds if 0 < seconds < float("inf") else 0.0


class Health:
    """Tells an endpoint that is down from a request that fails: the first stops a run, the second not.

    An endpoint counts as down when attempts have kept failing, and nothing succeeded, for ``patience_s``
    seconds (plus what it asked to wait itself), no attempt is being worked on, and it is not one request
    alone that fails, unless nobody is there to even look at it. A server that still loads its model is
    waited for so long; a request that the server dies of is given up on and stops nothing.

    Args:
        patience_s: See above, seconds.
        where: URL and model, for messages.
        clock: Seconds that only go forward.
    """

    def __init__(self, patience_s: float, where: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._where = where
        self._clock = clock
        self._succeeded_at: float | None = None
        self._failing_since: float | None = None
        self._failing: set[str] = set()
        self._asked_to_wait = 0.0
        self._open: dict[int, float] = {}
        self._attempts = count()
        self._refusal: tuple[int | None, str] | None = None
        self._refusals = 0

    def now(self) -> float:
        """The time, to be given to ``failed`` as that at which a request was first tried."""
        return self._clock()

    def begin(self) -> int:
        """An attempt is sent. Returns its number, for ``end``."""
        attempt = next(self._attempts)
        self._open[attempt] = self._clock()
        return attempt

    def end(self, attempt: int) -> None:
        """The attempt came to its end, whichever."""
        del self._open[attempt]

    def succeeded(self) -> None:
        """An attempt brought an answer."""
        self._succeeded_at = self._clock()
        if self._failing_since is not None:
            self._failing_since = None
            self._failing.clear()
            self._asked_to_wait = 0.0

    def failed(self, key: str, fault: Fault, first_tried: float) -> bool:
        """A passing fault. Returns whether it counts as an attempt of the request that is ``key``.

        It does not where nobody was there and nothing has succeeded since the request was first tried:
        then the endpoint is waited for, however many attempts that takes.

        Raises:
            EndpointError: The endpoint is down, see above.
        """
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        self._failing.add(key)
        self._asked_to_wait = max(self._asked_to_wait, min(fault.retry_after, RETRY_AFTER_CAP_S))
        down_for = now - self._failing_since
        everyone = fault.unreachable or len(self._failing) > 1
        if everyone and down_for >= self._patience_s + self._asked_to_wait and not self._at_work(now):
            raise EndpointError(
                f"{self._where}: nothing has succeeded for {down_for:.0f} s. The last attempt: "
                f"{fault.message}",
                "see that the server is up and base_url is right, then run again: what was answered is "
                "kept (patience_s sets how long a failing endpoint is waited for)",
            )
        alive = self._succeeded_at is not None and self._succeeded_at >= first_tried
        return alive or not fault.unreachable

    def _at_work(self, now: float) -> bool:
        """Whether an attempt has been open for so long that somebody must have taken it."""
        # Attempts are numbered as they are sent, so the first is the oldest.
        return now - next(iter(self._open.values()), now) > CONNECT_S + 5

    def refused(self, fault: Fault) -> None:
        """A request was refused for good.

        Raises:
            EndpointError: Nothing has succeeded yet, and the first answers are all this refusal: it is the
                configuration that is wrong, not the requests. Numbers in the message do not tell two
                refusals apart; other words do, and then nothing is concluded.
        """
        words = (fault.status, _DIGITS.sub("0", fault.message))
        self._refusal = self._refusal or words
        if self._succeeded_at is not None or words != self._refusal:
            self._refusals = -(10**9)
        self._refusals += 1
        if self._refusals >= REFUSALS:
            raise EndpointError(
                f"{self._where}: the first {REFUSALS} requests were all refused with HTTP {fault.status}: "
                f"{fault.message}",
                "change what the message names in the endpoint's section or the stage's sampling",
            )
