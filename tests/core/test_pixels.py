"""The pixel policy: never larger, never empty, the area rule exact."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lpt_core import PixelPolicy, resized_size

SIDES = st.integers(1, 30_000)


@given(SIDES, SIDES, st.integers(28, 3_000), st.sampled_from(["area", "longer_side"]))
def test_the_limit_holds_and_nothing_grows(width: int, height: int, limit: int, rule: Any) -> None:
    wide, tall = resized_size(width, height, PixelPolicy(rule=rule, limit=limit))
    assert 1 <= wide <= width
    assert 1 <= tall <= height
    assert wide * tall <= limit**2 if rule == "area" else max(wide, tall) <= limit
    if (width * height <= limit**2) if rule == "area" else (max(width, height) <= limit):
        assert (wide, tall) == (width, height)


@pytest.mark.parametrize(
    ("rule", "size", "made"),
    [
        ("area", (1024, 768), (591, 443)),
        ("area", (1024, 1024), (512, 512)),
        ("area", (512, 512), (512, 512)),
        ("area", (30_000_000, 1), (262_144, 1)),
        ("longer_side", (1024, 768), (512, 384)),
        ("longer_side", (1, 5000), (1, 512)),
    ],
)
def test_sizes_that_were_worked_out_by_hand(rule: Any, size: tuple[int, int], made: tuple[int, int]) -> None:
    assert resized_size(*size, PixelPolicy(rule=rule)) == made


def test_a_policy_has_a_label_and_refuses_what_it_does_not_know() -> None:
    assert PixelPolicy(rule="longer_side", limit=300).label == "longer_side-300"
    with pytest.raises(ValidationError, match="limit"):
        PixelPolicy(limit=27)
    with pytest.raises(ValidationError, match="Extra"):
        PixelPolicy.model_validate({"quality": 3})
