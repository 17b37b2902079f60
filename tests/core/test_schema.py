"""Records: frozen, strict, versioned, named by their content, and the same after a round trip."""

from __future__ import annotations

import json
import runpy
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import lpt_core
from lpt_core import (
    MCQ,
    SCHEMA_VERSION,
    Caption,
    CheckpointRecord,
    DataError,
    ImageRef,
    Message,
    PixelPolicy,
    PreferencePair,
    Presentation,
    PromptExample,
    Provenance,
    Record,
    ResponseSegment,
    Sampling,
    Segment,
    SFTExample,
    Trace,
    Verdict,
    WeightDigests,
    json_schemas,
    normal_text,
)
from lpt_core.chat import Part
from lpt_core.schemas import schema_files

IMAGE = ImageRef(path="train_00000.jpg", sha256="0" * 64, width=512, height=384)
MADE = Provenance(
    stage="think",
    prompt="f" * 32,
    engine="openai",
    model="vlm",
    sampling=Sampling(temperature=0.7, stop=("</answer>",)),
    request="a" * 32,
    sample=2,
)
CAPTION = Caption.make(text="A red door – “open”.", image=IMAGE, source="docci", source_id="train_00000")
QUESTION = MCQ.make(
    caption_id=CAPTION.id, question="Which colour?", options=("Red", "Blue", "None"), gold=0, provenance=MADE
)
SHOWN = Presentation.derive(QUESTION, 42)
TRACE = Trace.make(
    caption_id=CAPTION.id,
    presentation=SHOWN,
    segments=(
        Segment(kind="thought", text="It is red.", provenance=MADE),
        Segment(kind="cue", text="\nWait,"),
        Segment(kind="continuation", text=" it is.", provenance=MADE),
    ),
    answer="<answer> (A) </answer>",
    verdict=Verdict(status="found", option=0, correct=True),
    parent="b" * 32,
)
RESPONSE = (
    ResponseSegment(kind="format", text="<think> ", loss=True),
    ResponseSegment(kind="thought", text="It is red.", loss=False),
)
SHARED: dict[str, Any] = {
    "id": "c" * 32,
    "caption_id": CAPTION.id,
    "mcq_id": QUESTION.id,
    "image": IMAGE,
    "prompt": (Message.of("user", "Which colour?", IMAGE),),
}
EXAMPLE = SFTExample(**SHARED, kind="wrong_right", trace_id=TRACE.id, response=RESPONSE)
PAIR = PreferencePair(
    **SHARED,
    kind="compact_over_long",
    chosen_trace_id="1",
    rejected_trace_id="2",
    chosen=RESPONSE,
    rejected=RESPONSE,
)
PROMPT = PromptExample.make(image=IMAGE, prompt=SHARED["prompt"], mcq=QUESTION, presentation=SHOWN)
CHECKPOINT = CheckpointRecord(
    stage="sft",
    step=6,
    model="some/model",
    weights=WeightDigests(start="d" * 32, trained="e" * 32, frozen="f" * 32),
    pixels=PixelPolicy(limit=84),
    template="0" * 32,
    prompt="1" * 32,
    systems=("Think first.",),
    rows=24,
    data="2" * 32,
    course={"seed": 42, "model.lora": None, "sft.betas": [0.9, 0.999]},
    versions={"torch": "2.15"},
)
RECORDS: list[Record] = [CAPTION, QUESTION, SHOWN, TRACE, EXAMPLE, PAIR, PROMPT, CHECKPOINT]
VALUES: list[Part] = [
    IMAGE,
    MADE,
    MADE.sampling,
    TRACE.segments[0],
    TRACE.verdict,
    RESPONSE[0],
    CHECKPOINT.weights,
    *EXAMPLE.prompt,
]
every_record = pytest.mark.parametrize("record", RECORDS, ids=[type(one).__name__ for one in RECORDS])
every_part = pytest.mark.parametrize(
    "part", RECORDS + VALUES, ids=[type(one).__name__ for one in RECORDS + VALUES]
)


