"""How well the classifier of behaviours agrees with labels, for ``docs/reference/behaviours.md``.

uv run python tests/core/behaviours/agreement.py    # writes agreement.json beside this file
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from lpt_core.behaviours import BEHAVIOURS, count_behaviours

HERE = Path(__file__).resolve().parent
RECORDED = HERE.parents[2].parent / "shared" / "recorded" / "docci_recorded.json"
HALVES = ("development", "held_out")
Labelled = list[tuple[str, list[str]]]


def sample(half: str) -> Labelled:
    """Texts written for this purpose, with their labels."""
    rows = map(json.loads, (HERE / "sample.jsonl").read_text(encoding="utf-8").splitlines())
    return [(row["text"], row["labels"]) for row in rows if row["half"] == half]


def recorded(half: str) -> Labelled:
    """Thoughts that models wrote, with our labels; the texts lie outside of the repository."""
    world = json.loads(RECORDED.read_text(encoding="utf-8"))
    labels = json.loads((HERE / "recorded_labels.json").read_text(encoding="utf-8"))[half]
    return [(_thought(world, name), behaviours) for name, behaviours in labels.items()]


def _thought(world: dict[str, Any], name: str) -> str:
    """The thought of a name: image, question, short thought and, maybe, which of its continuations."""
    image, question, short, *long = map(int, name.split("."))
    said = world[f"train_{image:05}"]["mcqs"][question]["short"][short]
    text: str = said["long"][long[0]] if long else said["text"]
    return text.split("</think>")[0].replace("<think>", "").strip()


def agreement(rows: Labelled) -> dict[str, dict[str, float]]:
    """Precision, recall and Cohen's kappa of each behaviour: shown somewhere in the text, or not."""
    return {behaviour: _agreement(rows, behaviour) for behaviour in BEHAVIOURS}


def _agreement(rows: Labelled, behaviour: str) -> dict[str, float]:
    cells = Counter((behaviour in labels, bool(count_behaviours(text)[behaviour])) for text, labels in rows)
    both, missed, false, neither = (
        cells[key] for key in ((True, True), (True, False), (False, True), (False, False))
    )
    observed = (both + neither) / len(rows)
    chance = ((both + missed) * (both + false) + (neither + missed) * (neither + false)) / len(rows) ** 2
    return {
        "texts": len(rows),
        "labelled": both + missed,
        "found": both + false,
        "precision": round(both / max(both + false, 1), 3),
        "recall": round(both / max(both + missed, 1), 3),
        "kappa": round((observed - chance) / (1 - chance), 3) if chance < 1 else 1.0,
    }


def measure() -> dict[str, Any]:
    """All of it; what is recorded only where it is there."""
    sources = {"sample": sample} | ({"recorded": recorded} if RECORDED.is_file() else {})
    return {name: {half: agreement(read(half)) for half in HALVES} for name, read in sources.items()}


if __name__ == "__main__":
    (HERE / "agreement.json").write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
