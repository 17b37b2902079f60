"""What the gallery is made from: columns of small numbers, and texts in compressed pieces.

The page reads the columns when it opens, so that it can list and filter; texts only when they are shown or
searched. Texts stay compressed in memory, too.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

from lpt_core import BEHAVIOURS, Behaviour, PairKind, SFTKind
from lpt_synth.report.figures import OTHER, SFT_KINDS, words
from lpt_synth.types import CaptionTree, LongNode, MCQNode, ShortNode

STATUSES = ("found", "missing", "ambiguous", "off_menu", "truncated")
PAIR_KINDS: tuple[PairKind, ...] = (
    "right_over_wrong",
    "short_over_spoiled",
    "turned_over_wrong",
    "compact_over_long",
)
_PIECE = 400_000  # characters of a piece before it is compressed
_ID = 12  # characters of an id that a person gets to see


class Names:
    """Numbers for names, in the order in which they are met."""

    def __init__(self, *first: str) -> None:
        self._numbers = {name: number for number, name in enumerate(first)}

    def number(self, name: str) -> int:
        """The name's number."""
        return self._numbers.setdefault(name, len(self._numbers))

    @property
    def names(self) -> list[str]:
        """All names, by number."""
        return list(self._numbers)


class Gallery:
    """Collects thoughts and pairs.

    Attributes:
        questions: Columns with an entry for each question.
        traces: Columns with an entry for each thought, a short one before its continuations.
        pairs: Columns with an entry for each preference pair.
        pieces: Texts, compressed: JSON of some questions and of their thoughts.
    """

    def __init__(self) -> None:
        self.questions: dict[str, list[Any]] = {name: [] for name in ("text", "type", "image")}
        columns = ("question", "parent", "status", "right", "drop", "behaviours", "words", "use", "id")
        self.traces: dict[str, list[Any]] = {name: [] for name in columns}
        self.pairs: dict[str, list[int]] = {name: [] for name in ("kind", "chosen", "rejected")}
        self.pieces: list[bytes] = []
        self._first: list[int] = []  # the first trace of each piece
        self._types = Names()
        self._drops = Names("")
        self._places: dict[str, int] = {}
        self._open: dict[str, list[Any]] = {"questions": [], "traces": []}
        self._size = 0

    def begin_caption(self) -> None:
        """Begin a new piece where the one before is full; a question's thoughts stay in one piece."""
        if self._size > _PIECE:
            self._close()
        if not self._open["traces"]:
            self._start = len(self.traces["id"])

    def add_question(self, tree: CaptionTree, node: MCQNode, image: int) -> int:
        """Add a question; its number."""
        mcq, shown = node.mcq, node.presentation
        self.questions["text"].append(mcq.question)
        self.questions["type"].append(self._types.number(mcq.kind or OTHER))
        self.questions["image"].append(image)
        number = len(self.questions["text"]) - 1
        options = list(shown.shown(mcq))
        caption = tree.caption.text
        self._open["questions"].append([number, options, shown.order.index(mcq.gold), caption])
        self._size += len(mcq.question) + len(caption) + sum(map(len, options))
        return number

    def add_short(self, question: int, short: ShortNode, shown: Mapping[Behaviour, int]) -> int:
        """Add a short thought; its number."""
        text = short.trace.thought
        self._text([text, short.trace.answer, self._answered(short)])
        return self._row(question, -1, short, shown, words(text))

    def add_long(self, question: int, parent: int, long: LongNode, shown: Mapping[Behaviour, int]) -> int:
        """Add a continuation of the thought with the number ``parent``; its number."""
        _, cue, *rest = (segment.text for segment in long.trace.segments)
        added = "".join(rest)
        self._text([cue, added, long.trace.answer, self._answered(long)])
        return self._row(question, parent, long, shown, words(cue + added))

    def use(self, trace_id: str, kind: SFTKind) -> str | None:
        """Mark a thought as an SFT example; its question's type, or None where it is not here."""
        place = self._places.get(trace_id)
        if place is None:
            return None
        self.traces["use"][place] = 1 + SFT_KINDS.index(kind)
        return self._type_of(place)

    def add_pair(self, kind: PairKind, chosen_id: str, rejected_id: str) -> str | None:
        """Add a pair; its question's type, or None where its thoughts are not here."""
        chosen, rejected = self._places.get(chosen_id), self._places.get(rejected_id)
        if chosen is None or rejected is None:
            return None
        self.pairs["kind"].append(PAIR_KINDS.index(kind))
        self.pairs["chosen"].append(chosen)
        self.pairs["rejected"].append(rejected)
        return self._type_of(chosen)

    def index(self) -> dict[str, Any]:
        """The columns, with the names of their numbers. Call it last."""
        self._close()
        return {
            "questions": self.questions,
            "traces": self.traces,
            "pairs": self.pairs,
            "pieces": self._first,
            "names": {
                "type": self._types.names,
                "status": list(STATUSES),
                "drop": self._drops.names,
                "behaviour": list(BEHAVIOURS),
                "use": ["", *SFT_KINDS],
                "pair": list(PAIR_KINDS),
            },
        }

    def _row(
        self,
        question: int,
        parent: int,
        node: ShortNode | LongNode,
        shown: Mapping[Behaviour, int],
        size: int,
    ) -> int:
        verdict, number = node.trace.verdict, len(self.traces["id"])
        values = {
            "question": question,
            "parent": parent,
            "status": STATUSES.index(verdict.status),
            "right": int(verdict.correct),
            "drop": self._drops.number(node.dropped or ""),
            "behaviours": sum(1 << bit for bit, name in enumerate(BEHAVIOURS) if shown[name]),
            "words": size,
            "use": 0,
            "id": node.trace.id[:_ID],
        }
        for name, value in values.items():
            self.traces[name].append(value)
        self._places.setdefault(node.trace.id, number)
        return number

    def _answered(self, node: ShortNode | LongNode) -> int:
        """The place of the option that was answered, among those shown; -1 where none was."""
        option = node.trace.verdict.option
        return -1 if option is None else node.trace.presentation.order.index(option)

    def _text(self, row: list[Any]) -> None:
        self._open["traces"].append(row)
        self._size += sum(len(part) for part in row if isinstance(part, str))

    def _type_of(self, place: int) -> str:
        kind: int = self.questions["type"][self.traces["question"][place]]
        return self._types.names[kind]

    def _close(self) -> None:
        if self._open["questions"]:
            self.pieces.append(pack(self._open))
            self._first.append(self._start)
        self._open = {"questions": [], "traces": []}
        self._size = 0
        self._start = len(self.traces["id"])


def pack(content: Any) -> bytes:
    """JSON, compressed, in letters that can stand anywhere in HTML; the same bytes on every machine."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate, which JSON may carry, has no UTF-8.
    raw = text.encode("utf-8", "replace")
    return base64.b64encode(gzip.compress(raw, compresslevel=6, mtime=0))
