"""The examples: which questions are shown, and what the page's script gets to know of them."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from lpt_core import derived_int, split_thought
from lpt_core.behaviours import BEHAVIOURS, find_behaviours
from lpt_eval.folder import RunFolder
from lpt_eval.records import OUTCOMES, Item, Row
from lpt_eval.report.behaviours import NAMES
from lpt_eval.report.material import Material, key, title_of
from lpt_eval.runs import Answers

EXAMPLES = 300
"""Questions shown of each benchmark, unless asked otherwise."""

_SAMPLES = 8
_TEXT = 12_000
_PICTURE = 200_000


def gallery(material: Material, most: int) -> dict[str, Any]:
    """All that the gallery shows, as data for its script.

    Where a benchmark has more questions than are shown, those are taken first on which runs differ, then, in
    turns, questions of each outcome; which ones is drawn by their ids: the same runs give the same page.

    Args:
        material: The runs.
        most: Questions of each benchmark; 0 for all.
    """
    pictures = _Pictures(material)
    shown: list[dict[str, Any]] = []
    benchmarks: list[dict[str, Any]] = []
    for name in material.benchmarks:
        items, answers = material.items(name), material.answers(name)
        changes = _changes(material, name)
        chosen = _chosen(items, answers, changes, most or len(items))
        shown += [_example(item, answers, changes.get(item.id, {}), pictures) for item in chosen]
        benchmarks.append(
            {"name": name, "title": title_of(name), "shown": len(chosen), "questions": len(items)}
        )
    return {
        "runs": [{"key": key(number), "name": run.name} for number, run in enumerate(material.runs)],
        "benchmarks": benchmarks,
        "outcomes": list(OUTCOMES),
        "behaviours": list(NAMES.values()),
        "examples": shown,
        "pictures": pictures.found,
        "lost": pictures.lost,
    }


class _Pictures:
    """The small copies in the runs' folders, each once."""

    def __init__(self, material: Material) -> None:
        self._folders = [RunFolder(run.path) for run in material.runs]
        self._places: dict[str, int | None] = {}
        self.found: list[str] = []
        self.lost = 0

    def place(self, item: Item) -> int | None:
        """The number of an item's picture; None where it has none or none is there."""
        if item.image is None:
            return None
        digest = item.image.sha256
        if digest not in self._places:
            self._places[digest] = self._read(digest)
            self.lost += self._places[digest] is None
        return self._places[digest]

    def _read(self, digest: str) -> int | None:
        for folder in self._folders:
            try:
                data = folder.picture(digest).read_bytes()
            except OSError:
                continue
            # Only what it says it is: a browser gets nothing to guess about.
            if len(data) <= _PICTURE and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
                self.found.append("data:image/webp;base64," + base64.b64encode(data).decode())
                return len(self.found) - 1
        return None


def _changes(material: Material, name: str) -> dict[str, dict[int, str]]:
    """By item, the runs that gained or lost it against the first."""
    first, *others = material.answers(name)
    found: defaultdict[str, dict[int, str]] = defaultdict(dict)
    if first is None:
        return found
    for number, other in enumerate(others, 1):
        theirs = {item.id for item in other.items} if other else set[str]()
        for item in first.items:
            if other is None or item.id not in theirs or not (first.whole(item.id) and other.whole(item.id)):
                continue
            more = float(other.hits((item,)).mean() - first.hits((item,)).mean())
            if more:
                found[item.id][number] = "gained" if more > 0 else "lost"
    return found


def _chosen(
    items: dict[str, Item],
    answers: Sequence[Answers | None],
    changes: dict[str, dict[int, str]],
    most: int,
) -> list[Item]:
    """The questions to show, in the benchmark's order."""
    if len(items) <= most:
        return list(items.values())
    drawn = sorted(items, key=lambda identity: derived_int(0, "example", identity))
    queues: defaultdict[str, list[str]] = defaultdict(list)
    for identity in drawn:
        rows = [of.rows.get((identity, 0)) for of in answers if of is not None]
        outcomes = [row.outcome for row in rows if row is not None]
        queues[max(outcomes, key=OUTCOMES.index, default="missing")].append(identity)
    taken = dict.fromkeys([identity for identity in drawn if identity in changes][:most])
    while len(taken) < most:
        for queue in queues.values():
            if queue and len(taken) < most:
                taken.setdefault(queue.pop())
    return [item for identity, item in items.items() if identity in taken]


def _example(
    item: Item, answers: Sequence[Answers | None], changes: dict[int, str], pictures: _Pictures
) -> dict[str, Any]:
    shown = item.presentation
    return {
        "benchmark": item.benchmark,
        "source": item.source_id,
        "category": " · ".join(part for part in (item.category, item.subcategory) if part),
        "question": _short(item.mcq.question),
        "options": [_short(option) for option in shown.shown(item.mcq)],
        "gold": shown.order.index(item.mcq.gold),
        "picture": pictures.place(item),
        "size": [item.image.width, item.image.height] if item.image else None,
        "changes": [f"{what}-{number}" for number, what in sorted(changes.items())],
        "answers": [_answers(of, item) for of in answers],
    }


def _answers(answers: Answers | None, item: Item) -> list[dict[str, Any]]:
    if answers is None:
        return []
    rows = (answers.rows.get((item.id, sample)) for sample in range(min(answers.n, _SAMPLES)))
    return [_answer(row) for row in rows if row is not None]


def _answer(row: Row) -> dict[str, Any]:
    split = split_thought(row.whole)
    thought = _short(split.thought or "")
    return {
        "outcome": row.outcome,
        "place": row.place,
        "thought": thought,
        "signs": _signs(thought),
        "answer": _short(split.tail.strip()),
        "tokens": row.thought_tokens,
        "error": _short(row.error) if row.error else "",
    }


def _signs(text: str) -> list[list[int]]:
    """Where a thought shows a behaviour: its number, and begin and end as JavaScript counts characters."""
    return [
        [BEHAVIOURS.index(sign.behaviour), _units(text[: sign.start]), _units(text[: sign.end])]
        for sign in find_behaviours(text)
    ]


def _units(text: str) -> int:
    """Units of UTF-16, of which a character has one or two."""
    return len(text) + sum(character > "\uffff" for character in text)


def _short(text: str) -> str:
    """A text whose middle is left out where it is very long; the folder has all of it."""
    if len(text) <= _TEXT:
        return text
    half = _TEXT // 2
    left = len(text) - 2 * half
    return f"{text[:half]}\n[… {left} characters are left out here …]\n{text[-half:]}"
