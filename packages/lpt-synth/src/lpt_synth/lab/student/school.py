"""From nothing to a student in a folder: tokenizer, tower, language model, and what it then knows."""

# torch and transformers leave parts of what is used here without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lpt_core import derived_int
from lpt_synth.lab.captions import write_caption
from lpt_synth.lab.draw import overlaps
from lpt_synth.lab.question import Question
from lpt_synth.lab.questions import scene_questions
from lpt_synth.lab.scene import LEVELS, Scene
from lpt_synth.lab.student.batches import Batches
from lpt_synth.lab.student.build import build_model, build_processor, save_student
from lpt_synth.lab.student.language import Class, Lessons
from lpt_synth.lab.student.lessons import LOOK, Teaching
from lpt_synth.lab.student.measure import answers, items, load_student, score
from lpt_synth.lab.student.schooling import Curve, Schooling, training_scenes
from lpt_synth.lab.student.tokenizer import make_tokenizer
from lpt_synth.lab.student.tower import Eye, names_of, settle, teach_tower
from lpt_synth.lab.teacher.samples import sample_texts

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

RECORD = "training.json"
"""What is written beside the weights: settings, curve, scores."""

_READ = 1500  # scenes that the tokenizer's texts are about
_MANNERS: Mapping[str, Mapping[str, bool]] = {
    "thinking": {},
    "looking closely": {"look": True},
    "at once": {"think": False},
}
_LONGEST = 256  # tokens of an answer in the last examination
_REPORT, _EXAMINE = 50, 500  # steps between reports, and between examinations
_VALIDATION, _TEST = 256, 500  # questions of an examination


def texts_of(scenes: Sequence[Scene], asked: Sequence[Sequence[Question]], seed: int) -> Iterator[str]:
    """What the tokenizer is made from: captions, descriptions, questions, short thoughts and long ones."""
    teaching = Teaching()
    for index, scene in enumerate(scenes):
        draw = random.Random(derived_int(seed, "texts", index))
        yield write_caption(scene, overlaps(scene), draw)
        yield teaching.describe(index, scene, draw).answer
        found = teaching.find(index, scene, draw)
        yield f"{found.user}\n{found.answer}"
        for question in asked[index]:
            lesson = teaching.ask(index, question, draw, think=True)
            yield f"{lesson.user}\n{_untagged(lesson.answer)}"
    yield from map(_untagged, sample_texts(2 * len(scenes), seed))
    yield from (f"{LOOK}\n" for _ in scenes)


def _untagged(text: str) -> str:
    """Without tags, which are tokens of their own, but with what stands beside them."""
    for tag in ("<think>", "</think>", "<answer>", "</answer>"):
        text = text.replace(tag, "\n")
    return text