@every_part
def test_a_record_cannot_be_changed(part: Part) -> None:
    name = next(iter(type(part).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(part, name, getattr(part, name))


@every_part
def test_a_record_refuses_what_it_does_not_know(part: Part) -> None:
    text = json.dumps(json.loads(part.model_dump_json()) | {"gold_letter": "A"})
    with pytest.raises(ValidationError, match="gold_letter\n  Extra inputs are not permitted"):
        type(part).model_validate_json(text)


@every_part
def test_a_record_is_the_same_after_a_round_trip_through_json(part: Part) -> None:
    text = part.model_dump_json()
    again = type(part).model_validate_json(text)
    assert again == part
    assert again.model_dump_json() == text


@every_record
def test_a_record_carries_the_version_of_its_schema_and_refuses_another(record: Record) -> None:
    written = json.loads(record.model_dump_json())
    assert written["schema_version"] == SCHEMA_VERSION == 1
    with pytest.raises(ValidationError, match="schema_version\n  Input should be 1"):
        type(record).model_validate_json(json.dumps(written | {"schema_version": 2}))


def test_values_of_another_type_are_refused_not_converted() -> None:
    with pytest.raises(ValidationError, match="gold\n  Input should be a valid integer"):
        MCQ.model_validate_json(QUESTION.model_dump_json().replace('"gold":0', '"gold":"0"'))
    with pytest.raises(ValidationError, match="option\n  Input should be a valid integer"):
        Verdict.model_validate_json('{"status":"found","option":true,"correct":false}')


# ---- ids -------------------------------------------------------------------------------------------


def test_ids_are_pinned() -> None:
    # A changed id renames everything that was ever written: raise FINGERPRINT_VERSION knowingly.
    assert {type(record).__name__: getattr(record, "id", None) for record in RECORDS[:4]} == {
        "Caption": "4fecdf5f82d4d4103868d9160d6397e0",
        "MCQ": "99b502a9502cde6807ae0859fda5db14",
        "Presentation": None,
        "Trace": "3c9d4dee1f1d307151f3326584ef1e0e",
    }


def test_an_id_depends_on_content_and_not_on_where_it_comes_from() -> None:
    elsewhere = IMAGE.model_copy(update={"path": "/data/x.png"})
    moved = Caption.make(text=CAPTION.text, image=elsewhere, source="jsonl", source_id="7", split="test")
    assert moved.id == CAPTION.id
    asked = {"caption_id": CAPTION.id, "question": "Which colour?", "options": ("Red", "Blue", "None")}
    assert MCQ.make(**asked, gold=0, kind="Spatial").id == QUESTION.id
    assert MCQ.make(**asked, gold=1).id != QUESTION.id
    assert MCQ.make(**asked | {"options": ("Blue", "Red", "None")}, gold=1).id != QUESTION.id
    assert MCQ.make(**asked | {"caption_id": "other"}, gold=0).id != QUESTION.id


def test_a_trace_is_named_by_its_segments_its_answer_and_how_it_was_asked() -> None:
    def made(**changed: Any) -> str:
        content = {
            "caption_id": TRACE.caption_id,
            "presentation": TRACE.presentation,
            "segments": TRACE.segments,
            "answer": TRACE.answer,
            "verdict": TRACE.verdict,
        }
        return Trace.make(**content | changed).id

    bare = tuple(segment.model_copy(update={"provenance": None}) for segment in TRACE.segments)
    joined = (Segment(kind="thought", text=TRACE.thought),)
    style = "text" if SHOWN.answer_style != "text" else "letter_dot"
    assert made(segments=bare, verdict=Verdict(status="missing"), parent=None) == TRACE.id
    assert made(segments=joined) != TRACE.id
    assert made(answer="<answer> (B) </answer>") != TRACE.id
    assert made(presentation=SHOWN.model_copy(update={"answer_style": style})) != TRACE.id


def test_the_texts_of_segments_joined_are_the_whole() -> None:
    assert TRACE.thought == "It is red.\nWait, it is."
    assert EXAMPLE.text == "<think> It is red."
    assert QUESTION.gold_text == "Red"


# ---- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"options": ("Red", "red ")}, "two options are the same"),
        ({"options": ("Red", "Ｒed")}, "two options are the same"),
        ({"options": ("Red", "R\u200bed")}, "two options are the same"),
        ({"options": ("Red", " \n")}, "an option is empty"),
        ({"options": ("Red", "\u200b")}, "an option is empty"),
        ({"options": ("Red",)}, "options\n  Tuple should have at least 2 items"),
        ({"options": tuple("abcdefghijk")}, "options\n  Tuple should have at most 10 items"),
        ({"gold": 3}, "gold is option 3, of 3, counted from 0"),
        ({"gold": -1}, "gold\n  Input should be greater than or equal to 0"),
        ({"question": ""}, "question\n  String should have at least 1 character"),
        ({"options": ["Red", "Blue"]}, "options\n  Input should be a valid tuple"),
    ],
)
def test_an_unsound_question_is_refused_with_what_is_wrong(changed: dict[str, Any], message: str) -> None:
    content = {"caption_id": "c", "question": "Which?", "options": ("Red", "Blue", "None"), "gold": 0}
    with pytest.raises(ValidationError, match=message):
        MCQ.make(**content | changed)


