from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpt_core import EndpointError, Message, Presentation, Sampling, StoreError
from lpt_synth.config import AskConfig, ExpandConfig
from lpt_synth.endpoints import LabTeacherEndpoint
from lpt_synth.lab.captions import OPENINGS
from lpt_synth.lab.scene import LEVELS, make_scene
from lpt_synth.lab.teacher.engine import TeacherEngine
from lpt_synth.stages import AskStage, ExpandStage
from lpt_synth.testing.engine_contract import EngineContract
from lpt_synth.types import Completion, Failure, Model, Request

CAPTION = (
    f"{OPENINGS[0]} At the top left there is a small plain red star. The centre holds a large blue circle "
    "with stripes. At the bottom right stands a large plain green star. Nothing stands at the top middle, "
    "top right, middle left, middle right, bottom left and bottom middle. There are three shapes in all."
)
EXPAND = (
    f"{CAPTION}\n\nWhat colour is the circle?\nSelect from the following choices.\n"
    "(A) red\n(B) green\n(C) blue\n(D) pink\nFormat the answer with the letter, in parentheses, like (X)."
)
DOCCI = (
    "An outdoor view of a brown tabby cat that lies on a wooden bench. The cat faces to the left, its tail "
    "hangs down at the right. There are three shapes in all."
)


def endpoint(**rates) -> LabTeacherEndpoint:
    return LabTeacherEndpoint(engine="lab_teacher", **rates)


def request(text: str, *, stage="ask", prefill="", sampling=None, n=1) -> Request:
    return Request.make(
        stage=stage,
        role={"ask": "asker", "reformat": "asker", "expand": "expander"}.get(stage, stage),
        item="caption-7",
        messages=(Message.of("user", text),),
        sampling=sampling or Sampling(),
        n=n,
        prompt="p",
        model=Model("lab-teacher-v1"),
        prefill=prefill,
    )


def complete(asked: Request, samples=(0,), **rates):
    return asyncio.run(TeacherEngine(endpoint(**rates)).complete(asked, samples))


class TestTeacherEngine(EngineContract):
    @asynccontextmanager
    async def engine(self):
        engine = TeacherEngine(endpoint())
        await engine.open()
        yield engine
        await engine.close()

    def request(self, text: str = "What is in the picture?", n: int = 1, prefill: str = "") -> Request:
        """The contract's own, with a caption of this world, and for an expander with a question."""
        return super().request(f"{text}\n{EXPAND if prefill else CAPTION}", n, prefill)


