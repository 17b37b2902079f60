"""What is watched: means over tokens by region, and pictures of them."""

from __future__ import annotations

import io
from math import log

import pytest
import torch
from PIL import Image

from lpt_core import StoreError
from lpt_train.encoding import REGIONS
from lpt_train.plot import Curve, Panel, draw
from lpt_train.watch import Meter, entropies, write_history

THOUGHT, ANSWER = REGIONS.index("thought"), REGIONS.index("answer")


def test_means_are_over_tokens_and_tell_untrained_ones_apart() -> None:
    meter = Meter()
    meter.add(
        nll=torch.tensor([1.0, 3.0, 10.0]),
        entropy=torch.tensor([0.5, 0.5, 2.0]),
        regions=torch.tensor([THOUGHT, THOUGHT, ANSWER]),
        bears=torch.tensor([True, True, True]),
    )
    meter.add(
        nll=torch.tensor([5.0, 7.0]),
        entropy=torch.tensor([1.5, 1.0]),
        regions=torch.tensor([THOUGHT, THOUGHT]),
        bears=torch.tensor([True, False]),
    )
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    meter.count(tokens=mask, labels=torch.tensor([[0, 1, 1, 0], [0, 1, 0, 0]]).bool(), rows=2)
    values = meter.read(lambda sums: sums)
    assert values["loss/thought"] == 3
    assert values["entropy/thought"] == pytest.approx(2.5 / 3)
    assert values["loss/untrained_thought"] == 7
    assert values["loss/answer"] == 10
    assert values["token_loss"] == pytest.approx(19 / 4)
    assert (values["tokens"], values["rows"]) == (6, 2)
    assert values["padding_share"] == 0.25
    assert values["label_share"] == 0.5
    assert "loss/cue" not in values
    assert meter.read(lambda sums: sums) == {}


def test_entropy_is_the_distributions() -> None:
    logits = torch.tensor([[0.0] * 8, [100.0] + [0.0] * 7])
    assert entropies(logits).tolist() == pytest.approx([log(8), 0.0], abs=1e-6)
    assert entropies(logits[:0]).shape == (0,)


def test_the_history_becomes_lines_and_a_picture_and_is_the_same_each_time(tmp_path) -> None:
    history = [
        {"step": n, "loss/answer": 1 / n, "token_loss": 2 / n, "learning_rate": 1e-5} for n in range(1, 9)
    ]
    write_history(history, tmp_path)
    first = (tmp_path / "watch.png").read_bytes()
    write_history(history, tmp_path)
    assert (tmp_path / "watch.png").read_bytes() == first
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 8
    assert Image.open(io.BytesIO(first)).size == (960, 900)  # no entropy, no panel of it


def test_nothing_is_drawn_of_nothing(tmp_path) -> None:
    write_history([{"step": 1.0}], tmp_path)
    assert not (tmp_path / "watch.png").exists()
    with pytest.raises(StoreError):
        write_history([], tmp_path / "none")


@pytest.mark.parametrize(
    "values", [[1.0], [2.0, 2.0], [0.0, 0.0], [float("nan"), 1.0, float("inf")], [-1e-9, 1e9], [5e-324, 0.0]]
)
def test_any_curve_can_be_drawn(values) -> None:
    assert draw([Panel("x", [Curve("y", list(enumerate(values)))])]).startswith(b"\x89PNG")
