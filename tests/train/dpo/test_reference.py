"""Reference log-probabilities on disk: whole lines only, the same numbers whatever happened."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from lpt_core import StoreError
from lpt_train.dpo.reference import ReferenceCache, fill_reference, reference_identity
from lpt_train.dpo.shared import pair_log_probs


def fill(table, cache, pairs, **more):
    return fill_reference(
        cache, pairs, table.model, table.collator(), micro=2, device=torch.device("cpu"),
        attention="sdpa", inside=nullcontext, **more,
    )  # fmt: skip


def test_what_is_kept_is_what_the_model_says(bench, tmp_path):
    table = bench.of()
    pairs = table.mixed()
    cache = ReferenceCache(tmp_path, "id")
    assert fill(table, cache, pairs) == len(pairs)
    again = ReferenceCache(tmp_path, "id")
    with torch.no_grad():
        for pair in pairs:
            live = pair_log_probs(table.model, table.batch([pair]))
            assert again[pair] == pytest.approx((live.chosen.item(), live.rejected.item()), rel=1e-9)
    assert fill(table, again, pairs) == 0
    assert pairs[0] not in ReferenceCache(tmp_path, "other")


def test_lines_cut_short_are_computed_again_and_harm_no_others(bench, tmp_path):
    table = bench.of()
    pairs = table.mixed()
    fill(table, ReferenceCache(tmp_path, "id"), pairs)
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 2):
        file.write_bytes(whole[:length])
        cache = ReferenceCache(tmp_path, "id")
        assert fill(table, cache, pairs) > 0
        fresh = ReferenceCache(tmp_path, "id")
        for pair in pairs:
            assert fresh[pair] == cache[pair]
    for rubbish in (b"\xff\n", b"[]\n", b'{"pair": 1}\n', b'{"pair": "x", "chosen": "a", "rejected": 1.0}\n'):
        file.write_bytes(rubbish + whole)
        assert fill(table, ReferenceCache(tmp_path, "id"), pairs) == 0


def test_numbers_do_not_depend_on_what_was_there_already(bench, tmp_path):
    table = bench.of()
    pairs = table.mixed()
    first = ReferenceCache(tmp_path / "a", "id")
    fill(table, first, pairs)
    part = ReferenceCache(tmp_path / "b", "id")
    part.add({pairs[3].key: first[pairs[3]]})
    fill(table, part, pairs)
    assert all(first[pair] == part[pair] for pair in pairs)


def test_processes_share_the_work(bench, tmp_path):
    table = bench.of()
    pairs = table.mixed()
    caches = [ReferenceCache(tmp_path, "id", process=number) for number in range(2)]
    done = [fill(table, cache, pairs, process=n, processes=2) for n, cache in enumerate(caches)]
    assert max(done) < len(pairs)
    for cache in caches:
        cache.reread()
        assert all(pair in cache for pair in pairs)


def test_its_name_says_what_it_is_for():
    names = {
        reference_identity(weights=weights, encoder=encoder, arithmetic=arithmetic)
        for weights in "ab"
        for encoder in "cd"
        for arithmetic in ("float32 sdpa", "mixed sdpa")
    }
    assert len(names) == 8


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    cache = ReferenceCache(tmp_path / "file", "id")
    with pytest.raises(StoreError, match="cannot be written"):
        cache.add({"x": (-1.0, -2.0)})
