from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from lpt_core import MCQ, Presentation, Segment, Trace, Verdict, parse_answer
from lpt_synth.config import ExpandConfig
from lpt_synth.endpoints import LabTeacherEndpoint
from lpt_synth.lab.captions import Described, read_caption
from lpt_synth.lab.draw import overlaps
from lpt_synth.lab.questions import questions
from lpt_synth.lab.scene import LEVELS, PLACES, make_scene
from lpt_synth.lab.teacher import phrases
from lpt_synth.lab.teacher.engine import TeacherEngine
from lpt_synth.lab.teacher.reading import answer_of
from lpt_synth.lab.teacher.samples import sample_texts
from lpt_synth.settings import load_recipe
from lpt_synth.stages import ExpandStage
from lpt_synth.stages.expand import Banned
from lpt_synth.types import LongNode

BANNED = (
    *load_recipe("default")["expand"]["banned_words"],
    *(
        "text",
        "passage",
        "paragraph",
        "prompt",
        "told",
        "mentioned",
        "says",
        "statement",
        "sentence",
        "given",
    ),
)


@dataclass(frozen=True)
class Long:
    """A continuation with what it came from."""

    scene: object
    mcq: MCQ
    guess: int
    prefill: str
    node: LongNode

    @property
    def added(self) -> str:
        return self.node.trace.segments[-1].text

    @property
    def words(self) -> list[str]:
        return self.added.split()


def expanded(posed, *, guess="gold", n=1, **rates) -> list[Long]:
    """The real stage's reading of continuations from first thoughts that are right, wrong or mixed."""
    end = LabTeacherEndpoint(engine="lab_teacher", **rates)
    stage, engine = ExpandStage(ExpandConfig(n=n), end.identity, 0), TeacherEngine(end)
    draw = random.Random(0)

    async def one(scene, caption, mcq) -> list[Long]:
        shown = Presentation.derive(mcq, 1)
        wrong = draw.choice([place for place in range(4) if place != mcq.gold])
        option = mcq.gold if guess == "gold" or (guess == "mixed" and draw.random() < 0.5) else wrong
        short = Trace.make(
            caption_id=caption.id,
            presentation=shown,
            segments=(Segment(kind="thought", text=f"I look. It is {mcq.options[option]}"),),
            answer="",
            verdict=Verdict(status="found", option=option, correct=option == mcq.gold),
        )
        asked = stage.request(short, stage.user_text(caption, mcq, shown))
        reply = await engine.complete(asked, tuple(range(n)))
        nodes = [stage.read(mcq, short, asked, place, one) for place, one in enumerate(reply.outcomes)]
        return [Long(scene, mcq, option, asked.prefill, node) for node in nodes]

    async def all_of() -> list[Long]:
        return [long for item in posed for long in await one(*item)]

    return asyncio.run(all_of())


# ---- how they end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("guess", ["gold", "wrong"])
def test_thoughts_are_verified_right_at_the_given_rates(posed, guess):
    longs = expanded(posed, guess=guess, n=3)
    assert len(longs) > 900
    ends = Counter((long.node.trace.verdict.status, long.node.trace.verdict.correct) for long in longs)
    assert set(ends) == {("found", True), ("found", False), ("truncated", False)}
    for end, rate in ((("found", True), 0.8), (("found", False), 0.15), (("truncated", False), 0.05)):
        deviation = (rate * (1 - rate) / len(longs)) ** 0.5
        assert abs(ends[end] / len(longs) - rate) < 4 * deviation
    assert {long.node.dropped for long in longs} == {None}


def test_without_lapses_every_kind_ends_right_and_with_lapses_alone_every_kind_ends_wrong(posed):
    for lapse in (0, 1):
        longs = expanded(posed, guess="mixed", lapse=lapse, breaks_off=0)
        assert {long.node.trace.verdict.correct for long in longs} == {not lapse}
        assert len({long.mcq.kind for long in longs}) == 13


def test_a_thought_that_breaks_off_says_so_and_has_no_answer(posed):
    for long in expanded(posed[:60], breaks_off=1):
        assert long.node.trace.verdict.status == "truncated"
        assert not long.node.trace.answer
        assert len(long.words) >= 8


