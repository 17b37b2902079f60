"""What GRPO makes of a question: which completions earn what, judged by the training's own rewards."""

from __future__ import annotations

from lpt_core import PromptExample
from lpt_train.config import GRPOConfig
from lpt_train.grpo.rewards import Rewards

_THOUGHT = "<think> … </think>"


def told_rewards(example: PromptExample, stage: GRPOConfig) -> tuple[str, ...]:
    """The question's right answer as shown, and what a few completions would earn, a line each.

    Args:
        example: The question.
        stage: Its rewards and the most tokens of a completion.
    """
    mcq, shown = example.mcq, example.presentation
    gold = shown.render_answer(mcq, mcq.gold)
    other = shown.render_answer(mcq, next(place for place in shown.order if place != mcq.gold))
    rewards = Rewards([example], stage.rewards, stage.max_completion_tokens)
    most = stage.max_completion_tokens
    completions = [
        (f"{_THOUGHT} <answer> {gold} </answer>", 0),
        (f"<answer> {gold} </answer>", 0),
        (f"{_THOUGHT} <answer> {other} </answer>", 0),
        ("<think> …", most),
    ]
    if "length" in rewards.weights:
        completions.append((f"{_THOUGHT} <answer> {gold} </answer>", most))
    weights = ", ".join(f"{name} {weight:g}" for name, weight in rewards.weights.items())
    lines = [f"right: {gold}", f"rewards ({weights}), for example:"]
    for text, tokens in completions:
        (one,) = rewards.scores([text], [tokens], [0])
        earned = sum(weight * getattr(one, name) for name, weight in rewards.weights.items())
        ending = f" of {most} tokens" if tokens else ""
        lines.append(f"{earned:+8.3f}  {text}{ending}: {one.status}")
    return tuple(lines)
