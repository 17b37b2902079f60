"""From what a model said to a row: lpt-core reads, nothing is guessed, and no text makes this raise."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lpt_core import (
    READER_VERSION,
    DataError,
    ParsedAnswer,
    Verdict,
    parse_answer,
    read_choice,
    split_thought,
)
from lpt_core.verify import judge
from lpt_eval.protocol import Protocol, Reading
from lpt_eval.records import Item, Outcome, Response, Row

_LAST_PHRASE = re.compile(r".*\banswer\s+is\b:?([^\n]*)(\n?)", re.IGNORECASE | re.DOTALL)


def score(item: Item, response: Response, protocol: Protocol) -> Row:
    """Read and judge a response.

    Outcomes: a request that failed is ``failed``; a text that breaks off, in its thought, in its answer or at
    the limit of tokens before an answer, is ``truncated``; another text without exactly one option of those
    shown is ``unextractable``.

    Args:
        item: What was asked.
        response: What was said.
        protocol: How it was asked; says where an answer may stand.

    Raises:
        DataError: The response is to another item.
    """
    if response.item_id != item.id:
        raise DataError(f"a response to item {response.item_id} does not fit item {item.id}.")
    shown = item.shown(response.shuffle)
    answer = None if _failed(response) else read(response, shown.shown(item.mcq), protocol.reading)
    verdict = None if answer is None else judge(answer, item.mcq, shown)
    thought = None if answer is None else answer.thought
    thinking, answering = _tokens(response, thought)
    return Row(
        **response.model_dump(),
        benchmark=item.benchmark,
        source_id=item.source_id,
        category=item.category,
        subcategory=item.subcategory,
        cluster=item.cluster,
        outcome=_outcome(response, verdict),
        status=None if verdict is None else verdict.status,
        option=None if verdict is None else verdict.option,
        gold=item.mcq.gold,
        place=None if answer is None else answer.option,
        gold_place=shown.order.index(item.mcq.gold),
        thought_chars=None if thought is None else len(thought),
        thought_tokens=thinking,
        answer_tokens=answering,
        protocol=protocol.fingerprint,
        reader=READER_VERSION,
    )


def read(response: Response, options: tuple[str, ...], reading: Reading) -> ParsedAnswer:
    """What a response answers: the place of the option among those shown, or why there is none.

    Args:
        response: What was said.
        options: The texts of the options in the order shown.
        reading: "tagged": only what stands between answer tags is an answer. "tail": where there are no such
            tags, all that follows the thought is, unless the limit of tokens cut it off. "phrase": where
            there are no such tags, what follows the last "answer is" on its line.
    """
    text = response.whole
    answer = parse_answer(text, options)
    if reading == "tagged" or answer.status != "missing" or "<answer" in answer.tail.lower():
        return answer
    split = split_thought(text)
    said, finished = answer.tail, response.finish_reason != "length"
    if reading == "phrase":
        found = _LAST_PHRASE.match(answer.tail)
        said, ended = found.groups() if found else ("", "")
        finished = finished or bool(ended)
    if not finished:
        return ParsedAnswer("truncated", thought=split.thought, tail=answer.tail)
    choice = read_choice(said, options)
    return ParsedAnswer(choice.status, choice.option, said, split.thought, answer.tail)


def score_all(items: Iterable[Item], responses: Iterable[Response], protocol: Protocol) -> list[Row]:
    """Rows of all responses to the items; responses to others are left out."""
    known = {item.id: item for item in items}
    return [
        score(known[response.item_id], response, protocol)
        for response in responses
        if response.item_id in known
    ]


def _failed(response: Response) -> bool:
    return response.finish_reason == "error" or response.error is not None


def _outcome(response: Response, verdict: Verdict | None) -> Outcome:
    if verdict is None:
        return "failed"
    if verdict.status == "found":
        return "correct" if verdict.correct else "wrong"
    if verdict.status == "truncated" or response.finish_reason == "length":
        return "truncated"
    return "unextractable"


def _tokens(response: Response, thought: str | None) -> tuple[int | None, int | None]:
    """The tokens of the thought and the others, by their shares of the characters."""
    counted = response.completion_tokens
    if counted is None:
        return None, None
    if thought is None:
        return None, counted
    share = len(thought) / max(1, len(response.whole))
    thinking = min(counted, round(counted * share))
    return thinking, counted - thinking
