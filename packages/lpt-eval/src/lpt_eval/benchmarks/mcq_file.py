"""Any questions in core's own records: a folder with ``mcqs.jsonl``, ``captions.jsonl`` and images.

``lpt-synth lab-questions`` writes such folders; so can anybody who has questions of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from lpt_core import MCQ, Caption, ConfigError, DataError, ImageRef, Presentation, Problem, Record
from lpt_eval.benchmarks.data import Benchmark, raise_all, unique
from lpt_eval.images import image_ref
from lpt_eval.records import Item

NAME = "mcq_file"
_R = TypeVar("_R", bound=Record)


def load(folder: Path, *, name: str = NAME) -> Benchmark:
    """Read a folder of questions.

    A question's kind is its category, and questions about one image are one cluster. Options stand in the
    order in which they were written, with letters in parentheses.

    Args:
        folder: The folder.
        name: What to call the benchmark.

    Raises:
        ConfigError: There is no such folder, or it has no questions.
        DataError: Some of the lines cannot be used; each is named.
    """
    file = folder / "mcqs.jsonl"
    if not file.is_file():
        raise ConfigError(
            f"{folder} has no mcqs.jsonl.",
            "give a folder with mcqs.jsonl, captions.jsonl and images, as lpt-synth lab-questions writes",
        )
    problems: list[Problem] = []
    captions = {caption.id: caption for _, caption in _lines(Caption, folder / "captions.jsonl", problems)}
    images = _images(folder, list(captions.values()), problems)
    items = list[Item]()
    for where, mcq in _lines(MCQ, file, problems):
        caption = captions.get(mcq.caption_id)
        image = images.get(mcq.caption_id)
        if caption is None:
            problems.append(
                Problem("caption_missing", f"captions.jsonl has no caption {mcq.caption_id}", where)
            )
        elif image is not None:
            items.append(_item(name, mcq, image))
    raise_all(problems, f"the questions in {folder}")
    if not items:
        raise ConfigError(f"{file} has no questions.")
    return Benchmark(name, tuple(unique(items)), folder, str(folder))


def _item(name: str, mcq: MCQ, image: ImageRef) -> Item:
    shown = Presentation(
        mcq_id=mcq.id,
        order=tuple(range(len(mcq.options))),
        option_style="parens",
        answer_style="letter_parens",
    )
    return Item.make(
        benchmark=name,
        source_id=mcq.id,
        mcq=mcq,
        presentation=shown,
        image=image,
        category=mcq.kind,
        cluster=image.sha256,
    )


def _images(folder: Path, captions: Sequence[Caption], problems: list[Problem]) -> dict[str, ImageRef]:
    """The image of each caption, checked, its path as in the records."""
    found: dict[str, ImageRef] = {}
    for caption in captions:
        try:
            there = image_ref(folder / caption.image.path)
        except DataError as error:
            problems.append(Problem("image_unreadable", error.message, f"caption {caption.id}"))
            continue
        if there.sha256 != caption.image.sha256:
            message = f"the image {caption.image.path} is not the one that the caption was written for"
            problems.append(Problem("image_changed", message, f"caption {caption.id}"))
            continue
        found[caption.id] = caption.image
    return found


def _lines(kind: type[_R], path: Path, problems: list[Problem]) -> list[tuple[str, _R]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    found: list[tuple[str, _R]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        try:
            found.append((where, kind.model_validate_json(line)))
        except ValidationError as error:
            detail = error.errors()[0]
            field = ".".join(map(str, detail["loc"]))
            said = f"{field}: {detail['msg']}" if field else detail["msg"]
            problems.append(Problem("bad_record", f"not a {kind.__name__}: {said}", where))
    return found
