"""A prompt as the model gets it, and what completions of it earn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lpt_core import DataError
from lpt_train.config import GRPOConfig
from lpt_train.encoding import Encoder
from lpt_train.grpo.prompts import prompt_tokens
from lpt_train.images import PixelPolicy
from lpt_train.model import load_processor
from lpt_train.preview import PreviewRow, html_page, preview, row_text
from lpt_train.rows import read_prompts


@pytest.fixture(scope="module")
def encoder(tiny_model_dir: Path) -> Encoder:
    return Encoder(load_processor(str(tiny_model_dir)), pixels=PixelPolicy(limit=84))


def earned(row: PreviewRow) -> dict[str, float]:
    found = (re.fullmatch(r" *([-+]\d\.\d{3})  (.*)", note) for note in row.notes)
    return {told[2]: float(told[1]) for told in found if told}


def test_a_prompt_is_shown_to_the_token_and_bears_no_loss(encoder: Encoder, tiny_prompts: Path) -> None:
    examples = read_prompts(tiny_prompts)
    for row, example in zip(preview(tiny_prompts, encoder, lines=range(1, 25)), examples, strict=True):
        (prompt,) = row.responses
        assert (row.kind, prompt.name) == ("prompt", "prompt")
        assert prompt.tokens == len(prompt_tokens(encoder, example))
        assert prompt.bearing("nothing") == prompt.tokens
        assert prompt.spans[-1].text.endswith("<|im_start|>assistant\n")
        assert example.prompt[-1].text in "".join(span.text for span in prompt.spans)
    assert len(preview(tiny_prompts, encoder, count=3)) == 3
    with pytest.raises(DataError, match="no row on line 99"):
        preview(tiny_prompts, encoder, lines=[99])


def test_completions_earn_what_the_training_would_give(encoder: Encoder, tiny_prompts: Path) -> None:
    example = read_prompts(tiny_prompts)[1]
    gold = example.presentation.render_answer(example.mcq, example.mcq.gold)
    rewards = {"correct": 2, "format": 0.25, "length": 0.5, "length_buffer": 60}
    stage = GRPOConfig.model_validate({"rewards": rewards, "max_completion_tokens": 64})
    (row,) = preview(tiny_prompts, encoder, lines=[2], grpo=stage)
    assert row.notes[0] == f"right: {gold}"
    assert row.notes[1] == "rewards (correct 2, format 0.25, length 0.5), for example:"
    told = earned(row)
    assert told.pop(f"<think> … </think> <answer> {gold} </answer>: found") == 2.25
    assert told.pop(f"<answer> {gold} </answer>: found") == 2
    assert told.pop("<think> … of 64 tokens: truncated") == -0.5
    assert told.pop(f"<think> … </think> <answer> {gold} </answer> of 64 tokens: found") == 1.75
    ((wrong, reward),) = told.items()
    assert gold not in wrong
    assert reward == 0.25
    # By default nothing is taken off for length.
    (row,) = preview(tiny_prompts, encoder, lines=[2])
    assert sorted(earned(row).values()) == [0, 0.1, 1, 1.1]


def test_terminal_and_page_show_prompt_and_rewards(encoder: Encoder, tiny_prompts: Path) -> None:
    rows = preview(tiny_prompts, encoder, count=1)
    for said in (row_text(rows[0], colour=False).plain, html_page(rows, "prompts.jsonl")):
        assert "Which colour" in said or "colour" in said
        assert "rewards (correct 1, format 0.1), for example:" in said
        assert "+1.100" in said