class School:
    """Makes a student; stopped or killed, the same call goes on where it was.

    Args:
        to: The student's folder; what teaching goes on from lies beside it in ``<name>.work``.
        how: Settings.
        tell: Shown what happens, a line at a time.
    """

    def __init__(self, to: Path, how: Schooling, tell: Callable[[str], None]) -> None:
        self.to, self.how, self.tell = to, how, tell
        self.work = to.with_name(f"{to.name}.work")
        self.curve = Curve(tell=lambda row: tell(json.dumps(row)))

    def teach(self) -> None:
        """Teach, examine, save."""
        import torch

        torch.manual_seed(self.how.seed)
        self.work.mkdir(parents=True, exist_ok=True)
        self.tell(f"drawing and asking about {self.how.scenes} scenes")
        scenes = training_scenes(self.how.scenes, self.how.seed)
        asked = [scene_questions(scene, self.how.per_scene, seed=self.how.seed) for scene in scenes]
        tokenizer = make_tokenizer(texts_of(scenes[:_READ], asked[:_READ], self.how.seed))
        model, processor = build_model(tokenizer), build_processor(tokenizer)
        size = sum(parameter.numel() for parameter in model.parameters())
        self.tell(f"{size:,} parameters, {len(tokenizer)} tokens in the vocabulary")
        seen = self._sight(model, processor, tokenizer, scenes)
        self._language(model, processor, tokenizer, Lessons(scenes, asked, self.how), seen)
        self._finish(model, processor)

    def _sight(
        self,
        model: Qwen2_5_VLForConditionalGeneration,
        processor: Qwen2_5_VLProcessor,
        tokenizer: PreTrainedTokenizerFast,
        scenes: Sequence[Scene],
    ) -> torch.Tensor:
        import torch

        eye, saved = Eye(model, processor, self.how.seed), self.work / "tower.pt"
        if saved.exists():
            kept = torch.load(saved)
            eye.tower.load_state_dict(kept["tower"])
            self._go_on(kept)
        else:
            words = cast(Any, model.get_input_embeddings()).weight
            teach_tower(eye, scenes, self.how, self.curve, names_of(words, tokenizer))
            settle(eye, scenes[:256], 2 * float(words.detach().std()))
            self._keep(saved, {"tower": eye.tower.state_dict()})
        eye.tower.requires_grad_(False)
        self.tell("looking at all scenes")
        with torch.no_grad():
            return torch.cat([eye.tokens(scenes[at : at + 128]) for at in range(0, len(scenes), 128)])

    def _language(
        self,
        model: Qwen2_5_VLForConditionalGeneration,
        processor: Qwen2_5_VLProcessor,
        tokenizer: PreTrainedTokenizerFast,
        lessons: Lessons,
        seen: torch.Tensor,
    ) -> None:
        import torch

        taught = Class(model, Batches(tokenizer), seen, lessons, self.how)
        saved = self.work / "language.pt"
        if saved.exists():
            kept = torch.load(saved)
            taught.restore(kept["language"])
            self._go_on(kept)
        asked = items("validation", _VALIDATION, seed=self.how.seed)
        while taught.step < self.how.steps:
            loss = taught.teach(_REPORT)
            left = (self.how.steps - taught.step) * self.curve.seconds_per_step(taught.step)
            self.curve.add(step=taught.step, loss=round(loss, 4), minutes_left=round(left / 60, 1))
            if taught.step % _EXAMINE == 0 or taught.step == self.how.steps:
                marks = score(asked, answers(model, processor, asked))
                self.curve.add(
                    step=taught.step, right=round(marks.right, 4), readable=round(marks.readable, 4)
                )
                self._keep(saved, {"language": taught.state()})

    def _finish(self, model: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor) -> None:
        """Save, and examine what was saved: bfloat16 weights, read back."""
        seconds = self.curve.seconds
        save_student(model, processor, self.to)
        scores = examine(self.to, self.how.seed, self.tell)
        record = {
            "schooling": asdict(self.how),
            "seconds": round(seconds),
            "questions": _TEST,
            "test": scores,
            "curve": self.curve.rows,
        }
        (self.to / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def _keep(self, saved: Path, state: dict[str, Any]) -> None:
        import torch

        new = saved.with_suffix(".new")
        torch.save(state | {"curve": self.curve.rows, "seconds": self.curve.seconds}, new)
        new.replace(saved)

    def _go_on(self, kept: dict[str, Any]) -> None:
        self.curve.go_on(kept["curve"], kept["seconds"])
        self.tell(f"going on after {kept['seconds'] / 60:.1f} minutes")


def examine(student: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """What a student that was saved has right of test questions, by level and by how it is asked."""
    model, processor = load_student(student)
    scores: dict[str, Any] = {}
    for level in LEVELS:
        for manner, how in _MANNERS.items():
            asked = items("test", _TEST, seed=seed, level=level, **how)
            marks = score(asked, answers(model, processor, asked, max_tokens=_LONGEST))
            scores[f"{level}, {manner}"] = asdict(marks)
            tell(f"test, {level}, {manner}: {marks.right:.3f} right")
    return scores
