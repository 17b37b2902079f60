from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lpt_train.collate import NO_LABEL, NO_REGION, SFTCollator, padded
from lpt_train.encoding import REGIONS, Encoded, Encoder
from lpt_train.images import PixelPolicy
from lpt_train.rows import read_sft


@pytest.fixture(scope="module")
def encoder(tiny_model_dir: Path) -> Encoder:
    from transformers import AutoProcessor

    return Encoder(AutoProcessor.from_pretrained(tiny_model_dir), pixels=PixelPolicy(limit=112))


@pytest.fixture(scope="module")
def rows(encoder: Encoder, tiny_rows: Path) -> list[Encoded]:
    return [encoder.encode(row.prompt, row.response) for row in read_sft(tiny_rows / "sft.jsonl")]


def test_a_batch_of_images_of_different_sizes_keeps_every_token_and_label(
    encoder: Encoder, rows: list[Encoded]
) -> None:
    batch = SFTCollator(encoder)(rows[:8])
    grids = [tuple(grid) for grid in batch["image_grid_thw"].tolist()]
    assert grids == [encoder.pictures.grid(row.image) for row in rows[:8]]
    assert len(set(grids)) >= 4
    assert batch["pixel_values"].shape[0] == sum(t * h * w for t, h, w in grids)
    assert batch["input_ids"].shape[1] == max(map(len, rows[:8]))
    for place, row in enumerate(rows[:8]):
        length = len(row)
        assert batch["input_ids"][place, :length].tolist() == list(row.ids)
        assert batch["attention_mask"][place].sum() == length
        labels = batch["labels"][place]
        assert labels[length:].eq(NO_LABEL).all()
        assert labels[:length].ne(NO_LABEL).tolist() == list(row.labels)
        assert labels[labels != NO_LABEL].tolist() == [
            i for i, loss in zip(row.ids, row.labels, strict=True) if loss
        ]
        numbers = batch["regions"][place].tolist()
        assert [REGIONS[number] for number in numbers[:length]] == list(row.regions)
        assert set(numbers[length:]) <= {NO_REGION}
        assert batch["mm_token_type_ids"][place].sum() == row.regions.count("image")


def test_the_model_reads_a_row_in_a_batch_as_it_reads_it_alone(
    encoder: Encoder, rows: list[Encoded], tiny_model_dir: Path
) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    model: Any = AutoModelForImageTextToText.from_pretrained(tiny_model_dir).eval()
    collate = SFTCollator(encoder)

    def losses(some: list[Encoded]) -> list[float]:
        batch = collate(some)
        batch.pop("regions")
        labels = batch.pop("labels")
        with torch.no_grad():
            logits = model(**batch).logits
        return [
            float(torch.nn.functional.cross_entropy(row[:-1], target[1:], ignore_index=NO_LABEL))
            for row, target in zip(logits, labels, strict=True)
        ]

    some = sorted(rows[:4], key=len)
    assert len(some[0]) < len(some[-1])
    alone = [losses([row])[0] for row in some]
    assert losses(some) == pytest.approx(alone, abs=1e-4)


def test_lengths_are_filled_up_to_a_multiple(encoder: Encoder, rows: list[Encoded]) -> None:
    batch = SFTCollator(encoder, multiple=64)(rows[:2])
    assert batch["input_ids"].shape[1] % 64 == 0
    assert batch["input_ids"].shape[1] - max(map(len, rows[:2])) < 64


def test_nothing_is_cut_to_fit() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        padded([[1, 2, 3]], 0, 2)
