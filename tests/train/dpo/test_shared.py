"""Prefix-shared pairs against the plain computation: the same numbers, fewer tokens."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import logsigmoid

from lpt_core import ConfigError
from lpt_train.dpo.collate import Count
from lpt_train.dpo.loss import preference_loss
from lpt_train.dpo.shared import check_attention, pair_log_probs

BETA, WEIGHT = 0.3, 0.7
EXACTNESS = [
    ("sdpa", torch.float64, 1e-9),
    # Eager attention takes its softmax in float32 whatever the model is in.
    ("eager", torch.float64, 1e-6),
    ("sdpa", torch.float32, 1e-5),
    ("eager", torch.float32, 1e-5),
]


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def plain_loss(bench, pairs, batch, over):
    """DPO and SFT term as the papers have them: on whole responses, each encoded alone."""
    terms, sums, tokens, means = [], [], 0, []
    for pair, reference in zip(pairs, batch["reference"], strict=True):
        chosen, rejected = bench.plain(pair)
        bears = torch.tensor(list(pair.sft), dtype=torch.bool)
        margin = chosen.sum() - rejected.sum() - (reference[0] - reference[1])
        terms.append(-logsigmoid(BETA * margin))
        sums.append(-chosen[bears].sum())
        tokens += int(bears.sum())
        means.append(-chosen[bears].mean())
    sft = torch.stack(means).mean() if over == "sequence" else torch.stack(sums).sum() / tokens
    return torch.stack(terms).mean() + WEIGHT * sft


def our_loss(bench, batch, over):
    counts = batch["counts"]
    return preference_loss(
        pair_log_probs(bench.model, batch, attention=bench.attention),
        batch["reference"],
        beta=BETA,
        sft_weight=WEIGHT,
        sft_over=over,
        pairs=counts[Count.PAIRS],
        sft_tokens=counts[Count.SFT_TOKENS],
    ).loss


@pytest.mark.parametrize("family", ["qwen2.5", "qwen3"])
@pytest.mark.parametrize(("attention", "dtype", "within"), EXACTNESS)
def test_log_probs_of_both_responses_are_those_of_two_sequences(bench, family, attention, dtype, within):
    table = bench.of(family, attention, dtype)
    pairs = table.mixed()
    with torch.no_grad():
        found = pair_log_probs(table.model, table.batch(pairs), attention=attention)
        for index, pair in enumerate(pairs):
            chosen, rejected = table.plain(pair)
            bears = torch.tensor(list(pair.sft), dtype=torch.bool)
            size = chosen.abs().sum().item()
            for got, wanted in (
                (found.chosen[index], chosen[pair.shared :].sum()),
                (found.rejected[index], rejected[pair.shared :].sum()),
                (found.sft_sum[index], chosen[bears].sum()),
                (found.sft_count[index], bears.sum()),
            ):
                # Sums over some dozen tokens; 1e-5 is relative to their size.
                assert abs(got.item() - wanted.item()) <= within * max(1.0, size)


@pytest.mark.parametrize(
    ("family", "over"), [("qwen2.5", "sequence"), ("qwen2.5", "token"), ("qwen3", "token")]
)
@pytest.mark.parametrize(("attention", "dtype", "within"), EXACTNESS)
def test_gradients_are_those_of_two_sequences(bench, family, attention, over, dtype, within):
    table = bench.of(family, attention, dtype)
    pairs = table.mixed()
    batch = table.batch(pairs)
    wanted_loss = plain_loss(table, pairs, batch, over)
    wanted_loss.backward()
    wanted = gradients(table.model)
    table.model.zero_grad()
    loss = our_loss(table, batch, over)
    loss.backward()
    found = gradients(table.model)
    assert loss.item() == pytest.approx(wanted_loss.item(), rel=within)
    assert found.keys() == wanted.keys()
    largest = max(gradient.abs().max().item() for gradient in wanted.values())
    assert largest > 0.1
    for name, gradient in wanted.items():
        # The tower's rotations compute in float32 whatever the model is in.
        bound = max(within, 1e-7) if ".visual." in name else within
        assert (found[name] - gradient).abs().max().item() <= bound * largest, name


def test_unshared_rows_give_the_same(bench):
    table = bench.of()
    pairs = table.mixed()
    with torch.no_grad():
        shared = pair_log_probs(table.model, table.batch(pairs))
        alone = pair_log_probs(table.model, table.batch(pairs, share=False))
    for name in ("chosen", "rejected", "sft_sum", "sft_count"):
        torch.testing.assert_close(getattr(shared, name), getattr(alone, name), rtol=1e-10, atol=1e-10)


def test_a_change_of_one_response_leaves_the_other_alone(bench):
    table = bench.of()
    prompt = table.prompt(1, (1, 4, 4))
    common = table.text(5)
    first = table.pair(prompt, shared=5, chosen=4, rejected=6, start=common)
    second = table.pair(prompt, shared=5, chosen=9, rejected=6, start=common)
    second.rejected[:] = first.rejected
    with torch.no_grad():
        one, other = (pair_log_probs(table.model, table.batch([pair])) for pair in (first, second))
    assert one.rejected.item() == pytest.approx(other.rejected.item(), rel=1e-12)
    assert abs(one.chosen.item() - other.chosen.item()) > 0.1


def test_micro_batches_of_an_update_sum_to_its_loss(bench):
    table = bench.of()
    pairs = table.mixed()
    whole = table.batch(pairs)
    for over in ("sequence", "token"):
        loss = our_loss(table, whole, over)
        parts = []
        for start in range(0, len(pairs), 4):
            batch = table.batch(pairs[start : start + 4])
            batch["reference"] = whole["reference"][start : start + 4]
            batch["counts"] = whole["counts"]
            parts.append(our_loss(table, batch, over))
        assert sum(parts).item() == pytest.approx(loss.item(), rel=1e-12)


def test_shared_tokens_are_encoded_once_and_scored_only_where_they_bear_loss(bench):
    table = bench.of()
    pair = table.pair(table.prompt(1, (1, 4, 4)), shared=20, chosen=5, rejected=3, silent=20)
    batch = table.batch([pair])
    tokens = len(pair.prompt) + 20 + 5 + 3  # each response's last token, its end, is only predicted
    assert batch["input_ids"].shape == (1, tokens)
    assert pair.encoded_tokens == tokens
    assert pair.plain_tokens == 2 * (len(pair.prompt) + 20 + 1) + 5 + 3
    # Five and three tokens and two ends are predicted; where the responses part, from one position.
    assert batch["counts"][Count.SCORED] == 5 + 3 + 1
    assert batch["counts"][Count.PLAIN_TOKENS] == pair.plain_tokens
    with_prefix = table.batch([table.pair(table.prompt(1, (1, 4, 4)), shared=20, chosen=5, rejected=3)])
    assert with_prefix["counts"][Count.SCORED] == 20 + 5 + 3 + 1


def test_pairs_about_one_prompt_share_a_row(bench):
    table = bench.of()
    prompt = table.prompt(1, (1, 4, 4))
    pairs = [table.pair(prompt, shared=4, chosen=3, rejected=2) for _ in range(3)]
    assert table.batch(pairs)["input_ids"].shape[0] == 1
    assert table.batch(pairs, share=False)["input_ids"].shape[0] == 6


def test_the_shared_beginning_bears_sft_loss_only_where_it_is_marked(bench):
    table = bench.of()
    prompt = table.prompt(1, (1, 4, 4))
    common = table.text(6)
    masked = table.pair(prompt, shared=6, chosen=4, rejected=2, silent=6, start=common)
    with torch.no_grad():
        found = pair_log_probs(table.model, table.batch([masked]))
        chosen, _ = table.plain(masked)
        none = pair_log_probs(table.model, table.batch([masked], sft=False))
    assert found.sft_count.item() == 5
    assert found.sft_sum.item() == pytest.approx(chosen[6:].sum().item(), rel=1e-9)
    assert none.sft_count.item() == 0


def test_attention_that_takes_no_mask_is_refused():
    check_attention("flash_attention_2", share=False)
    check_attention("sdpa", share=True)
    with pytest.raises(ConfigError, match="flash_attention_2"):
        check_attention("flash_attention_2", share=True)
