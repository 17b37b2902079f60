"""The order in which requests go to vLLM: next is what shares the longest beginning with what went last.

A prefix cache holds the beginnings of what was computed lately. Requests wait here, and not in vLLM's own
queue, which keeps the order of arrival: so the thoughts of a question follow each other, and the questions
of a caption, whatever else arrived between them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from lpt_core import ImagePart
from lpt_synth.types import Request

T = TypeVar("T")

_ALIKE = 32  # characters; roles and the first words of a system prompt are shared by all


def prompt_key(request: Request) -> str:
    """What decides whether two prompts begin alike: the conversation, images by their digest."""
    parts: list[str] = []
    for message in request.messages:
        parts.append(f"\0{message.role}\0")
        parts += [
            f"\0{part.image.sha256}\0" if isinstance(part, ImagePart) else part.text
            for part in message.content
        ]
    return "".join([*parts, "\0", request.prefill])


def shared(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(slots=True)
class Waiting(Generic[T]):
    """What waits to be asked.

    Attributes:
        base: What all keys so far begin with; it tells nothing.
    """

    base: str | None = None
    _sorted: list[tuple[str, int, T]] = field(default_factory=list["tuple[str, int, T]"])
    _oldest: dict[int, tuple[str, int, T]] = field(default_factory=dict[int, "tuple[str, int, T]"])
    _counter: count[int] = field(default_factory=count)

    def __len__(self) -> int:
        return len(self._sorted)

    def put(self, key: str, one: T) -> int:
        """Add one; gives its ticket, by which it can be taken back."""
        self.base = key if self.base is None else key[: shared(self.base, key)]
        entry = (key, next(self._counter), one)
        insort(self._sorted, entry, key=_place)
        self._oldest[entry[1]] = entry
        return entry[1]

    def take_back(self, ticket: int) -> bool:
        """Remove the one with this ticket; False where it is not here any more."""
        entry = self._oldest.get(ticket)
        if entry is not None:
            self._remove(entry)
        return entry is not None

    def next(self, last: str) -> tuple[str, T]:
        """Take the one whose key begins most like ``last``; the oldest where none begins like it.

        Among those that share as much, the oldest goes first.
        """
        place = bisect_left(self._sorted, last, key=lambda entry: entry[0])
        near = self._sorted[max(0, place - 1) : place + 1]
        alike = max((shared(entry[0], last) for entry in near), default=0)
        if alike < len(self.base or "") + _ALIKE:
            entry = next(iter(self._oldest.values()))
        else:
            # All that share so much lie side by side.
            begin = last[:alike]
            low = bisect_left(self._sorted, begin, key=lambda entry: entry[0])
            entry, at = self._sorted[low], low + 1
            while at < len(self._sorted) and self._sorted[at][0].startswith(begin):
                entry = min(entry, self._sorted[at], key=lambda one: one[1])
                at += 1
        self._remove(entry)
        return entry[0], entry[2]

    def clear(self) -> list[T]:
        """Take all, the oldest first."""
        left = [entry[2] for entry in self._oldest.values()]
        self._sorted.clear()
        self._oldest.clear()
        return left

    def _remove(self, entry: tuple[str, int, T]) -> None:
        del self._sorted[bisect_left(self._sorted, _place(entry), key=_place)]
        del self._oldest[entry[1]]


def _place(entry: tuple[str, int, object]) -> tuple[str, int]:
    return entry[0], entry[1]
