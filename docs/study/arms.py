"""What the study trains and asks: the rows of its table, and the configuration that all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["base", "sft", "dpo", "grpo"]


@dataclass(frozen=True, slots=True)
class Arm:
    """A row of the table.

    Attributes:
        name: Of its folders.
        title: For people.
        kind: How it is trained; ``base`` is not.
        form: Whether it is asked to think first.
        sets: Which run's training sets it sees: ``short`` thoughts alone, or ``long`` ones.
    """

    name: str
    title: str
    kind: Kind
    form: Literal["think", "direct"] = "think"
    sets: Literal["short", "long"] = "long"


BASE = Arm("base", "Student, asked to think", "base")
ARMS = (
    Arm("direct", "Student, answering at once", "base", form="direct"),
    BASE,
    Arm("sft-short", "SFT on short thoughts alone", "sft", sets="short"),
    Arm("sft", "SFT on long perceptual thoughts", "sft"),
    Arm("dpo", "SFT + DPO", "dpo"),
    Arm("grpo", "SFT + GRPO", "grpo"),
)

TRAIN = """\
recipe: default
seed: {seed}
model: {{ name: {student}, precision: float32 }}
data:
  pixels: {{ rule: area, limit: 84 }} # as large as the world's pictures are
  max_tokens: 1024
sft:
  data: {sets}/sft.jsonl
  learning_rate: 1.0e-3 # two million weights; the recipe's rates are for billions
  epochs: 3
  batch_size: 16
  micro_batch: 8
  gradient_checkpointing: false
dpo:
  start: {sft}
  data: {sets}/pairs.jsonl
  learning_rate: 2.0e-5
  max_steps: 40
  batch_size: 16
  micro_batch: 8
  gradient_checkpointing: false
grpo:
  start: {sft}
  data: {prompts}
  learning_rate: 5.0e-5
  max_steps: 20
  batch_size: 64 # completions: sixteen questions, four times each
  micro_batch: 16
  generations: 4
  max_completion_tokens: 256
  warmup_steps: 2
  gradient_checkpointing: false
"""
"""The same for every arm and seed; ``{sets}`` differs where short thoughts are learnt alone."""

SELECT = {
    "long": "  sft: {{ keep_right: 0.3, length_base: 0.5 }} # mostly the longest of each question\n",
    "short": "  sft: {{ kinds: [short_right], keep_right: 1.0, max_right: {count}, turned_per_right: 0 }}\n",
}
"""What the demonstration's outcomes are selected by; ``{count}`` is the number of long examples."""
