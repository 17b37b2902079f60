"""Which rows share a sequence: all of an update's, each once, in as few sequences as they need."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lpt_core import uniform
from lpt_train.order import LengthOrder
from lpt_train.packing import PackedOrder, first_fit, split_up

LENGTHS = [int(100 + 900 * uniform(1, row)) for row in range(1000)]


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=70),
    st.integers(1, 3),
    st.integers(1, 6),
    st.integers(50, 120),
    st.integers(1, 4),
)
def test_updates_keep_their_rows_and_every_epoch_has_as_many_sequences(
    lengths, devices, steps, most, epochs
) -> None:
    batch = devices * steps
    order = PackedOrder(lengths, batch=batch, devices=devices, most=most, epochs=epochs)
    plain = LengthOrder(lengths, batch=batch, micro=1)
    for epoch in range(epochs):
        order.set_epoch(epoch)
        plain.set_epoch(epoch)
        packs, rows = list(order), list(plain)
        assert len(packs) == len(order)
        assert all(sum(lengths[row] for row in pack) <= most for pack in packs)
        size = order.accumulation * devices
        for number, start in enumerate(range(0, len(rows), batch)):
            taken = [row for pack in packs[number * size : (number + 1) * size] for row in pack]
            assert sorted(taken) == sorted(rows[start : start + batch])


def test_random_lengths_fill_sequences_almost_to_the_end() -> None:
    order = PackedOrder(LENGTHS, batch=128, devices=1, most=4096, epochs=3)
    tokens = sum(LENGTHS[:896]) / 7  # of an update, about
    assert order.accumulation * 4096 < tokens * 1.15
    assert len(list(order)) < 0.16 * len(LENGTHS)


def test_the_longest_come_first_and_go_where_there_is_room() -> None:
    assert first_fit([0, 1, 2, 3, 4], [3, 7, 5, 2, 7], 10) == [[1, 0], [4, 3], [2]]


def test_full_sequences_are_split_until_there_are_enough_and_single_rows_never() -> None:
    lengths = [4, 4, 3, 3, 9]
    assert split_up([[4], [0, 1], [2, 3]], lengths, 4) == [[4], [2, 3], [0], [1]]
    assert split_up([[4], [0]], lengths, 5) == [[4], [0]]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    made = {}
    for seed in (1, 2):
        for epoch in (0, 1, 0):
            order = PackedOrder(LENGTHS, batch=64, devices=2, most=2048, epochs=2, seed=seed)
            order.set_epoch(epoch)
            made.setdefault((seed, epoch), set()).add(tuple(order))
    assert all(len(orders) == 1 for orders in made.values())
    assert len({next(iter(orders)) for orders in made.values()}) == 4
