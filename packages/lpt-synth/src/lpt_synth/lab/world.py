"""The world on disk: pictures with captions for a run, and held-out questions for an evaluation."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lpt_core import MCQ, Caption, ConfigError, DataError, ImageRef, derived_int
from lpt_synth.lab.captions import write_caption
from lpt_synth.lab.draw import draw_scene, overlaps
from lpt_synth.lab.questions import scene_questions
from lpt_synth.lab.scene import SIDE, Level, Scene, Split, make_scene
from lpt_synth.rundir import write_atomically

SOURCE = "lpt-lab"
LICENCE = "Apache-2.0"
CAPTIONS_FILE, MCQS_FILE, IMAGES = "captions.jsonl", "mcqs.jsonl", "images"


@dataclass(frozen=True, slots=True)
class World:
    """A selection of scenes.

    Attributes:
        split: Whose layouts they have.
        level: How hard they are to see.
        seed: Another seed makes another world.
    """

    split: Split = "train"
    level: Level = "medium"
    seed: int = 0

    def scene(self, number: int) -> Scene:
        """Scene ``number``, from 0."""
        return make_scene(self.split, number, seed=self.seed, level=self.level)

    def name(self, number: int) -> str:
        """Of a scene: "train-medium-0007"."""
        return f"{self.split}-{self.level}-{number:04}"

    def caption(self, scene: Scene) -> str:
        """The dense caption of a scene."""
        draw = random.Random(derived_int(self.seed, "lab-caption", self.name(scene.number)))
        return write_caption(scene, overlaps(scene), draw)

    def picture(self, scene: Scene) -> bytes:
        """The picture of a scene as PNG."""
        buffer = io.BytesIO()
        draw_scene(scene, seed=self.seed).save(buffer, "PNG")
        return buffer.getvalue()


def write_world(to: Path, world: World, count: int) -> None:
    """Write pictures and captions that a run reads as a table.

    ``captions.jsonl`` has the columns id, caption, image and split; what is there already is written over
    with the same bytes.

    Args:
        to: A folder.
        world: Which scenes.
        count: How many, from the first.

    Raises:
        DataError: It cannot be written.
    """
    rows: list[str] = []
    for number in range(count):
        scene = world.scene(number)
        image = f"{IMAGES}/{world.name(number)}.png"
        _write(to / image, world.picture(scene))
        row = {
            "id": world.name(number),
            "caption": world.caption(scene),
            "image": image,
            "split": world.split,
        }
        rows.append(json.dumps(row) + "\n")
    _write(to / CAPTIONS_FILE, "".join(rows).encode())


def held_out(world: World, count: int, *, per_scene: int) -> Iterator[tuple[Caption, list[MCQ], bytes]]:
    """Captions, the questions about each, and its picture; image paths are relative to the questions' folder.

    Args:
        world: Which scenes.
        count: How many, from the first.
        per_scene: Questions about each, of different kinds.
    """
    for number in range(count):
        scene = world.scene(number)
        picture = world.picture(scene)
        image = ImageRef(
            path=f"{IMAGES}/{world.name(number)}.png",
            sha256=hashlib.sha256(picture).hexdigest(),
            width=SIDE,
            height=SIDE,
        )
        caption = Caption.make(
            text=world.caption(scene),
            image=image,
            source=SOURCE,
            source_id=world.name(number),
            split=world.split,
            licence=LICENCE,
        )
        yield caption, _mcqs(caption, scene, world.seed, per_scene), picture


def _mcqs(caption: Caption, scene: Scene, seed: int, count: int) -> list[MCQ]:
    found: list[MCQ] = []
    for question in scene_questions(scene, count, seed=seed):
        options = [question.answer, *question.distractors]
        options.sort(key=lambda option: derived_int(seed, caption.id, question.text, option))
        found.append(
            MCQ.make(
                caption_id=caption.id,
                question=question.text,
                options=tuple(options),
                gold=options.index(question.answer),
                kind=question.label,
            )
        )
    return found


def write_held_out(to: Path, world: World, count: int, *, per_scene: int = 4) -> int:
    """Write questions as core records: ``mcqs.jsonl``, ``captions.jsonl`` and ``images/``.

    Args:
        to: A new or empty folder, or an earlier export.
        world: Which scenes; the test split for an evaluation.
        count: How many, from the first.
        per_scene: Questions about each.

    Returns:
        How many questions there are.

    Raises:
        ConfigError: The folder holds something else.
        DataError: It cannot be written.
    """
    if to.exists() and not to.is_dir():
        raise ConfigError(f"{to} is a file.", "choose another folder")
    if to.is_dir() and any(to.iterdir()) and not (to / MCQS_FILE).exists():
        raise ConfigError(f"{to} has files in it and no {MCQS_FILE}.", "choose a new or an empty folder")
    captions: list[str] = []
    mcqs: list[str] = []
    for caption, asked, picture in held_out(world, count, per_scene=per_scene):
        _write(to / caption.image.path, picture)
        captions.append(caption.model_dump_json() + "\n")
        mcqs += [mcq.model_dump_json() + "\n" for mcq in asked]
    _write(to / CAPTIONS_FILE, "".join(captions).encode())
    _write(to / MCQS_FILE, "".join(mcqs).encode())
    return len(mcqs)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole, where it is not there as it should be."""
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}.") from error