@pytest.mark.parametrize("order", [(0, 0), (1, 2), (0, 2), (-1, 0)])
def test_an_order_that_is_no_permutation_is_refused(order: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="order is not a permutation"):
        Presentation(mcq_id="m", order=order, option_style="dot", answer_style="text")


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        ({"status": "found"}, "exactly when the status is found"),
        ({"status": "missing", "option": 0}, "exactly when the status is found"),
        ({"status": "missing", "correct": True}, "only an answer that was found"),
        ({"status": "right", "option": 0}, "status\n  Input should be 'found'"),
    ],
)
def test_an_unsound_verdict_is_refused(verdict: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Verdict(**verdict)


def test_a_caption_needs_text_and_an_image_its_digest() -> None:
    with pytest.raises(ValidationError, match="text\n  String should have at least 1 character"):
        Caption.make(text="", image=IMAGE, source="s", source_id="1")
    with pytest.raises(ValidationError, match="sha256\n  String should match pattern"):
        ImageRef(path="x", sha256="abc", width=1, height=1)


# ---- presentations ---------------------------------------------------------------------------------


def many(count: int) -> list[MCQ]:
    return [
        MCQ.make(caption_id="c", question=f"Q{n}?", options=("a", "b", "c", "d"), gold=0)
        for n in range(count)
    ]


def test_a_presentation_depends_on_its_own_question_and_the_seed_alone() -> None:
    whole = {mcq.id: Presentation.derive(mcq, 42) for mcq in many(50)}
    assert all(Presentation.derive(mcq, 42) == whole[mcq.id] for mcq in reversed(many(50)[10:20]))
    assert any(Presentation.derive(mcq, 43) != whole[mcq.id] for mcq in many(5))


def test_presentations_vary_in_order_and_in_both_styles() -> None:
    drawn = [Presentation.derive(mcq, 42) for mcq in many(600)]
    assert len({one.order for one in drawn}) == 24
    first = [sum(one.order[0] == option for one in drawn) for option in range(4)]
    assert min(first) > 100  # 150 expected, standard deviation 11
    styles = [(one.option_style, one.answer_style) for one in drawn]
    assert min(styles.count(style) for style in set(styles)) > 60  # 100 expected, standard deviation 9
    assert len(set(styles)) == 6


def test_a_presentation_can_leave_the_order_and_fix_the_styles() -> None:
    plain = Presentation.derive(
        QUESTION, 1, shuffle=False, option_styles=("dot",), answer_styles=("letter_dot",)
    )
    assert plain.order == (0, 1, 2)
    assert plain.render_options(QUESTION) == "A. Red\nB. Blue\nC. None"
    assert [plain.render_answer(QUESTION, option) for option in range(3)] == ["A.", "B.", "C."]


def test_options_and_answers_are_rendered_in_the_order_shown() -> None:
    shown = Presentation(
        mcq_id=QUESTION.id, order=(2, 0, 1), option_style="parens", answer_style="letter_parens"
    )
    assert shown.shown(QUESTION) == ("None", "Red", "Blue")
    assert shown.render_options(QUESTION) == "(A) None\n(B) Red\n(C) Blue"
    assert [shown.render_answer(QUESTION, option) for option in range(3)] == ["(B)", "(C)", "(A)"]
    worded = shown.model_copy(update={"answer_style": "text"})
    assert [worded.render_answer(QUESTION, option) for option in range(3)] == list(QUESTION.options)


def test_a_presentation_refuses_another_question() -> None:
    other = MCQ.make(caption_id="c", question="Q?", options=("x", "y", "z"), gold=0)
    with pytest.raises(DataError, match=f"of question {QUESTION.id} does not fit question {other.id}"):
        SHOWN.render_options(other)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (" Two\n words ", "two words"),
        ("ＡＢＣ", "abc"),
        ("Straße", "strasse"),
        ("a\u200b\u00adb", "ab"),
        ("", ""),
    ],
)
def test_texts_of_options_are_compared_in_one_normal_form(text: str, normal: str) -> None:
    assert normal_text(text) == normal


