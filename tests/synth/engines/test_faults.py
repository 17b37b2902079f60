from __future__ import annotations

import json

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpt_synth.engines.faults import MESSAGE_LENGTH, Redactor, error_words, of_exception, of_status

KEY = "hunter2-hunter2"
redact = Redactor(KEY)


def said(message: str, **more: object) -> bytes:
    return json.dumps({"error": {"message": message, **more}}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "retry", "stop", "throttled", "unreachable"),
    [
        (300, "refused", False, True, False, False),
        (307, "refused", False, True, False, False),
        (400, "refused", False, False, False, False),
        (401, "refused", False, True, False, False),
        (402, "refused", False, True, False, False),
        (403, "refused", False, True, False, False),
        (404, "refused", False, True, False, False),
        (405, "refused", False, True, False, False),
        (408, "timeout", True, False, False, False),
        (409, "server", True, False, False, False),
        (413, "refused", False, False, False, False),
        (415, "refused", False, False, False, False),
        (422, "refused", False, False, False, False),
        (425, "server", True, False, False, False),
        (429, "throttled", True, False, True, False),
        (500, "server", True, False, False, False),
        (501, "server", True, False, False, False),
        (502, "server", True, False, False, True),
        (503, "server", True, False, True, True),
        (504, "server", True, False, False, True),
        (529, "throttled", True, False, True, False),
    ],
)
def test_what_a_status_means(status, kind, retry, stop, throttled, unreachable):
    fault = of_status(status, said("no"), 3.0, redact)
    assert (fault.kind, fault.retry, fault.stop) == (kind, retry, stop)
    assert (fault.throttled, fault.unreachable) == (throttled, unreachable)
    assert (fault.message, fault.status) == ("no", status)
    assert fault.retry_after == (3.0 if retry else 0.0)


def test_an_account_without_credit_is_not_waited_for():
    fault = of_status(429, said("You exceeded your current quota", code="insufficient_quota"), 0, redact)
    assert (fault.retry, fault.stop) == (False, True)


def test_one_prompt_that_is_moderated_does_not_stop_a_run():
    fault = of_status(403, said("Your input was flagged by moderation"), 0, redact)
    assert (fault.kind, fault.stop, fault.retry) == ("refused", False, False)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (said("plain"), "plain"),
        (b'{"error": "text"}', "text"),
        (b'{"message": "vLLM of old"}', "vLLM of old"),
        (b'[{"error": {"message": "Google", "code": 400}}]', "Google"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"detail": [{"loc": ["body", "seed"], "msg": "extra"}]}', "body.seed: extra"),
        (b'{"detail": [{"loc": 5, "msg": "odd"}]}', "odd"),
        (
            b'{"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "Mistral"}]}}',
            "body.n: Mistral",
        ),
        (b"<html>\n<b>Bad\tgateway</b>", "<html> <b>Bad gateway</b>"),
        (b"", ""),
        (b"{}", "{}"),
        (b'{"error": null}', '{"error": null}'),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 50_000, "[" * 499 + "…"),
        (b"[" * 900 + b"]" * 900, None),
        (b'{"error": ' * 50 + b"1" + b"}" * 50, None),
    ],
)
def test_an_endpoint_is_quoted_whatever_form_it_uses(raw, message):
    words, named = error_words(raw)
    assert named == named.lower()
    if message is not None:
        assert redact(words) == message


def test_the_words_for_people_are_short_and_those_for_matching_hold_the_parameter():
    raw = said("Unsupported parameter", param="top_k")
    assert error_words(raw)[0] == "Unsupported parameter"
    assert "top_k" in error_words(raw)[1]


@given(st.binary(max_size=300))
def test_any_error_body_makes_a_fault(raw):
    for status in (400, 403, 429, 500):
        assert len(of_status(status, raw, 0.0, redact).message) <= MESSAGE_LENGTH


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "loc", "msg", "code", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_error_body_makes_a_fault(body):
    assert of_status(400, json.dumps(body).encode(), 0.0, redact).message


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"key {KEY} is wrong", "key *** is wrong"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: ***"),
        ("Incorrect API key provided: sk-proj-abc**xyz.", "Incorrect API key provided: ***"),
        ("a\x00b\x1b[31mc\r\n\u2028d", "a b [31mc d"),
        ("risk-taking task-list sk-", "risk-taking task-list sk-"),
    ],
)
def test_secrets_and_control_characters_are_removed(text, clean):
    assert redact(text) == clean


def test_a_message_is_cut_after_its_secrets_are_removed():
    text = redact("x" * (MESSAGE_LENGTH - 5) + KEY + "y" * 100)
    assert len(text) == MESSAGE_LENGTH
    assert "hunter" not in text


def test_a_redactor_does_not_show_what_it_hides():
    assert KEY not in repr(redact)


def test_what_an_exception_means():
    os_error = OSError(111, "refused")
    key = aiohttp.client_reqrep.ConnectionKey("h", 1, False, True, None, None, None)
    for error, kind, unreachable in (
        (aiohttp.ClientConnectorError(key, os_error), "connection", True),
        (aiohttp.ConnectionTimeoutError("slow"), "connection", True),
        (aiohttp.ServerDisconnectedError(), "connection", False),
        (aiohttp.ClientPayloadError("cut"), "connection", False),
        (ConnectionResetError("reset"), "connection", False),
        (TimeoutError(), "timeout", False),
    ):
        fault = of_exception(error, 600, redact)
        assert (fault.kind, fault.unreachable, fault.retry) == (kind, unreachable, True), error
        assert fault.message
    assert of_exception(TimeoutError(), 600, redact).message == "no answer within 600 s"


def test_a_certificate_that_cannot_be_verified_will_not_pass():
    key = aiohttp.client_reqrep.ConnectionKey("h", 443, True, True, None, None, None)
    error = aiohttp.ClientConnectorCertificateError(key, Exception("self-signed"))
    assert of_exception(error, 600, redact).stop