def test_a_lapse_talks_itself_out_of_a_right_thought_and_stays_with_some_wrong_ones(posed):
    spoiled = expanded(posed, guess="gold", lapse=1, breaks_off=0)
    assert all(long.node.trace.verdict.option != long.guess for long in spoiled)
    stayed = expanded(posed, guess="wrong", lapse=1, breaks_off=0)
    assert 0.1 < sum(one.node.trace.verdict.option == one.guess for one in stayed) / len(stayed) < 0.9


# ---- what they say ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(posed) -> list[Long]:
    return expanded(posed, guess="mixed", n=2, breaks_off=0)


def test_nothing_betrays_that_the_speaker_has_read_rather_than_seen(mixed):
    banned = Banned(BANNED)
    for long in mixed:
        assert not banned.found_in(long.added), long.added
    banks = [*phrases.ENTRIES.values(), *phrases.OTHERWISE.values(), *phrases.DETAILS.values()]
    banks += [phrases.RIGHT, phrases.WRONG, phrases.NEUTRAL, phrases.DOUBTS, phrases.CHECKS]
    for phrase in (phrase for bank in banks for phrase in bank):
        assert not banned.found_in(phrase)


def test_lengths_are_within_bounds_and_vary(mixed):
    lengths = [len(long.words) for long in mixed]
    assert min(lengths) >= 20  # a doubt is short
    assert max(lengths) <= 120
    assert max(lengths) > 2.5 * min(lengths)


def test_words_vary(mixed):
    assert len({long.added for long in mixed}) > 0.97 * len(mixed)
    assert len({" ".join(long.words[:6]) for long in mixed}) > 20


def test_a_continuation_follows_its_cue_as_a_sentence_does(mixed):
    for long in mixed:
        assert not long.prefill.endswith((" ", "\n"))
        assert re.match(r" [A-Za-z]", long.added)
        if long.prefill.endswith(","):
            assert re.match(r" (?:I\b|[a-z])", long.added), long.added
        else:
            assert re.match(r" [A-Z]", long.added), long.added
        assert long.prefill not in long.added
        said, _, line = long.added.rpartition("\n")
        assert not re.search(r"[.!?] [a-z]|  |\{|\}| ,|\.\.", said), said
        assert re.fullmatch(r"(?:\([A-D]\)|[A-D]\.) .+", line), line


@pytest.mark.parametrize(
    ("prefill", "begins"),
    [("<think>", r" [A-Z]"), ("<think> Hm.\n", r"[A-Z]"), ("<think> so ", r"(?:I\b|[a-z])"), ("", r" [A-Z]")],
)
def test_it_follows_other_beginnings_too(posed, prefill, begins):
    _, caption, mcq = posed[0]
    shown = Presentation.derive(mcq, 1)
    stage = ExpandStage(ExpandConfig(), LabTeacherEndpoint(engine="lab_teacher").identity, 0)
    short = Trace.make(
        caption_id=caption.id,
        presentation=shown,
        segments=(Segment(kind="thought", text="x"),),
        answer="",
        verdict=Verdict(status="found", option=0),
    )
    asked = replace(stage.request(short, stage.user_text(caption, mcq, shown)), prefill=prefill)
    reply = asyncio.run(TeacherEngine(LabTeacherEndpoint(engine="lab_teacher")).complete(asked, (0, 1, 2)))
    assert all(re.match(begins, outcome.text) for outcome in reply.outcomes)


def test_it_goes_through_the_picture_more_often_than_it_does_anything_else(mixed):
    of_kind = Counter(long.mcq.kind for long in mixed)
    scanned = Counter(
        long.mcq.kind for long in mixed if "Top row:" in long.added and "Bottom row:" in long.added
    )
    walked = Counter(long.mcq.kind for long in mixed if re.search("At the top left: ", long.added))
    assert (scanned + walked).total() > 0.5 * len(mixed)
    for kind in ("beside", "direction", "count_shape", "count_colour", "count_all", "by_size"):
        assert walked[kind] > 0.4 * of_kind[kind]
        assert (walked + scanned)[kind] > 0.6 * of_kind[kind]
    assert scanned["most_common"] > 0.5 * of_kind["most_common"]


def test_a_wrong_thought_is_given_up_openly_and_a_right_one_confirmed(mixed):
    gives_up = re.compile(r"\bNo, |\bwrong\b|take it back|too quick|but no,")
    for long in mixed:
        if not long.node.trace.verdict.correct:
            continue
        if long.guess == long.mcq.gold:
            assert not gives_up.search(long.added), long.added
        else:
            assert gives_up.search(long.added), long.added


