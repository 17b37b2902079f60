"""Are two runs alike enough to be compared, and if not, in what do they differ?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lpt_eval.protocol import Protocol
from lpt_eval.records import Item
from lpt_eval.runs import Answers, Run

_SHOWN = 60
_NAMED = 5


def differences(first: Run, second: Run) -> list[str]:
    """What differs between two runs other than the model, a sentence each; none where they are alike."""
    found: list[str] = []
    for one, other in ((first, second), (second, first)):
        if only := sorted(set(one.answers) - set(other.answers)):
            found.append(f"only {one.name} has {', '.join(only)}")
    if first.info.reader != second.info.reader:
        found.append(
            f"answers were read by version {first.info.reader} of the reader in {first.name}, "
            f"{second.info.reader} in {second.name}: score the older run again"
        )
    for benchmark in sorted(set(first.answers) & set(second.answers)):
        protocols = (run.info.benchmarks[benchmark].protocol for run in (first, second))
        asked = [f"{benchmark}: {line}" for line in protocol_differences(*protocols)]
        found += asked + [
            f"{benchmark}: {line}"
            for line in _items(first.answers[benchmark], second.answers[benchmark], first.name, second.name)
        ]
    return found


def protocol_differences(first: Protocol, second: Protocol) -> list[str]:
    """The fields in which two protocols differ, each with both values; their names do not count."""
    one, other = (dict(_flat(it.model_dump(mode="json", exclude={"name"}))) for it in (first, second))
    return [
        f"{field} is {_brief(one.get(field))} and {_brief(other.get(field))}"
        for field in sorted(one.keys() | other.keys())
        if one.get(field) != other.get(field)
    ]


def named(items: Iterable[Item]) -> str:
    """The first few items, by their names in the benchmark."""
    names = [item.source_id for item in items]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _items(first: Answers, second: Answers, first_name: str, second_name: str) -> Iterator[str]:
    ours, theirs = ({item.id: item for item in answers.items} for answers in (first, second))
    for one, other, name in ((ours, theirs, first_name), (theirs, ours, second_name)):
        if only := [item for key, item in one.items() if key not in other]:
            yield f"{len(only)} items are only in {name}, or have other labels there: {named(only)}"
    common = [(item, theirs[key]) for key, item in ours.items() if key in theirs]
    if otherwise := [item for item, twin in common if item.presentation != twin.presentation]:
        yield f"{len(otherwise)} items are shown otherwise: {named(otherwise)}"
    if moved := [item for item, twin in common if _division(item) != _division(twin)]:
        yield f"{len(moved)} items are in other categories or clusters: {named(moved)}"


def _division(item: Item) -> tuple[str | None, str | None, str]:
    return item.category, item.subcategory, item.cluster


def _flat(value: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat({str(name): one for name, one in inner.items()}, f"{prefix}{key}.")  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - JSON
        else:
            yield f"{prefix}{key}", inner


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 12]}... ({len(text)} characters)"
