"""The order of rows: a draw, sorted only where that changes nothing but padding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lpt_core import uniform
from lpt_train.order import LengthOrder

LENGTHS = [int(100 + 900 * uniform(1, row)) for row in range(1000)]


def padding(lengths: list[int], order: list[int], micro: int) -> float:
    groups = [order[at : at + micro] for at in range(0, len(order), micro)]
    places = sum(len(group) * max(lengths[row] for row in group) for group in groups)
    return 1 - sum(lengths) / places


@given(
    st.lists(st.integers(1, 50), max_size=70),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_every_row_comes_once_an_epoch(lengths, micro, steps, window, epoch) -> None:
    order = LengthOrder(lengths, batch=micro * steps, micro=micro, window=window)
    order.set_epoch(epoch)
    made = list(order)
    assert sorted(made) == list(range(len(lengths)))
    assert made == list(order)


def test_an_update_has_the_rows_of_a_plain_draw_whatever_their_lengths() -> None:
    ours = list(LengthOrder(LENGTHS, batch=64, micro=4))
    plain = list(LengthOrder([1] * 1000, batch=64, micro=64))
    for at in range(0, 1000, 64):
        assert set(ours[at : at + 64]) == set(plain[at : at + 64])


def test_sorting_saves_padding_and_a_window_saves_more() -> None:
    drawn = padding(LENGTHS, list(LengthOrder([1] * 1000, batch=64, micro=64)), 4)
    inside = padding(LENGTHS, list(LengthOrder(LENGTHS, batch=64, micro=4)), 4)
    assert inside < drawn / 4
    small = padding(LENGTHS, list(LengthOrder(LENGTHS, batch=4, micro=4)), 4)
    window = padding(LENGTHS, list(LengthOrder(LENGTHS, batch=4, micro=4, window=16)), 4)
    assert small > 0.2
    assert window < 0.05


def test_with_a_window_updates_are_not_in_order_of_length() -> None:
    order = list(LengthOrder(LENGTHS, batch=4, micro=4, window=16))[:64]
    means = [sum(LENGTHS[row] for row in order[at : at + 4]) for at in range(0, 64, 4)]
    assert means not in (sorted(means), sorted(means, reverse=True))


def test_epochs_and_seeds_differ() -> None:
    made = set()
    for seed in (1, 2):
        order = LengthOrder(LENGTHS, batch=8, micro=2, seed=seed)
        for epoch in (0, 1):
            order.set_epoch(epoch)
            made.add(tuple(order))
    assert len(made) == 4
