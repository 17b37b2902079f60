"""Ids and draws: from content alone, the same on any machine."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpt_core import FINGERPRINT_VERSION, Sampling, canonical_json, derived_int, fingerprint, uniform
from lpt_core.fingerprint import IDENTITY, NOT_IDENTITY

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
SHUFFLED = """
from lpt_core import derived_int, fingerprint
print(fingerprint("x", {"b": [1, 2.5, "ä"], "a": None}), derived_int(42, "a", 1), hash("a"))
"""


def reordered(value: object) -> object:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(one) for one in value] if isinstance(value, list) else value


@given(JSON)
def test_the_order_of_keys_does_not_matter(value: object) -> None:
    assert fingerprint("x", reordered(value)) == fingerprint("x", value)


@given(JSON, JSON)
def test_other_content_has_another_id(one: object, other: object) -> None:
    assert (fingerprint("x", one) == fingerprint("x", other)) == (
        canonical_json(one) == canonical_json(other)
    )


def test_the_order_of_a_list_the_kind_and_the_type_matter() -> None:
    assert fingerprint("x", [1, 2]) != fingerprint("x", [2, 1])
    assert fingerprint("x", [1]) != fingerprint("y", [1])
    assert fingerprint("x", "1") != fingerprint("x", 1)
    assert fingerprint("xy", "") != fingerprint("x", "y")


def test_json_has_one_canonical_form() -> None:
    assert canonical_json({"b": 1, "a": [True, None, 0.7, "ä"]}) == '{"a":[true,null,0.7,"ä"],"b":1}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


def test_a_value_that_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        canonical_json({1, 2})


def test_a_lone_surrogate_from_a_server_has_an_id_and_a_draw() -> None:
    assert fingerprint("x", "\ud800") != fingerprint("x", "\ud801")
    assert derived_int(1, "\ud800") != derived_int(1, "\ud801")


def test_ids_and_draws_are_pinned() -> None:
    assert FINGERPRINT_VERSION == 1
    assert fingerprint("x", {"b": [1, 2.5, "ä"], "a": None}) == "73457aa46a6784c0811081882ebd94f8"
    assert derived_int(42, "a", 1) == 3249886578437940
    assert derived_int(42, "a", 1, bits=8) == 92
    assert uniform(42, "a", 1) == 0.3608098906802072


def test_another_process_with_another_hash_seed_makes_the_same() -> None:
    seen = [
        subprocess.run(
            [sys.executable, "-c", SHUFFLED],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert seen[0][2] != seen[1][2]
    assert seen[0][:2] == seen[1][:2]
    assert seen[0][:2] == [fingerprint("x", {"b": [1, 2.5, "ä"], "a": None}), str(derived_int(42, "a", 1))]


@given(st.integers(), st.lists(st.text() | st.integers(), max_size=3), st.integers(1, 64))
def test_draws_stay_within_their_bounds(seed: int, parts: list[str | int], bits: int) -> None:
    assert 0 < uniform(seed, *parts) < 1
    assert 0 <= derived_int(seed, *parts, bits=bits) < 2**bits


def test_the_extreme_draws_stay_within_their_bounds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for extreme in (0, 2**52 - 1):
        monkeypatch.setitem(uniform.__globals__, "derived_int", lambda *_, bits, value=extreme: value)
        assert 0 < uniform(1) < 1


def test_draws_are_spread_evenly() -> None:
    draws = [uniform(7, "item", n) for n in range(10_000)]
    tenths = [sum(int(draw * 10) == tenth for draw in draws) for tenth in range(10)]
    assert max(abs(count - 1_000) for count in tenths) < 150  # standard deviation 30


def test_no_field_is_both_in_and_out_of_a_requests_identity() -> None:
    assert not IDENTITY.keys() & NOT_IDENTITY.keys()
    assert all(IDENTITY.values())
    assert all(NOT_IDENTITY.values())


def test_sampling_written_as_a_whole_number_is_the_same_sampling() -> None:
    ids = {fingerprint("s", Sampling(temperature=t).model_dump(mode="json")) for t in (0, 0.0)}
    assert len(ids) == 1
