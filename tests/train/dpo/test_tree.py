"""Trees of tokens: who sees whom, and where each token stands."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lpt_core import DataError, ImageRef
from lpt_train.dpo.pairs import TokenPair, common_prefix
from lpt_train.dpo.trainer import pair_order
from lpt_train.dpo.tree import TokenTree
from lpt_train.encoding import Encoded
from lpt_train.positions import rope_positions

IMAGE = ImageRef(path="a.png", sha256="0" * 64, width=1, height=1)
# Few different tokens, so that beginnings are often shared.
responses = st.lists(st.lists(st.integers(10, 12), min_size=1, max_size=8), min_size=1, max_size=5)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), responses)
def test_each_token_sees_what_it_would_see_alone(prompt, answers):
    tree = TokenTree(prompt)
    sources = [tree.add(answer) for answer in answers]
    mask = tree.mask()
    assert mask.shape == (len(tree.tokens), len(tree.tokens))
    for answer, nodes in zip(answers, sources, strict=True):
        assert len(nodes) == len(answer)
        for place, node in enumerate(nodes):
            seen = mask[node].nonzero()[:, 0].tolist()
            assert [tree.tokens[one] for one in seen] == [*prompt, *answer[:place]]
            if place:
                assert tree.depths[node - len(prompt)] == place - 1
    # Nothing is there twice, and nothing but what predicts something.
    beginnings = {tuple(answer[:place]) for answer in answers for place in range(1, len(answer))}
    assert len(tree.tokens) == len(prompt) + len(beginnings)


@given(responses)
def test_a_mask_is_needed_exactly_where_something_branches(answers):
    tree = TokenTree([1, 2])
    for answer in answers:
        tree.add(answer)
    causal = torch.ones(len(tree.tokens), len(tree.tokens), dtype=torch.bool).tril()
    assert tree.branches == (not torch.equal(tree.mask(), causal))


@pytest.mark.parametrize("family", ["qwen2.5", "qwen3"])
@pytest.mark.parametrize("grids", [[(1, 4, 6)], [(1, 8, 2), (1, 2, 4)], []])
def test_positions_are_the_models_own(bench, family, grids):
    table = bench.of(family)
    tokens = [8, 9]
    for _, height, width in grids:
        tokens += [3, *[5] * (height // 2 * (width // 2)), 4, 11]
    ids = torch.tensor([tokens])
    wanted, deltas = table.model.model.get_rope_index(
        ids, mm_token_type_ids=(ids == 5).int(), image_grid_thw=torch.tensor(grids) if grids else None
    )
    found, following = rope_positions(tokens, grids, image_token=5, merge=2)
    assert torch.equal(found, wanted[:, 0])
    assert following == len(tokens) + int(deltas)


@pytest.mark.parametrize("grids", [[], [(1, 4, 4), (1, 2, 2)], [(1, 2, 2)], [(1, 8, 8)]])
def test_images_that_do_not_fit_their_tokens_are_refused(grids):
    with pytest.raises(ValueError, match="image"):
        rope_positions([8, 5, 5, 5, 5, 9], grids, image_token=5, merge=2)


def encoded(prompt, response, labels=None, image=IMAGE):
    bears = labels or [True] * len(response)
    return Encoded(
        ids=(*prompt, *response),
        labels=(*[False] * len(prompt), *bears),
        regions=("prompt",) * len(prompt) + ("answer",) * len(response),
        straddling=(),
        image=image,
        prompt_length=len(prompt),
    )


def test_a_pair_parts_where_its_tokens_do():
    pair = TokenPair.of("p", encoded([1, 2], [5, 6, 7], [False, True, True]), encoded([1, 2], [5, 6, 8, 9]))
    assert (list(pair.prompt), list(pair.chosen), list(pair.rejected)) == ([1, 2], [5, 6, 7], [5, 6, 8, 9])
    assert pair.shared == 2
    assert list(pair.sft) == [0, 1, 1]
    assert common_prefix([1, 2], [1, 2, 3]) == 2


def test_pairs_that_are_none_are_refused():
    with pytest.raises(DataError, match="the same prompt"):
        TokenPair.of("p", encoded([1, 2], [5]), encoded([1, 3], [6]))
    with pytest.raises(DataError, match="are the same 2 tokens"):
        TokenPair.of("p", encoded([1], [5, 6]), encoded([1], [5, 6]))


def test_the_key_is_of_what_the_model_reads():
    def key(rejected, image=IMAGE):
        return TokenPair.of("p", encoded([1], [5], image=image), encoded([1], rejected, image=image)).key

    moved = IMAGE.model_copy(update={"path": "elsewhere/a.png"})
    other = IMAGE.model_copy(update={"sha256": "1" * 64})
    assert key([6]) == key([6], moved)
    assert len({key([6]), key([6, 7]), key([6], other)}) == 3


def test_pairs_about_one_prompt_stand_together_in_an_update():
    prompts = [[1, 2, number] for number in range(8)]
    pairs = [
        TokenPair.of(f"{n}", encoded(prompts[n % 8], [5] * (n + 1)), encoded(prompts[n % 8], [6]))
        for n in range(24)
    ]
    order = list(pair_order(pairs, batch=24, micro=4, window=1, seed=1))
    assert sorted(order) == list(range(24))
    told = [pairs[number].prompt.tobytes() for number in order]
    changes = sum(one != other for one, other in pairwise(told))
    assert changes == 7
    # What the pairs of an update are is a random draw all the same.
    small = list(pair_order(pairs, batch=6, micro=2, window=1, seed=1))
    assert sorted(small[:6]) != sorted(order[:6])
