"""How tokens are drawn."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import RepetitionPenaltyLogitsProcessor

from lpt_core import Sampling
from lpt_synth.engines.hf.draw import PenaliseRepetition, gumbel_noise, processors, settled

SCORES = torch.tensor([2.0, 1.0, 0.5, -1.0, -3.0])


def drawn(sampling: Sampling, rows: int = 4000) -> list[float]:
    """How often each token is taken."""
    mask = torch.ones(rows, 1, dtype=torch.int64)
    made = processors(sampling, seeds=range(rows), mask=mask, banned=[])
    tokens = made(mask, SCORES.repeat(rows, 1)).argmax(-1)
    return (torch.bincount(tokens, minlength=5) / rows).tolist()


def test_tokens_come_as_often_as_the_softmax_says() -> None:
    for temperature in (0.5, 1.0, 2.0):
        wanted = torch.softmax(SCORES / temperature, -1).tolist()
        for was, is_ in zip(wanted, drawn(Sampling(temperature=temperature)), strict=True):
            # Five standard errors of a share of 4,000.
            assert abs(was - is_) < 5 * math.sqrt(was * (1 - was) / 4000) + 1e-9


def test_only_what_top_k_and_top_p_leave_is_drawn() -> None:
    assert drawn(Sampling(temperature=1.0, top_k=2))[2:] == [0, 0, 0]
    assert drawn(Sampling(temperature=1.0, top_p=0.8))[2:] == [0, 0, 0]
    assert drawn(Sampling(temperature=0.0)) == [1, 0, 0, 0, 0]
    assert min(drawn(Sampling(temperature=3.0, top_k=-1, top_p=1.0))) > 0


def test_noise_is_standard_gumbel_and_hangs_on_its_own_row_step_and_token() -> None:
    noise = gumbel_noise(torch.tensor([1, 2, -7]), 3, 100_000)
    assert noise.isfinite().all()
    assert noise.mean(-1).tolist() == pytest.approx([0.5772] * 3, abs=0.02)
    assert noise.var(-1).tolist() == pytest.approx([math.pi**2 / 6] * 3, abs=0.05)
    assert torch.corrcoef(noise)[0, 1].abs() < 0.02
    assert torch.equal(gumbel_noise(torch.tensor([-7]), 3, 50)[0], noise[2, :50])
    later = gumbel_noise(torch.tensor([1]), 4, 100_000)
    assert torch.corrcoef(torch.cat([noise[:1], later]))[0, 1].abs() < 0.02


def test_the_noise_stays_as_it_is() -> None:
    # Stored answers can only be repeated while this holds.
    noise = gumbel_noise(torch.tensor([42]), 0, 3)[0].tolist()
    assert noise == pytest.approx([-0.06688648963940354, 3.0952801187684824, 0.3273551395566562], rel=1e-12)


def test_repetition_is_penalised_as_transformers_does_and_padding_is_not() -> None:
    ids = torch.tensor([[0, 0, 3, 1], [2, 3, 3, 4]])
    scores = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    ours = PenaliseRepetition(1.3, torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]))
    theirs = RepetitionPenaltyLogitsProcessor(1.3)
    first = ours(ids, scores)
    assert torch.equal(first[0], theirs(ids[:1, 2:], scores[:1])[0])
    assert torch.equal(first[1], theirs(ids[1:], scores[1:])[0])
    longer = torch.cat([ids, torch.tensor([[5], [0]])], 1)
    second = ours(longer, scores)
    assert torch.equal(second[0], theirs(longer[:1, 2:], scores[:1])[0])


def test_marks_beyond_the_vocabulary_are_no_repetition() -> None:
    penalise = PenaliseRepetition(2.0, torch.ones(1, 3, dtype=torch.int64))
    assert penalise(torch.tensor([[1, 99, 7]]), torch.ones(1, 6)).tolist() == [[1, 0.5, 1, 1, 1, 1]]


def test_what_a_request_leaves_open_is_the_model_s() -> None:
    own = Sampling(temperature=0.1, top_p=0.9, repetition_penalty=1.05)
    given = settled(Sampling(temperature=0.0, top_k=5, max_tokens=3, stop=("x",)), own)
    assert given == Sampling(
        temperature=0.0, top_k=5, max_tokens=3, stop=("x",), top_p=0.9, repetition_penalty=1.05
    )
