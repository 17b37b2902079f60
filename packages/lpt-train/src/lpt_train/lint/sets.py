"""Checks of all rows together: what stands twice, and what a model could learn instead of the task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import fmean

from pydantic import JsonValue

from lpt_core import LETTERS, PreferencePair, Problem, PromptExample, SFTExample, fingerprint
from lpt_train.lint.side import Side

_ENOUGH = 12  # rows, before a share of them says anything
_LENGTH_SHARE = 0.85
_ANSWER_SHARE = 0.6


@dataclass(slots=True)
class SetChecks:
    """Sees every row once, and tells at the end what they have in common."""

    _ids: dict[str, str] = field(default_factory=dict[str, str])
    _contents: dict[str, str] = field(default_factory=dict[str, str])
    _positives: dict[str, str] = field(default_factory=dict[str, str])
    _kinds: Counter[str] = field(default_factory=Counter[str])
    _answers: Counter[str] = field(default_factory=Counter[str])
    _lengths: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def check(
        self, record: SFTExample | PreferencePair, sides: tuple[Side, ...], where: str
    ) -> list[Problem]:
        """What a row repeats. Kinds: ``duplicate_id``, ``duplicate_row``, ``chosen_repeated``."""
        self._kinds[record.kind] += 1
        answer = sides[0].answer
        if answer is not None and answer.option is not None:
            self._answers[LETTERS[answer.option]] += 1
        texts = [message.text for message in record.prompt] + [side.text for side in sides]
        content = fingerprint("row", [record.image.sha256, *(_safe(text) for text in texts)])
        found = [
            _again(self._ids, record.id, "duplicate_id", "its id is that of the row at", where),
            _again(self._contents, content, "duplicate_row", "it says the same as the row at", where),
        ]
        if isinstance(record, PreferencePair):
            self._lengths.append((len(sides[0].text), len(sides[1].text)))
            told = "its chosen response is that of the pair at"
            key = f"{record.kind} {record.chosen_trace_id}"
            found.append(_again(self._positives, key, "chosen_repeated", told, where))
        return [problem for problem in found if problem]

    def check_prompt(self, record: PromptExample, where: str) -> list[Problem]:
        """What a prompt repeats. Kinds: ``duplicate_id``, ``duplicate_row``."""
        self._kinds[record.mcq.kind or "other"] += 1
        self._answers[LETTERS[record.presentation.order.index(record.mcq.gold)]] += 1
        texts = [_safe(message.text) for message in record.prompt]
        content = fingerprint("row", [record.image.sha256, *texts])
        found = [
            _again(self._ids, record.id, "duplicate_id", "its id is that of the row at", where),
            _again(self._contents, content, "duplicate_row", "it asks the same as the row at", where),
        ]
        return [problem for problem in found if problem]

    def together(self, where: str) -> Iterator[Problem]:
        """What all rows show. Kinds: ``length_bias``, ``answer_bias``."""
        if len(self._lengths) >= _ENOUGH:
            yield from self._length_bias(where)
        answers = self._answers.total()
        if answers >= _ENOUGH:
            letter, count = self._answers.most_common(1)[0]
            if count / answers > _ANSWER_SHARE:
                yield Problem(
                    "answer_bias",
                    f"{count} of {answers} right answers are option {letter}",
                    where,
                    "shuffle the options (lpt-synth does, with shuffle_options)",
                )

    def _length_bias(self, where: str) -> Iterator[Problem]:
        longer = sum(chosen > rejected for chosen, rejected in self._lengths)
        shorter = sum(chosen < rejected for chosen, rejected in self._lengths)
        count = len(self._lengths)
        for number, word in ((longer, "longer"), (shorter, "shorter")):
            if number / count > _LENGTH_SHARE:
                yield Problem(
                    "length_bias",
                    f"in {number} of {count} pairs the chosen response is the {word} one, so that length "
                    "alone tells them apart",
                    where,
                    "mix kinds: turned_over_wrong is longer by nature, compact_over_long shorter",
                )

    def statistics(self) -> dict[str, JsonValue]:
        """Rows by kind, right answers by option, lengths of chosen and rejected in characters."""
        made: dict[str, JsonValue] = {"kinds": dict(sorted(self._kinds.items()))}
        if self._answers:
            made["answers"] = dict(sorted(self._answers.items()))
        if self._lengths:
            made["characters"] = {
                "chosen": fmean(chosen for chosen, _ in self._lengths),
                "rejected": fmean(rejected for _, rejected in self._lengths),
                "chosen_longer": fmean(chosen > rejected for chosen, rejected in self._lengths),
            }
        return made


def _again(seen: dict[str, str], key: str, kind: str, told: str, where: str) -> Problem | None:
    first = seen.setdefault(key, where)
    return Problem(kind, f"{told} {first}", where) if first != where else None


def _safe(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
