from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lpt_core import ImageRef, Message, Sampling
from lpt_synth.engines.in_vllm.order import Waiting, prompt_key, shared
from lpt_synth.types import Model, Request

TEXTS = st.text("ab", max_size=6)


def key(caption: int, question: int, thought: int) -> str:
    text = f"Somebody looks. The scene: {f'caption {caption:03}':-<60} The question: {f'{question:02}':-<60}"
    return f"{text}{thought}"


def drained(waiting: Waiting[str], last: str = "") -> list[str]:
    out: list[str] = []
    while waiting:
        last, one = waiting.next(last)
        out.append(one)
    return out


def test_the_thoughts_of_a_question_and_the_questions_of_a_caption_follow_each_other() -> None:
    keys = [key(c, q, t) for c in range(7) for q in range(4) for t in range(3)]
    random.Random(1).shuffle(keys)
    waiting: Waiting[str] = Waiting()
    for one in keys:
        waiting.put(one, one)
    out = drained(waiting)
    assert sorted(out) == sorted(keys)
    for length, groups in ((len(key(0, 0, 0)) - 1, 28), (90, 7)):
        heads = [one[:length] for one in out]
        changes = sum(a != b for a, b in pairwise(heads))
        assert changes == groups - 1


def test_where_nothing_is_alike_the_oldest_goes_first() -> None:
    waiting: Waiting[str] = Waiting()
    for one in ("zebra", "ant", "mole"):
        waiting.put(one, one)
    assert drained(waiting) == ["zebra", "ant", "mole"]


def test_of_equal_prompts_the_oldest_goes_first() -> None:
    waiting: Waiting[int] = Waiting()
    waiting.put("x", -1)
    for number in range(5):
        waiting.put("same " * 20, number)
    first = waiting.next("")
    assert first[1] == -1
    assert [waiting.next("same " * 20)[1] for _ in range(5)] == list(range(5))


def test_what_was_taken_back_does_not_come() -> None:
    waiting: Waiting[str] = Waiting()
    tickets = [waiting.put(one * 40, one) for one in "abc"]
    assert waiting.take_back(tickets[1])
    assert not waiting.take_back(tickets[1])
    assert drained(waiting) == ["a", "c"]
    assert waiting.clear() == []


@given(st.lists(TEXTS, max_size=12), TEXTS)
def test_all_come_once_whatever_they_are(texts: list[str], last: str) -> None:
    waiting: Waiting[int] = Waiting()
    for number, text in enumerate(texts):
        waiting.put(text, number)
    got: list[int] = []
    while waiting:
        last, number = waiting.next(last)
        assert last == texts[number]
        got.append(number)
    assert sorted(got) == list(range(len(texts)))


@given(TEXTS, TEXTS)
def test_how_much_two_texts_share(one: str, other: str) -> None:
    count = shared(one, other)
    assert one[:count] == other[:count]
    assert one[count : count + 1] != other[count : count + 1] or count == min(len(one), len(other))


def test_the_key_tells_images_by_what_they_hold_and_ends_with_the_prefill() -> None:
    def request(digest: str, prefill: str) -> Request:
        image = ImageRef(path=f"{digest}.png", sha256=digest * 64, width=1, height=1)
        return Request.make(
            stage="think",
            role="thinker",
            item="x",
            messages=(Message.of("system", "Think."), Message.of("user", "What?", image)),
            sampling=Sampling(),
            n=1,
            prompt="p",
            model=Model("m"),
            prefill=prefill,
        )

    one, other = prompt_key(request("a", "")), prompt_key(request("b", ""))
    assert one != other
    assert prompt_key(request("a", "<think> I")).startswith(one)
