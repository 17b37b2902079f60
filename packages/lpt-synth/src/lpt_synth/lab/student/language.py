"""Teaching the student's language model to say what its tower sees, the tower frozen."""

# torch and transformers leave parts of what is used here without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from lpt_core import derived_int
from lpt_synth.lab.question import Question
from lpt_synth.lab.scene import Scene
from lpt_synth.lab.student.batches import IGNORED, VISUAL_TOKENS, Batch, Batches
from lpt_synth.lab.student.lessons import Lesson, Teaching
from lpt_synth.lab.student.schooling import Schooling, set_rate

if TYPE_CHECKING:
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration


class Lessons:
    """The lessons of each step, which depend on the step alone: descriptions, drills and questions mixed."""

    def __init__(self, scenes: Sequence[Scene], asked: Sequence[Sequence[Question]], how: Schooling) -> None:
        self._scenes, self._asked, self._how = scenes, asked, how
        self._teaching = Teaching()

    def of(self, step: int) -> list[Lesson]:
        """A batch."""
        draw = random.Random(derived_int(self._how.seed, "lessons", step))
        return [self._lesson(draw) for _ in range(self._how.batch)]

    def _lesson(self, draw: random.Random) -> Lesson:
        how, teaching = self._how, self._teaching
        shares = (how.described, how.found, how.looked, how.direct)
        kind = draw.choices(range(5), (*shares, 1 - sum(shares)))[0]
        index = draw.randrange(len(self._scenes))
        scene, question = self._scenes[index], draw.choice(self._asked[index])
        if kind == 0:
            return teaching.describe(index, scene, draw)
        if kind == 1:
            return teaching.find(index, scene, draw)
        if kind == 2:
            return teaching.look(index, scene, question, draw)
        return teaching.ask(index, question, draw, think=kind == 4)


def loss_of(model: Qwen2_5_VLForConditionalGeneration, batch: Batch, seen: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of what is to be learned.

    Args:
        model: The student.
        batch: Lessons.
        seen: The tower's tokens of their pictures, (lessons, 9, hidden).
    """
    import torch

    embedded = model.get_input_embeddings()(batch.ids)
    places = batch.images[:, None] + torch.arange(VISUAL_TOKENS)
    embedded = embedded.scatter(1, places[..., None].expand(-1, -1, embedded.shape[-1]), seen)
    language = cast(Any, model.model.language_model)
    out = language(inputs_embeds=embedded, position_ids=batch.positions, use_cache=False).last_hidden_state
    labels = batch.labels[:, 1:]
    learned = labels != IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(out[:, :-1][learned]), labels[learned])


@dataclass(slots=True)
class Class:
    """Teaches the language model with the tower's tokens as they are; can be saved and gone on with.

    Attributes:
        model: The student, its tower taught.
        batches: Makes tensors of lessons.
        seen: The tower's tokens of all scenes, (scenes, 9, hidden).
        lessons: What is taught at each step.
        how: Steps, rates.
        step: Steps that are done.
    """

    model: Qwen2_5_VLForConditionalGeneration
    batches: Batches
    seen: torch.Tensor
    lessons: Lessons
    how: Schooling
    step: int = 0
    _parameters: list[torch.nn.Parameter] = field(init=False)
    _optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        """All parameters but the tower's are taught."""
        import torch

        tower = {id(parameter) for parameter in self.model.model.visual.parameters()}
        self._parameters = [one for one in self.model.parameters() if id(one) not in tower]
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=self.how.rate, weight_decay=0.01, betas=(0.9, 0.98)
        )

    def teach(self, steps: int) -> float:
        """Teach for so many steps, or to the end of the schedule.

        Returns:
            The mean loss, in nats per token.
        """
        import torch

        losses: list[float] = []
        for step in range(self.step, min(self.step + steps, self.how.steps)):
            batch = self.batches.make(self.lessons.of(step))
            loss = loss_of(self.model, batch, self.seen[batch.scenes])
            set_rate(self._optimizer, self.how.rate, step, self.how.steps)
            self._optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
            self._optimizer.step()
            losses.append(loss.item())
        self.step += len(losses)
        return sum(losses) / max(1, len(losses))

    def state(self) -> dict[str, Any]:
        """All that teaching goes on from."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
