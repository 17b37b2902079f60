"""The page about the classifier of cognitive behaviours, from what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).parents[1] / "tests" / "core" / "behaviours" / "agreement.json"
NAMES = {
    "verification": "what was said or proposed is checked: looked at, counted or read again, compared",
    "backtracking": "something that was said, assumed or begun is given up",
    "subgoals": "the task is split, or a step towards the answer is announced",
    "backward_chaining": "from a possible answer to what would then have to be seen",
}
TITLES = {
    ("recorded", "held_out"): "Thoughts that models wrote, labelled after the phrases were fixed",
    ("sample", "held_out"): "Texts written for the purpose, held-out half",
    ("recorded", "development"): "Thoughts that models wrote, used while the phrases were chosen",
    ("sample", "development"): "Texts written for the purpose, used while the phrases were chosen",
}


def page() -> str:
    """Definitions, agreement, what it is worth."""
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    lines = [
        "# Cognitive behaviours",
        "",
        "`lpt_core.behaviours` tells by a thought's words which of four behaviours it shows (Gandhi et",
        "al., [arXiv 2503.01307](https://arxiv.org/abs/2503.01307)); `lpt-synth report` counts them in",
        "short, long and final thoughts. LongPerceptualThoughts counts the same behaviours; how it",
        "labelled them is not published.",
        "",
        "| behaviour | a thought shows it where |",
        "|---|---|",
        *(f"| `{name}` | {what} |" for name, what in NAMES.items()),
        "",
        'A cue such as "Wait," alone is none of them, and the report counts no sign that lies in a cue: no',
        "model wrote it. A sentence shows a behaviour once at most.",
        "",
        "## How well it agrees with labels",
        "",
        "Made from `tests/core/behaviours/agreement.json`, which a test measures anew. A text counts as",
        "showing a behaviour where it shows it at least once. Kappa is Cohen's: agreement beyond",
        "chance; 1 is perfect.",
    ]
    for (source, half), title in TITLES.items():
        lines += ["", f"### {title}", "", *table(measured[source][half])]
    lines += [
        "",
        "## What these figures are worth",
        "",
        "- All labels are by one annotator, the language model that wrote the classifier, by the",
        "  definitions above. No person has labelled them, and there is no second annotator to agree",
        "  with.",
        "- The texts written for the purpose were labelled before any phrase was chosen, but whoever",
        "  wrote them chose the phrases too: take those figures as an upper bound.",
        "- The thoughts that models wrote are Qwen2.5-VL-7B's and DeepSeek-R1-Distill-Qwen-32B's about",
        "  three pictures. Those of the first table were labelled when the phrases were fixed, without",
        "  looking at what they find. Two phrases changed after that, neither because of them: 'I was",
        "  too quick' was added, and 'Alternatively,' alone counts no longer. These are the figures to",
        "  go by.",
        "- Subgoals and backward chaining are rare in them; with so few, their kappa may be far off",
        "  either way.",
        "- The phrases are English. In other languages the classifier finds nothing.",
        "",
        "It is good for comparing many thoughts (short against long, one run against another), and too",
        "coarse to judge a single one.",
    ]
    return "\n".join(lines) + "\n"


def table(rows: dict[str, Any]) -> list[str]:
    """One half's agreement."""
    texts = next(iter(rows.values()))["texts"]
    return [
        f"{texts} texts.",
        "",
        "| behaviour | labelled | found | precision | recall | kappa |",
        "|---|---|---|---|---|---|",
        *(
            f"| `{name}` | {one['labelled']} | {one['found']} | {one['precision']:.2f} | {one['recall']:.2f} "
            f"| {one['kappa']:.2f} |"
            for name, one in rows.items()
        ),
    ]