def test_joiners_that_tell_texts_apart_stay() -> None:
    assert normal_text("👩\u200d🚀") != normal_text("👩🚀")


# ---- prompts for reinforcement learning --------------------------------------------------------------


def test_a_prompt_names_its_content_and_not_where_its_question_comes_from() -> None:
    asked = QUESTION.model_copy(update={"provenance": MADE})
    again = PromptExample.make(image=IMAGE, prompt=SHARED["prompt"], mcq=asked, presentation=SHOWN)
    assert again == PROMPT
    assert again.mcq.provenance is None
    moved = IMAGE.model_copy(update={"path": "elsewhere.png"})
    assert PromptExample.make(image=moved, prompt=(), mcq=asked, presentation=SHOWN).id != PROMPT.id
    assert PromptExample.make(
        image=moved, prompt=SHARED["prompt"], mcq=asked, presentation=SHOWN
    ).id == PROMPT.id  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"mcq_id": "f" * 32}, {"order": (*SHOWN.order, len(SHOWN.order))}], ids=["other", "longer"]
)
def test_a_prompt_whose_presentation_is_of_another_question_is_refused(change: dict[str, Any]) -> None:
    shown = Presentation.model_validate(SHOWN.model_dump() | change)
    with pytest.raises(ValidationError, match="presentation"):
        PromptExample.make(image=IMAGE, prompt=SHARED["prompt"], mcq=QUESTION, presentation=shown)


# ---- the published schemas -------------------------------------------------------------------------


def test_the_published_schemas_are_current() -> None:
    published = {
        file.name: file.read_text(encoding="utf-8")
        for file in (resources.files(lpt_core) / "schemas").iterdir()
        if file.name.endswith(".json")
    }
    assert published == schema_files(), "write them anew: python -m lpt_core.schemas"


@every_record
def test_a_schema_has_every_field_of_its_record_and_admits_no_other(record: Record) -> None:
    schema = json_schemas()[type(record).__name__]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["properties"].keys() == json.loads(record.model_dump_json()).keys()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["schema_version"]["const"] == SCHEMA_VERSION


def run_schemas(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["schemas", str(directory)])
    runpy.run_module("lpt_core.schemas", run_name="__main__")


def test_schemas_are_written_to_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_schemas(monkeypatch, tmp_path / "new")
    written = {file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "new").iterdir()}
    assert written == schema_files()


def test_a_directory_that_cannot_be_written_ends_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="2"):
        run_schemas(monkeypatch, tmp_path / "file")
    assert "cannot be written" in capsys.readouterr().err