def test_what_is_scanned_leads_to_what_is_concluded(mixed, oracle_of_grid):
    """Also where the conclusion is wrong: then something was misseen."""
    checked = Counter()
    for long in mixed:
        rows = re.search(r"Top row: (.+?)\. Middle row: (.+?)\. Bottom row: (.+?)\.", long.added)
        option = long.node.trace.verdict.option
        if rows is None or option is None or long.mcq.kind == "covers":
            continue
        cells = [cell.split() for row in rows.groups() for cell in row.split(", ")]
        grid = [
            None if cell == ["nothing"] else ("", "", *cell) if len(cell) == 2 else tuple(cell)
            for cell in cells
        ]
        judge = oracle_of_grid(grid)
        assert judge.answer(long.mcq.question, long.mcq.options) == long.mcq.options[option], long.added
        checked[long.node.trace.verdict.correct] += 1
    assert checked[True] > 130
    assert checked[False] > 20


STEP = re.compile(r"[Aa]t the ([a-z ]+): ([a-z ]+)(?:, (that is \d|there it is))?[;.]")


def test_a_walk_counts_what_is_asked_for_and_stops_where_it_is_found(mixed, oracle_of_grid):
    """Also where the conclusion is wrong: then something was misseen."""
    checked = Counter()
    for long in mixed:
        option = long.node.trace.verdict.option
        walk = re.search(r"At the top left: [^.]+\.", long.added)
        if walk is None or option is None:
            continue
        steps = STEP.findall(walk[0])
        concluded = long.mcq.options[option]
        assert [place for place, _, _ in steps] == list(PLACES[: len(steps)])
        grid = [None if seen == "nothing" else ("", "", *seen.split())[-4:] for _, seen, _ in steps]
        marked = [(said, one) for (_, _, said), one in zip(steps, grid, strict=True) if said]
        if long.mcq.kind.startswith("count"):
            assert len(steps) == 9
            assert [said for said, _ in marked] == [f"that is {n + 1}" for n in range(int(concluded))]
        else:
            assert {said for said, _ in marked} == {"there it is"}
            assert steps[-1][2], "it goes on although it has found"
        if long.mcq.kind not in ("by_size", "beside"):  # their walks end before all that the options name
            judge = oracle_of_grid([*grid, *[None] * (9 - len(grid))])
            assert judge.answer(long.mcq.question, long.mcq.options) == concluded, long.added
        checked[long.mcq.kind, long.node.trace.verdict.correct] += 1
    assert sum(count for (_, right), count in checked.items() if right) > 130
    assert sum(count for (_, right), count in checked.items() if not right) > 10
    assert len({kind for kind, _ in checked}) >= 9


# ---- the true answer, worked out anew ---------------------------------------------------------------


@pytest.mark.parametrize("number", range(12))
def test_answers_are_found_whatever_the_wording_the_distractors_and_their_order(number, crowded):
    scene = make_scene("train", number, level=LEVELS[number % 3])
    scene = crowded(scene) if number % 2 else scene
    described = Described(scene, overlaps(scene))
    for wording in range(3):
        draw = random.Random(wording)
        for question in questions(scene, overlaps(scene), draw):
            options = draw.sample((question.answer, *question.distractors), 4)
            found = answer_of(described, question.text, options)
            assert found is not None
            assert options[found.option] == found.question.answer == question.answer
            assert found.question.kind == question.kind
            assert answer_of(described, question.text, question.distractors) is None
            assert answer_of(described, f"{question.text} Or not?", options) is None


def test_a_question_with_two_right_options_has_no_answer():
    scene = make_scene("train", 0, level="hard")
    large = [thing.name for thing in scene.things if thing.size == "large"]
    assert len(large) > 1
    assert answer_of(Described(scene), "Which of these is the largest?", [*large[:2], "x", "y"]) is None


# ---- samples ----------------------------------------------------------------------------------------


def test_samples_are_whole_thoughts_in_form_and_always_the_same():
    texts = list(sample_texts(60, 5))
    assert texts == list(sample_texts(60, 5))
    assert texts[:10] == list(sample_texts(10, 5))
    assert len(set(texts)) == 60
    assert set(texts).isdisjoint(sample_texts(20, 6))
    for text in texts:
        assert re.fullmatch(r"<think> .+ </think> <answer> .+ </answer>", text, re.DOTALL)
        assert parse_answer(text, ("no such option", "nor this")).status != "truncated"
        assert read_caption(text) is None
