from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from lpt_core import EndpointError
from lpt_synth.engines import retry
from lpt_synth.engines.faults import Fault
from lpt_synth.engines.retry import CONNECT_S, REFUSALS, Health, backoff_s, retry_after_s

NOW = 1_800_000_000.0
REFUSED = Fault("connection", "connection refused", unreachable=True)
BROKEN = Fault("server", "boom", 500)
LATER = Fault("throttled", "slow down", 429, throttled=True, retry_after=300)


@pytest.fixture(autouse=True)
def _real_base(monkeypatch):
    monkeypatch.setattr(retry, "BASE_S", 0.5)


@pytest.mark.parametrize(("attempt", "most"), [(1, 0.5), (2, 1.0), (4, 4.0), (7, 30.0), (5000, 30.0)])
def test_backoff_is_full_jitter_below_an_exponential_cap(attempt, most):
    drawn = [backoff_s(attempt) for _ in range(400)]
    assert 0 <= min(drawn) < most * 0.1
    assert most * 0.9 < max(drawn) <= most


def test_retry_after_is_a_floor_to_which_jitter_is_added_and_is_capped():
    assert all(7 <= backoff_s(1, 7) <= 7.5 for _ in range(100))
    assert len({backoff_s(1, 7) for _ in range(20)}) > 1
    assert backoff_s(1, 1e9) <= retry.RETRY_AFTER_CAP_S + 0.5


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": format_datetime(datetime.fromtimestamp(NOW + 42, UTC), usegmt=True)}, 42),
        ({"Retry-After": format_datetime(datetime.fromtimestamp(NOW - 42, UTC), usegmt=True)}, 0),
        ({"Retry-After": "Sunday, 06-Nov-94 08:49:37 GMT"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "nan"}, 0),
        ({"Retry-After": "inf"}, 0),
        ({"Retry-After": "1e999"}, 0),
        ({"Retry-After": ""}, 0),
        ({}, 0),
    ],
)
def test_retry_after_in_every_form(headers, seconds):
    assert retry_after_s(headers, lambda: NOW) == pytest.approx(seconds)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def health(patience_s: float = 120.0) -> tuple[Health, Clock]:
    clock = Clock()
    return Health(patience_s, "http://h/v1 (m)", clock), clock


def test_a_server_that_nobody_reaches_is_waited_for_and_then_stops_the_run():
    end, clock = health()
    for at in range(0, 120, 5):
        clock.now = at
        assert end.failed("one", REFUSED, 0.0) is False
    clock.now = 120.0
    with pytest.raises(EndpointError, match=r"http://h/v1 \(m\): nothing has succeeded for 120 s"):
        end.failed("one", REFUSED, 0.0)


def test_attempts_count_once_something_else_has_succeeded():
    end, clock = health()
    clock.now = 5.0
    end.succeeded()
    clock.now = 6.0
    assert end.failed("one", REFUSED, 0.0) is True
    assert end.failed("two", REFUSED, 5.5) is False


def test_one_request_that_the_server_dies_of_stops_nothing():
    end, clock = health()
    for at in range(0, 1000, 10):
        clock.now = at
        assert end.failed("poison", BROKEN, 0.0) is True


def test_several_requests_that_fail_for_too_long_stop_the_run():
    end, clock = health()
    end.failed("one", BROKEN, 0.0)
    clock.now = 121.0
    with pytest.raises(EndpointError, match="boom"):
        end.failed("two", BROKEN, 0.0)


def test_a_success_begins_the_patience_anew():
    end, clock = health()
    end.failed("one", BROKEN, 0.0)
    clock.now = 100.0
    end.succeeded()
    clock.now = 190.0
    assert end.failed("one", BROKEN, 0.0) is True
    assert end.failed("two", BROKEN, 0.0) is True


def test_idle_time_is_no_silence():
    end, clock = health()
    end.succeeded()
    clock.now = 10_000.0
    assert end.failed("one", REFUSED, 9_999.0) is False


def test_a_server_that_works_on_something_is_not_down():
    end, clock = health()
    attempt = end.begin()
    end.failed("one", REFUSED, 0.0)
    clock.now = 121.0
    assert clock.now > CONNECT_S
    end.failed("one", REFUSED, 0.0)
    end.end(attempt)
    with pytest.raises(EndpointError):
        end.failed("one", REFUSED, 0.0)


def test_what_an_endpoint_asks_to_wait_is_added_to_the_patience():
    end, clock = health()
    end.failed("one", LATER, 0.0)
    end.failed("two", LATER, 0.0)
    clock.now = 121.0
    assert end.failed("one", LATER, 0.0) is True
    clock.now = 121.0 + retry.RETRY_AFTER_CAP_S
    with pytest.raises(EndpointError):
        end.failed("one", LATER, 0.0)


def no(message: str, status: int = 400) -> Fault:
    return Fault("refused", message, status, retry=False)


def test_the_same_refusal_from_the_start_stops_the_run_and_is_quoted():
    end, _ = health()
    for i in range(REFUSALS - 1):
        end.refused(no(f"request {i}: temperature must be 1"))
    with pytest.raises(EndpointError, match="HTTP 400: request 99: temperature must be 1"):
        end.refused(no("request 99: temperature must be 1"))


def test_refusals_with_different_words_are_about_the_requests():
    end, _ = health()
    for i in range(10 * REFUSALS):
        end.refused(no("this one", 422) if i % 2 else no("that one", 422))


def test_refusals_after_a_success_are_about_the_requests():
    end, _ = health()
    end.succeeded()
    for _ in range(10 * REFUSALS):
        end.refused(no("too long"))
