"""The benchmarks' own rows: what each field means, and the questions in them.

Every reader takes a row and gives a ``Question``, None for a row that is no part of the benchmark, or raises
a DataError that says what is wrong with the row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from lpt_core import LETTERS, DataError
from lpt_eval.benchmarks.rows import Row


@dataclass(frozen=True, slots=True)
class Question:
    """What a row asks.

    Attributes:
        source_id: The row's name.
        text: The question without its options.
        options: The options without their labels.
        gold: Which is right.
        image: As the row has it: bytes, base64, a path; None in a benchmark of text.
        category: What the macro average runs over.
        subcategory: A second division.
        cluster: What stands or falls with it; "" where that is the image.
    """

    source_id: str
    text: str
    options: tuple[str, ...]
    gold: int
    image: Any = None
    category: str | None = None
    subcategory: str | None = None
    cluster: str = ""


def cv_bench(row: Row) -> Question | None:
    """nyu-visionx/CV-Bench: question, choices, answer "(A)", task, source, image."""
    return Question(
        source_id=_text(row, "idx"),
        text=_text(row, "question"),
        options=_list(row, "choices"),
        gold=_gold(row, "answer", len(_list(row, "choices"))),
        image=row.get("image"),
        category=_text(row, "task"),
        subcategory=_text(row, "source"),
    )


_HINT = "Answer with the option's letter from the given choices directly."


def vstar(row: Row) -> Question | None:
    """craigwu/vstar_bench: text with "(A) …" lines and a hint, label "A", category, image."""
    text = _text(row, "text").replace(_HINT, "")
    question, options = _split(text, r"\(({})\)")
    return Question(
        source_id=_text(row, "question_id"),
        text=question,
        options=options,
        gold=_gold(row, "label", len(options)),
        image=row.get("image"),
        category=_text(row, "category"),
    )


def mmvp(row: Row) -> Question | None:
    """MMVP/MMVP: Index, Question, Options "(a) … (b) …", Correct Answer "(a)"; two in turn are a pair."""
    index = _text(row, "Index")
    if not index.isdecimal() or index == "0":
        raise DataError(f"Index is {index!r}, and should be a number from 1.")
    _, options = _split(_text(row, "Options"), r"\(({})\)")
    return Question(
        source_id=index,
        text=_text(row, "Question"),
        options=options,
        gold=_gold(row, "Correct Answer", len(options)),
        image=row.get("image") or f"MMVP Images/{index}.jpg",
        cluster=f"pair-{(int(index) + 1) // 2}",
    )


_VISION = ("coarse perception", "fine-grained perception", "instance reasoning")


def mmstar_v(row: Row) -> Question | None:
    """Lin-Chen/MMStar: question with "Options: A: …, B: …", answer "A"; three of its six categories."""
    category = _text(row, "category")
    if category not in _VISION:
        return None
    text, marked, menu = _text(row, "question").partition("Options:")
    if not marked:
        raise DataError("question has no 'Options:'.")
    # Options are set off by commas, in a few rows by spaces alone.
    strict, loose = (_options(menu, label) for label in (r"(?:^|[,\n])\s*({}):", r"\b({}):"))
    options = strict if len(strict) >= len(loose) else loose
    if len(options) < 2:
        raise DataError(f"{menu[:80]!r} has no options.")
    options = tuple(option.removesuffix(",").strip() for option in options)
    gold = _gold(row, "answer", len(options))
    kept = [option for option in options if option != "nan"]  # a table's empty cell
    if options[gold] == "nan":
        raise DataError("the right option is empty.")
    return Question(
        source_id=_text(row, "index"),
        text=text.strip(),
        options=tuple(kept),
        gold=gold - options[:gold].count("nan"),
        image=row.get("image"),
        category=category,
        subcategory=_text(row, "l2_category"),
    )


_SCENES = ("remote sensing", "monitoring", "autonomous driving")


def mme_realworld_v(row: Row) -> Question | None:
    """MME-RealWorld as its authors' JSON or as lmms-lab's table; three of its five domains."""
    if "Text" in row:
        task, scene = _text(row, "Task"), _text(row, "Subtask")
        names = ("Question_id", "Text", "Answer choices", "Ground truth", "Category")
        image = row.get("Image")
    else:
        task, _, scene = _text(row, "category").partition("/")
        names = ("index", "question", "multi-choice options", "answer", "l2-category")
        image = row.get("bytes") or row.get("image")
    scene = scene.replace("_", " ").lower()
    if scene not in _SCENES:
        return None
    identity, question, menu, answer, kind = names
    options = tuple(re.sub(r"^\s*\([A-J]\)\s*", "", option) for option in _list(row, menu))
    return Question(
        source_id=_text(row, identity),
        text=_text(row, question),
        options=options,
        gold=_gold(row, answer, len(options)),
        image=image,
        category=f"{task.lower()}: {scene}",
        subcategory=_text(row, kind),
    )


def mmlu_pro(row: Row) -> Question | None:
    """TIGER-Lab/MMLU-Pro: question, options, answer "A", category; filled up with "N/A"."""
    options = _list(row, "options")
    gold = _gold(row, "answer", len(options))
    if options[gold] == "N/A":
        raise DataError("the right option is empty.")
    return Question(
        source_id=_text(row, "question_id"),
        text=_text(row, "question"),
        options=tuple(option for option in options if option != "N/A"),
        gold=gold - options[:gold].count("N/A"),
        category=_text(row, "category"),
    )


# ---- fields --------------------------------------------------------------------------------------------


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{name} is {'missing' if name not in row else repr(value)}.")
    return value.strip()


def _list(row: Row, name: str) -> tuple[str, ...]:
    value: Any = row.get(name)
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise DataError(f"{name} is {'missing' if name not in row else 'no list of options'}.")
    options = cast("Sequence[object]", value)
    if not all(isinstance(option, str) for option in options):
        raise DataError(f"{name} has an option that is no text.")
    return tuple(str(option).strip() for option in options)


def _gold(row: Row, name: str, count: int) -> int:
    letter = _text(row, name).strip("(). ").upper()
    place = LETTERS.find(letter) if len(letter) == 1 else -1
    if not 0 <= place < count:
        raise DataError(f"{name} is {row.get(name)!r}, and there are {count} options.")
    return place


def _split(text: str, label: str) -> tuple[str, tuple[str, ...]]:
    """A text before its first label, and the texts after each, in the order of the letters.

    Only the next letter in turn is a label, so that options may speak of others.
    """
    begins = _labels(text, label)
    if len(begins) < 2:
        raise DataError(f"{text[:80]!r} has no options.")
    return text[: begins[0].start()].strip(), _between(text, begins)


def _options(text: str, label: str) -> tuple[str, ...]:
    return _between(text, _labels(text, label))


def _labels(text: str, label: str) -> list[re.Match[str]]:
    begins: list[re.Match[str]] = []
    at = 0
    for letter in LETTERS:
        match = re.compile(label.format(f"{letter}|{letter.lower()}")).search(text, at)
        if match is None:
            break
        begins.append(match)
        at = match.end()
    return begins


def _between(text: str, begins: list[re.Match[str]]) -> tuple[str, ...]:
    ends = [*(match.start() for match in begins[1:]), len(text)]
    return tuple(text[match.end() : end].strip() for match, end in zip(begins, ends, strict=False))
