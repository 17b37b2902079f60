"""Tells, thought by thought, where a run against the replay server differs from the recordings, and why.

    uv run python tests/integration/explain_recorded.py RUN_DIR path/to/docci_recorded.json

The server recognises a request by text, and translates option letters to the order in which options are
shown. Three things keep it from giving a thought the continuations that were recorded for it:

- two thoughts of a question begin with the same 160 characters: the first one's continuations are given;
- a thought names an option by letter in its first 160 characters: in another order of options that letter
  is another one, and the thought is not recognised (a short thought comes instead, which does not follow);
- a thought lists options with their letters: the server reads the letters back from there, and translates
  the answer by the list of a time when the order was another.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lpt_core import parse_answer
from lpt_synth.rundir import RunDir
from lpt_synth.status import StoredRun
from lpt_synth.types import MCQNode, ShortNode

_LETTER = re.compile(r"\(([a-d])\)")
_LISTED = re.compile(r"^\s*(?:[-*]\s*)?\(?([A-Z])[).:]*\s+(.+?)\s*$", re.MULTILINE)


def flat(text: str) -> str:
    """Lower case, one space."""
    return " ".join(text.split()).lower()


def thought(text: str) -> str:
    """The thought of a recorded answer."""
    return text.replace("<think>", "").split("</think>")[0]


def recorded_readings(mcq: dict[str, Any], short: dict[str, Any]) -> list[tuple[str, bool]]:
    """How the recorded continuations of a thought read, in the order of options of that time."""
    options = [text for _, text in mcq["presented_options"]]
    begun = short["text"].split("</think>")[0] + " Wait,"
    answers = [parse_answer(begun + text, options) for text in short["long"]]
    return sorted((answer.status, answer.option == options.index(mcq["answer"])) for answer in answers)


def differences(run: RunDir, recordings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every thought whose continuations read otherwise than the recorded ones, with the reason."""
    mcqs = {flat(mcq["question"]): mcq for image in recordings.values() for mcq in image["mcqs"]}
    with run.open_store() as store:
        for tree in StoredRun(run, run.config(), store).trees():
            for node in tree.mcqs:
                mcq = mcqs[flat(node.mcq.question)]
                for short in node.shorts:
                    difference = _difference(mcq, node, short)
                    if difference is not None:
                        yield difference


def _difference(mcq: dict[str, Any], node: MCQNode, short: ShortNode) -> dict[str, Any] | None:
    same = _LETTER.sub("()", flat(short.trace.thought))
    of = [s for s in mcq["short"] if _LETTER.sub("()", flat(thought(s["text"]))) == same]
    verdicts = [long.trace.verdict for long in short.longs]
    got = sorted((verdict.status, verdict.correct) for verdict in verdicts)
    if any(recorded_readings(mcq, one) == got for one in of):
        return None
    return {
        "question": node.mcq.question,
        "thought": short.trace.thought[:100],
        "recorded": recorded_readings(mcq, of[0]) if of else None,
        "got": got,
        "why": _why(mcq, node, of[0]) if of else None,
    }


def _why(mcq: dict[str, Any], node: MCQNode, short: dict[str, Any]) -> str | None:
    head = flat(thought(short["text"]))[:160]
    if sum(flat(thought(other["text"]))[:160] == head for other in mcq["short"]) > 1:
        return "it begins like another thought of its question"
    if _LETTER.search(head):
        return "it names an option by letter in its beginning"
    shown = {
        flat(text): letter for letter, text in zip("ABCD", node.presentation.shown(node.mcq), strict=True)
    }
    listed = [(letter, flat(text)) for letter, text in _LISTED.findall(short["text"])]
    if any(text in shown and shown[text] != letter for letter, text in listed):
        return "it lists options with the letters of another order"
    return None


def main() -> int:
    """Print a JSON line for each difference, and a count of reasons."""
    run, recordings = RunDir(Path(sys.argv[1])), json.loads(Path(sys.argv[2]).read_text())
    reasons: Counter[str] = Counter()
    for difference in differences(run, recordings):
        print(json.dumps(difference))
        reasons[difference["why"] or "not explained"] += 1
    print(json.dumps(reasons))
    return 1 if reasons["not explained"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