def test_it_needs_neither_torch_nor_pillow_nor_a_network():
    program = (
        "import sys, lpt_synth.lab.teacher.engine\n"
        "print(*sorted({'torch', 'transformers', 'PIL', 'aiohttp', 'numpy'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout == "\n"


# ---- the asker --------------------------------------------------------------------------------------


def read_questions(captions, *, json_schema=False, **rates):
    """What the real stage reads in the teacher's answers to captions."""
    end = endpoint(**rates)
    stage = AskStage(AskConfig(), end.identity, json_schema=json_schema)
    engine = TeacherEngine(end)

    async def ask():
        for caption in captions:
            asked = stage.request(caption)
            (outcome,) = (await engine.complete(asked, (0,))).outcomes
            yield outcome, stage.read(caption, asked, outcome)

    async def listed():
        return [one async for one in ask()]

    return asyncio.run(listed())


@pytest.fixture(scope="module")
def scenes():
    return [make_scene("validation", number, level=LEVELS[number % 3]) for number in range(90)]


@pytest.fixture(scope="module")
def captions(scenes, captioned):
    return [captioned(scene, scene.number) for scene in scenes]


@pytest.mark.parametrize("json_schema", [False, True])
def test_the_real_stage_reads_four_to_seven_right_questions(scenes, captions, oracle, json_schema):
    readings = read_questions(captions, json_schema=json_schema, malformed=0)
    for scene, (_, reading) in zip(scenes, readings, strict=True):
        assert reading.readable
        assert not reading.rejected
        assert 4 <= len(reading.mcqs) <= 7
        for mcq in reading.mcqs:
            assert len(mcq.options) == 4
            assert oracle(scene).answer(mcq.question, mcq.options) == mcq.gold_text
            assert mcq.kind in ("Recognition", "Spatial", "Counting", "Other")


def test_questions_are_numbered_in_the_prompts_form(captions):
    for outcome, reading in read_questions(captions[:5], malformed=0):
        lines = outcome.text.splitlines()
        assert len(lines) == len(reading.mcqs)
        for number, line in enumerate(lines, 1):
            choices = r"\(A\) .+ \(B\) .+ \(C\) .+ \(D\) .+ "
            assert re.fullmatch(
                rf"{number}\. <question> .+ </question> <choices> {choices}</choices> "
                r"<answer> .+ </answer> <type> \w+ </type>",
                line,
            )


def test_a_schema_is_kept_to(captions):
    for outcome, reading in read_questions(captions[:5], json_schema=True, malformed=0):
        data = json.loads(outcome.text)
        assert list(data) == ["questions"]
        assert len(data["questions"]) == len(reading.mcqs)
        assert all(set(one) == {"question", "choices", "answer", "type"} for one in data["questions"])


def test_no_kind_of_question_swamps_the_others_and_answers_stand_anywhere(captions):
    mcqs = [mcq for _, reading in read_questions(captions, malformed=0) for mcq in reading.mcqs]
    labels = Counter(mcq.kind for mcq in mcqs)
    assert min(labels[one] for one in ("Recognition", "Spatial", "Counting")) > 0.2 * len(mcqs)
    between = sum("Seen from" in mcq.question or "directly" in mcq.question for mcq in mcqs)
    assert 0.08 * len(mcqs) < between < 0.25 * len(mcqs)
    places = Counter(mcq.gold for mcq in mcqs)
    assert all(0.18 * len(mcqs) < places[place] < 0.32 * len(mcqs) for place in range(4))


def test_questions_of_one_caption_differ_in_kind(captions):
    for _, reading in read_questions(captions, malformed=0):
        begun = Counter(" ".join(mcq.question.split()[:4]) for mcq in reading.mcqs)
        assert len(begun) >= len(reading.mcqs) - 2


def test_questions_break_the_form_at_the_given_rate_and_in_several_ways(captions):
    kept = read_questions(captions, malformed=0.2)
    whys = Counter(problem.kind for _, reading in kept for problem in reading.rejected)
    total = sum(whys.values()) + sum(len(reading.mcqs) for _, reading in kept)
    assert 0.14 < sum(whys.values()) / total < 0.26  # about 500 draws: 0.2 +- 3.4 standard deviations
    assert set(whys) >= {"no_answer", "gold_off_menu", "option_count", "options_duplicate", "no_choices"}


def test_all_questions_can_be_broken_and_the_stage_keeps_none(captions):
    for _, reading in read_questions(captions[:20], malformed=1):
        assert not reading.mcqs
        assert len(reading.rejected) >= 4


def test_what_does_not_read_is_brought_into_form_by_the_second_call(captions):
    end = endpoint(malformed=0.3)
    stage, engine = AskStage(AskConfig(), end.identity, json_schema=False), TeacherEngine(end)
    mended = 0
    for caption, (outcome, reading) in zip(captions, read_questions(captions, malformed=0.3), strict=True):
        if reading.readable:
            continue
        asked = stage.reformat_request(caption, outcome.text)
        (again,) = asyncio.run(engine.complete(asked, (0,))).outcomes
        second = stage.read(caption, asked, again)
        if reading.mcqs:
            assert second.readable
        assert [mcq.question for mcq in second.mcqs] == [mcq.question for mcq in reading.mcqs]
        assert [mcq.gold_text for mcq in second.mcqs] == [mcq.gold_text for mcq in reading.mcqs]
        mended += 1
    assert mended > 10


def test_reformatting_writes_the_text_of_an_answer_that_is_a_letter():
    text = "<question> Why?</question><choices>A. x\nB. y</choices><answer>B</answer>"
    (outcome,) = complete(request(text, stage="reformat")).outcomes
    assert outcome.text == (
        "1. <question> Why? </question> <choices> (A) x (B) y </choices> <answer> y </answer> "
        "<type> Other </type>"
    )
    (outcome,) = complete(request("Good morning.", stage="reformat")).outcomes
    assert outcome == Completion("There are no questions here.")


# ---- what it draws from -----------------------------------------------------------------------------


def test_the_same_request_gives_the_same_text_whatever_else_was_asked():
    asked, other = request(CAPTION, n=4), request(f"{CAPTION} Go on.", n=4)
    first = complete(asked, (0, 1, 2, 3)).outcomes
    engine = TeacherEngine(endpoint())

    async def otherwise():
        random.seed(3)
        await engine.complete(other, (0,))
        return [(await engine.complete(asked, (sample,))).outcomes[0] for sample in (2, 0, 3, 1)]

    assert asyncio.run(otherwise()) == [first[sample] for sample in (2, 0, 3, 1)]
    assert len({outcome.text for outcome in first}) == 4
    assert complete(other).outcomes[0] != first[0]
    assert complete(asked, seed=1).outcomes[0] != first[0]


def test_an_answer_is_committed_before_it_is_given_out():
    events = []

    async def commit(asked, samples, reply):
        events.append((asked.key, samples, reply))

    async def fail(asked, samples, reply):
        raise StoreError("the disk is full.")

    asked = request(CAPTION, n=2)
    reply = asyncio.run(TeacherEngine(endpoint(), commit=commit).complete(asked, (1, 0)))
    assert events == [(asked.key, (1, 0), reply)]
    assert reply.model == "lab-teacher-v1"
    assert reply.input_tokens > 60
    assert reply.output_tokens > 100
    with pytest.raises(StoreError):
        asyncio.run(TeacherEngine(endpoint(), commit=fail).complete(asked, (0,)))


def test_limits_and_stop_texts_are_kept():
    whole = complete(request(CAPTION)).outcomes[0]
    assert whole.finish_reason == "stop"
    reply = complete(request(CAPTION, sampling=Sampling(max_tokens=30)))
    (cut,) = reply.outcomes
    assert cut.finish_reason == "length"
    assert reply.output_tokens == 30
    (stopped,) = complete(request(CAPTION, sampling=Sampling(stop=("</question>",)))).outcomes
    assert stopped.finish_reason == "stop"
    assert "</question>" not in stopped.text
    assert stopped.text.startswith("1. <question> ")


# ---- what it refuses --------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["ask", "expand"])
@pytest.mark.parametrize(
    "caption",
    [DOCCI, "", CAPTION.replace("three shapes", "four shapes"), CAPTION.replace("circle with", "cube with")],
)
def test_captions_of_other_worlds_stop_a_run_and_the_error_says_what_to_use(stage, caption):
    text = EXPAND.replace(CAPTION, caption)
    with pytest.raises(EndpointError) as caught:
        complete(request(text, stage=stage, prefill="<think> I look. Wait," if stage == "expand" else ""))
    said = str(caught.value)
    assert "simulated teacher" in said
    assert "caption-7" in said
    assert "OpenAI-compatible" in said
    assert ("do not fit together" in said) == (OPENINGS[0] in caption)


def test_the_error_names_pages_that_there_are(request: pytest.FixtureRequest):
    with pytest.raises(EndpointError) as caught:
        complete(globals()["request"](DOCCI))
    pages = re.findall(r"docs/[\w/-]+\.md", caught.value.remedy)
    assert pages
    assert all((request.config.rootpath / page).is_file() for page in pages)


@pytest.mark.parametrize("stage", ["think", "judge"])
def test_it_neither_thinks_nor_judges(stage):
    role = {"think": "thinker"}.get(stage, stage)
    asked = Request.make(
        stage=stage,
        role=role,
        item="x",
        messages=(Message.of("user", CAPTION),),
        sampling=Sampling(),
        n=1,
        prompt="p",
        model=Model("m"),
    )
    with pytest.raises(EndpointError, match=role):
        complete(asked)


def test_a_question_that_is_not_this_worlds_fails_alone():
    text = EXPAND.replace("What colour is the circle?", "What does the circle feel?")
    (outcome,) = complete(request(text, stage="expand", prefill="<think> Hm. Wait,")).outcomes
    assert isinstance(outcome, Failure)
    assert outcome.kind == "refused"


PIECES = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            [
                CAPTION,
                OPENINGS[1],
                "\nWhat colour is the circle?\n",
                "(A) red\n(B) blue\n(C) </think>\n",
                "A. {x} <answer>\nB. blue\nC. (B)\n",
                "What is directly above the red star?",
                "<question> a </question> <choices> (A) x (B) ",
                "</choices> <answer> B </answer>",
                "There are three shapes in all.",
                "\ud83d",
            ]
        ),
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(PIECES, st.text(max_size=40), st.sampled_from(["ask", "reformat", "expand"]))
def test_no_prompt_makes_it_raise_anything_but_its_refusal(pieces, prefill, stage):
    asked = request("".join(pieces), stage=stage, prefill=prefill if stage == "expand" else "", n=3)
    refused = ""
    try:
        reply = complete(asked, (0, 1, 2), lapse=0.5, malformed=0.5, breaks_off=0.3)
    except EndpointError as error:
        refused = str(error)
    else:
        assert len(reply.outcomes) == 3
    assert not refused or ("simulated teacher" in refused and stage != "reformat")


# ---- with the real expander's stage -----------------------------------------------------------------


def test_an_expanders_prompt_is_read_in_every_form_in_which_it_is_shown(posed):
    stage = ExpandStage(ExpandConfig(), Model("m"), 0)
    for _, caption, mcq in posed[:120]:
        shown = Presentation.derive(mcq, 3)
        text = stage.user_text(caption, mcq, shown)
        (outcome,) = complete(
            request(text, stage="expand", prefill="<think> Hm. Wait,"), lapse=0, breaks_off=0
        ).outcomes
        assert isinstance(outcome, Completion), mcq
        said = re.search(r"</think> <answer> (.+) </answer>$", outcome.text)
        assert said is not None
        assert said[1] == shown.render_answer(mcq, mcq.gold)
