"""What is kept of batches under way, so that a crash neither loses one nor sends it twice."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from lpt_synth.engines.batch_results import Result


class Journal(Protocol):
    """Where batches under way are kept; what ``keep`` has returned for survives a crash."""

    def under(self, prefix: str) -> dict[str, str]:
        """All that is kept under keys that begin so."""
        ...

    async def keep(self, key: str, value: str) -> None:
        """Keep the value; when this returns, it is on disk."""
        ...

    async def drop(self, key: str) -> None:
        """Forget the key."""
        ...


@dataclass(slots=True)
class Sent:
    """A batch that was sent, or is about to be.

    Attributes:
        tag: By which it is found again.
        path: What its requests ask: "/v1/chat/completions".
        ids: Of its requests, in the order of its lines.
        made: When it was begun, seconds since 1970.
        id: The server's name for it, once that is known.
        left: Requests in it whose outcome is not known to be on disk.
        results: What came of requests for which nobody has asked yet.
    """

    tag: str
    path: str
    ids: tuple[str, ...]
    made: float
    id: str = ""
    left: set[str] = field(default_factory=set[str])
    results: dict[str, Result] = field(default_factory=dict[str, Result])

    def dump(self) -> str:
        """What goes on disk."""
        return json.dumps({"path": self.path, "ids": self.ids, "made": self.made, "id": self.id})

    @classmethod
    def load(cls, tag: str, text: str) -> Sent | None:
        """What was on disk; None where that is no such thing."""
        try:
            kept: Any = json.loads(text)
            return cls(tag, str(kept["path"]), tuple(map(str, kept["ids"])), float(kept["made"]), kept["id"])
        except (ValueError, KeyError, TypeError):
            return None


class Unkept:
    """A journal that lasts as long as the object."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def under(self, prefix: str) -> dict[str, str]:
        """All that is kept under keys that begin so."""
        return {key: value for key, value in self._kept.items() if key.startswith(prefix)}

    async def keep(self, key: str, value: str) -> None:
        """Keep the value."""
        self._kept[key] = value

    async def drop(self, key: str) -> None:
        """Forget the key."""
        self._kept.pop(key, None)
