"""Verification: is what a response answers the gold option of the question as it was shown?"""

from __future__ import annotations

from lpt_core.answers import ParsedAnswer, parse_answer
from lpt_core.schema import MCQ, Presentation, Verdict


def verify(text: str, mcq: MCQ, presentation: Presentation) -> tuple[ParsedAnswer, Verdict]:
    """Read a response and judge it against the gold option. Never raises on the text.

    Args:
        text: The whole response, with the part that was prefilled.
        mcq: The question.
        presentation: How it was shown; letters mean the order shown there.

    Returns:
        The reading (places as shown) and the verdict (options as in the MCQ).
    """
    answer = parse_answer(text, presentation.shown(mcq))
    return answer, judge(answer, mcq, presentation)


def judge(answer: ParsedAnswer, mcq: MCQ, presentation: Presentation) -> Verdict:
    """The verdict on an answer that has been read."""
    if answer.option is None:
        return Verdict(status=answer.status)
    option = presentation.order[answer.option]
    return Verdict(status="found", option=option, correct=option == mcq.gold)
