from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import lpt_train.lint.kinds as kinds
import lpt_train.rows as rows
from lpt_core import DataError
from lpt_train.encoding import Encoder
from lpt_train.images import PixelPolicy
from lpt_train.lint import ERRORS, WARNINGS, LintReport, lint

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def encoder(tiny_model_dir: Path) -> Encoder:
    from transformers import AutoProcessor

    return Encoder(AutoProcessor.from_pretrained(tiny_model_dir), pixels=PixelPolicy(limit=112))


def found(report: LintReport) -> dict[str, list[str]]:
    """Places by kind, without the file's name."""
    made: dict[str, list[str]] = {}
    for problem in report.problems:
        made.setdefault(problem.kind, []).append(problem.where.removeprefix(f"{report.path}").lstrip(":"))
    return made


@pytest.mark.parametrize(("name", "rows"), [("sft.jsonl", 24), ("pairs.jsonl", 16)])
def test_sound_rows_have_no_problems(tiny_rows: Path, encoder: Encoder, name: str, rows: int) -> None:
    report = lint(tiny_rows / name, encoder=encoder, max_tokens=400)
    assert report.problems == ()
    assert report.rows == rows


# ---- planted faults: what is done to the third row (line 3) or pair, and what must be found -----------


def part(row: dict[str, Any], kind: str, field: str = "response") -> dict[str, Any]:
    return next(one for one in row[field] if one["kind"] == kind)


def user(row: dict[str, Any]) -> dict[str, Any]:
    """The text part of the user's turn."""
    return row["prompt"][1]["content"][1]


def put(kind: str, text: str, field: str = "response") -> Callable[[dict[str, Any]], None]:
    return lambda row: part(row, kind, field).update(text=text)


def add(kind: str, text: str, field: str = "response") -> Callable[[dict[str, Any]], None]:
    return lambda row: part(row, kind, field).update(text=part(row, kind, field)["text"] + text)


def ask(text: str) -> Callable[[dict[str, Any]], None]:
    return lambda row: user(row).update(text=user(row)["text"] + text)


def image(**change: object) -> Callable[[dict[str, Any]], None]:
    def plant(row: dict[str, Any]) -> None:
        row["image"].update(change)
        row["prompt"][1]["content"][0]["image"].update(change)

    return plant


def loss(kind: str, value: bool, field: str = "response") -> Callable[[dict[str, Any]], None]:
    return lambda row: part(row, kind, field).update(loss=value)


def test_a_response_in_one_segment_has_segments_out_of_order(folder: Any) -> None:
    def plant(rows: Rows) -> None:
        text = "".join(segment["text"] for segment in rows[0]["response"])
        rows[0]["response"] = [{"kind": "format", "text": text, "loss": True}]

    assert found(folder.change("sft.jsonl", plant)) == {"segment_order": ["1:response"]}


@pytest.mark.parametrize(
    "end",
    [
        " So the answer is A dog.",
        " The answer is (A). Wait, no: the answer is (C).",
        " The answer is not A.",
        " Option A is wrong.",
        " The answer isn't (A)",
    ],
)
def test_a_thought_that_comes_round_to_its_answer_does_not_contradict_it(folder: Any, end: str) -> None:
    assert folder.change("sft.jsonl", lambda rows: add("continuation", end)(rows[2])).problems == ()


def no_loss(row: dict[str, Any]) -> None:
    for segment in row["response"]:
        segment["loss"] = False


def no_text(row: dict[str, Any]) -> None:
    for segment in row["response"]:
        segment["text"] = " " if segment["kind"] == "format" else ""


def unordered(row: dict[str, Any]) -> None:
    row["response"][1:3] = reversed(row["response"][1:3])


def open_turn(row: dict[str, Any]) -> None:
    content = [{"type": "text", "text": "<think> It"}]
    row["prompt"].append({"role": "assistant", "content": content})


SFT_FAULTS: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    # rows that are none
    "an unknown column": ("unknown_column", lambda row: row.update(assistant_prefix="<think> It")),
    "a column is missing": ("missing_column", lambda row: row.pop("trace_id")),
    "a value of another type": ("bad_value", lambda row: part(row, "thought").update(loss="no")),
    # prompts
    "the assistant has begun": ("prompt_open", open_turn),
    "no question": ("prompt_empty", lambda row: user(row).update(text="")),
    "no image in the prompt": ("prompt_images", lambda row: row["prompt"][1]["content"].pop(0)),
    "another image in the prompt": (
        "image_differs",
        lambda row: row["prompt"][1]["content"][0]["image"].update(path="images/07.png"),
    ),
    "<image> in the question": ("image_placeholder", ask("\n<image>")),
    "no options": ("options_unreadable", lambda row: user(row).update(text="What is it?")),
    # texts
    "a pad token in the thought": ("image_placeholder", add("thought", " <|image_pad|> ")),
    "an end of turn in the thought": ("special_token", add("continuation", "<|im_end|>")),
    "a control character": ("control_character", add("thought", "\x07")),
    "nothing in the response": ("response_empty", no_text),
    "no thought": ("thought_empty", put("thought", "")),
    "no answer": ("answer_empty", put("answer", " ")),
    "an empty cue": ("segment_empty", put("cue", "")),
    "the first tag is missing": ("tag_missing", put("format", "")),
    "a tag is doubled": ("tag_doubled", put("format", "<think> <think> ")),
    "tags are swapped": (
        "tag_order",
        lambda row: row["response"][4].update(text=" <answer> </think> "),
    ),
    "a tag in the thought": ("tag_inside", add("thought", " </think> <answer> red")),
    "a tag in the continuation": ("tag_inside", add("continuation", " <THINK >")),
    "text before the thought": ("text_outside_tags", put("format", "Sure! <think> ")),
    "text after the answer": (
        "text_outside_tags",
        lambda row: row["response"][-1].update(text=" </answer> Bye."),
    ),
    "segments out of order": ("segment_order", unordered),
    "no continuation": ("kind_differs", lambda row: row["response"].__delitem__(slice(2, 4))),
    "the thought repeats itself": ("repetition", add("continuation", " I look at it once again." * 6)),
    "an answer that is no option": ("answer_not_shown", put("answer", "purple")),
    "an answer of two options": ("answer_not_shown", put("answer", "A or B")),
    "the thought ends on another option": (
        "thought_contradicts",
        add("continuation", " So the correct answer should be (A) red."),
    ),
    # loss
    "nothing bears loss": ("no_label", no_loss),
    "a wrong first thought bears loss": ("loss_on_wrong_thought", loss("thought", True)),
    "the answer bears none": ("prefix_no_prefix", loss("answer", False)),
    # images
    "the image is gone": ("image_missing", image(path="images/none.png")),
    "the image is a text": ("image_unreadable", image(path="sft.jsonl")),
    "the image has changed": ("image_changed", image(sha256="0" * 64)),
    "the image has another size": ("image_size", image(width=5)),
}


@pytest.mark.parametrize("fault", SFT_FAULTS)
def test_a_planted_fault_of_an_sft_row_is_found_at_its_line(folder: Any, fault: str) -> None:
    kind, plant = SFT_FAULTS[fault]
    report = folder.change("sft.jsonl", lambda rows: plant(rows[2]))
    assert kind in found(report)
    assert all(where.split(":")[0] == "3" for where in found(report)[kind])
    assert {problem.where.removeprefix(f"{report.path}:").split(":")[0] for problem in report.problems} == {
        "3"
    }, "the other rows are as sound as they were"
    assert report.rows == 24, "no row is dropped"


def same_text(row: dict[str, Any]) -> None:
    row["rejected"] = [segment | {"loss": False} for segment in row["chosen"]]


def long_chosen(row: dict[str, Any]) -> None:
    part(row, "thought", "chosen")["text"] += " And so on and so forth" * 9


def swapped(row: dict[str, Any]) -> None:
    row["chosen"][0]["text"], row["rejected"][0]["text"] = "<think> ", "<think>\n"


# The pair at each of these lines is of the kind named.
SPOILED, TURNED, COMPACT = 2, 3, 4
PAIR_FAULTS: dict[str, tuple[str, int, Callable[[dict[str, Any]], Any]]] = {
    "chosen is rejected": ("chosen_is_rejected", SPOILED, same_text),
    "a claimed thought is not shared": ("thought_not_shared", SPOILED, add("thought", "!", "rejected")),
    "a turned thought is not shared": ("thought_not_shared", TURNED, add("thought", "!", "chosen")),
    "the prefix is no prefix": ("prefix_no_prefix", TURNED, swapped),
    "the rejected answer is right": (
        "rejected_is_right",
        SPOILED,
        lambda row: part(row, "answer", "rejected").update(text=part(row, "answer", "chosen")["text"]),
    ),
    "both should be right": ("answers_differ", COMPACT, put("answer", "(A)", "rejected")),
    "compact is longer": ("compact_not_shorter", COMPACT, long_chosen),
    "the rejected response bears loss": ("loss_on_rejected", SPOILED, loss("answer", True, "rejected")),
    "a wrong first thought bears loss": ("loss_on_wrong_thought", TURNED, loss("thought", True, "chosen")),
    "a right beginning bears none": (
        "loss_withheld",
        SPOILED,
        lambda row: row["chosen"][0].update(loss=False),
    ),
}


@pytest.mark.parametrize("fault", PAIR_FAULTS)
def test_a_planted_fault_of_a_pair_is_found_at_its_line(folder: Any, fault: str) -> None:
    kind, line, plant = PAIR_FAULTS[fault]
    report = folder.change("pairs.jsonl", lambda rows: plant(rows[line - 1]))
    assert [where.split(":")[0] for where in found(report)[kind]] == [str(line)]
    assert report.rows == 16


# ---- rows together -----------------------------------------------------------------------------------


def test_what_stands_twice_names_where_it_stood_first(folder: Any) -> None:
    def plant(rows: Rows) -> None:
        rows[5] = rows[2] | {"id": "f" * 32}
        rows[7]["id"] = rows[2]["id"]

    report = folder.change("sft.jsonl", plant)
    assert found(report) == {"duplicate_row": ["6"], "duplicate_id": ["8"]}
    assert f"{report.path}:3" in report.problems[0].message


def test_a_positive_used_twice_is_a_warning(folder: Any) -> None:
    def plant(rows: Rows) -> None:
        rows[4]["chosen_trace_id"] = rows[0]["chosen_trace_id"]

    report = folder.change("pairs.jsonl", plant)
    assert found(report) == {"chosen_repeated": ["5"]}
    assert report.errors == ()


@pytest.mark.parametrize(
    ("kinds", "word"), [("turned_over_wrong", "longer"), ("compact_over_long", "shorter")]
)
def test_length_that_alone_tells_chosen_from_rejected_is_found(folder: Any, kinds: str, word: str) -> None:
    rows = [
        row
        for row in folder.read("pairs.jsonl")
        if row["kind"] == kinds and (kinds == "compact_over_long" or len(row["rejected"]) < 7)
    ]
    many = [row | {"id": f"{n:032}", "chosen_trace_id": f"{n:032}"} for n in range(8) for row in rows]
    report = lint(folder.write("pairs.jsonl", many))
    (problem,) = [one for one in report.problems if one.kind == "length_bias"]
    assert f"the chosen response is the {word} one" in problem.message
    assert problem.where == str(report.path)


def test_right_answers_that_are_all_one_option_are_found(folder: Any) -> None:
    def plant(rows: Rows) -> None:
        rows[:] = [row for n, row in enumerate(rows) if n % 4 == 2 or n < 8]
        rows += [row | {"id": f"{n:032}"} for n, row in enumerate(rows[-4:])]

    report = folder.change("sft.jsonl", plant)
    assert found(report)["answer_bias"] == [""]
    assert "10 of 16 right answers are option C" in report.problems[-1].message


def test_images_of_the_evaluation_are_found_by_content(folder: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "evaluation"
    elsewhere.mkdir()
    shutil.copy(folder.path / "images" / "02.png", elsewhere / "renamed.png")
    by_folder = found(lint(folder.path / "sft.jsonl", evaluation=[elsewhere]))
    assert by_folder == {"image_in_evaluation": ["3:image", "11:image", "19:image"]}
    records = tmp_path / "evaluation.jsonl"
    records.write_text(json.dumps({"item": [folder.read("sft.jsonl")[2]["image"]]}))
    assert found(lint(folder.path / "sft.jsonl", evaluation=[records])) == by_folder
    assert found(lint(folder.path / "sft.jsonl", evaluation=[elsewhere / "renamed.png"])) == by_folder


def test_an_evaluation_that_names_no_image_is_no_evaluation(folder: Any, tmp_path: Path) -> None:
    text = tmp_path / "x.jsonl"
    text.write_text('{"a": 1}\n{')
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"x\.jsonl:2 is not JSON"):
        lint(folder.path / "sft.jsonl", evaluation=[text])
    with pytest.raises(DataError, match="names no image"):
        lint(folder.path / "sft.jsonl", evaluation=[empty])
    with pytest.raises(DataError, match="cannot be read"):
        lint(folder.path / "sft.jsonl", evaluation=[tmp_path / "none.jsonl"])


def drawn(folder: Any, width: int, height: int) -> Callable[[dict[str, Any]], None]:
    """Plants a new image of this size."""
    path = folder.path / "images" / "line.png"
    Image.new("RGB", (width, height)).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return image(path="images/line.png", sha256=digest, width=width, height=height)


def test_an_image_that_is_a_line_is_too_thin(folder: Any, encoder: Encoder) -> None:
    rows = folder.read("sft.jsonl")
    drawn(folder, 1, 300)(rows[2])
    report = lint(folder.write("sft.jsonl", rows), encoder=encoder)
    assert found(report) == {"image_too_thin": ["3:image"]}


def test_an_image_that_is_too_thin_when_made_smaller_cannot_be_encoded(
    folder: Any, tiny_model_dir: Path
) -> None:
    from transformers import AutoProcessor

    pixels = PixelPolicy(rule="longer_side", limit=250)
    encoder = Encoder(AutoProcessor.from_pretrained(tiny_model_dir), pixels=pixels)
    rows = folder.read("sft.jsonl")
    drawn(folder, 500, 3)(rows[2])
    report = lint(folder.write("sft.jsonl", rows), encoder=encoder)
    assert found(report) == {"not_encodable": ["3:response"]}
    assert "250 x 1 pixels" in report.problems[0].message


# ---- files -------------------------------------------------------------------------------------------


def test_lines_that_are_no_rows_are_counted_and_listed_in_order(folder: Any) -> None:
    path = folder.path / "sft.jsonl"
    lines = path.read_text().splitlines()
    lines[4] = lines[4][:100]
    lines[6] = '{"id": 1, "id": 2}'
    lines[8] = (folder.path / "pairs.jsonl").read_text().splitlines()[0]
    path.write_text("\n".join(lines))
    report = lint(path)
    assert found(report) == {"not_json": ["5"], "duplicate_key": ["7"], "wrong_record": ["9"]}
    assert [problem.kind for problem in report.problems] == ["not_json", "duplicate_key", "wrong_record"]
    assert report.rows == 24


def test_a_file_without_rows_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text("\n")
    assert found(lint(path)) == {"no_rows": [""]}


# ---- tokens ------------------------------------------------------------------------------------------


def test_rows_longer_than_allowed_are_listed_and_none_is_dropped(tiny_rows: Path, encoder: Encoder) -> None:
    from lpt_train.rows import read_sft

    path = tiny_rows / "sft.jsonl"
    lengths = [len(encoder.encode(row.prompt, row.response)) for row in read_sft(path)]
    limit = sorted(lengths)[12]
    report = lint(path, encoder=encoder, max_tokens=limit)
    longer = [f"{n}:response" for n, length in enumerate(lengths, 1) if length > limit]
    assert found(report) == {"too_long": longer}
    tokens = report.statistics["tokens"]
    assert isinstance(tokens, dict)
    assert (tokens["longest"], tokens["total"]) == (max(lengths), sum(lengths))


def test_images_are_measured_by_their_headers_alone(
    folder: Any, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lpt_train.images as images

    monkeypatch.setattr(images, "decoded", lambda *_: pytest.fail("a pixel was read"))
    assert lint(folder.path / "sft.jsonl", encoder=encoder, max_tokens=400).problems == ()


def test_a_row_without_image_is_not_encoded_and_reported_once(folder: Any, encoder: Encoder) -> None:
    rows = folder.read("sft.jsonl")
    image(path="images/none.png")(rows[2])
    path = folder.write("sft.jsonl", rows)
    assert found(lint(path, encoder=encoder)) == {"image_missing": ["3:image"]}


def test_statistics_tell_what_the_rows_are_like(tiny_rows: Path, encoder: Encoder) -> None:
    examples = lint(tiny_rows / "sft.jsonl", encoder=encoder).statistics
    assert examples["kinds"] == {"right_right": 8, "short_right": 8, "wrong_right": 8}
    assert examples["answers"] == dict.fromkeys("ABCD", 6)
    assert examples["images"] == 8
    assert examples["rows_with_straddling_tokens"] == 4
    assert 0 < float(str(examples["label_share"])) < 0.5
    pairs = lint(tiny_rows / "pairs.jsonl", encoder=encoder).statistics
    assert 0.3 < float(str(pairs["shared_share_of_rejected"])) < 1


def test_without_tokens_lint_needs_no_torch(tiny_rows: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import lpt_train.preview; from lpt_train.lint import lint; "
        f"report = lint(Path({str(tiny_rows / 'pairs.jsonl')!r})); assert report.rows == 16; "
        "assert not {'torch', 'transformers', 'trl', 'datasets'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---- the report --------------------------------------------------------------------------------------


def test_every_kind_of_fault_has_a_meaning_and_a_test() -> None:
    assert not ERRORS.keys() & WARNINGS.keys()
    planted = {kind for kind, *_ in SFT_FAULTS.values()} | {kind for kind, *_ in PAIR_FAULTS.values()}
    assert len(planted) >= 35
    here = Path(__file__).parent
    tested = "".join(file.read_text(encoding="utf-8") for file in here.rglob("test_lint.py"))
    for kind in (ERRORS | WARNINGS).keys() - planted:
        assert f'"{kind}"' in tested, "planted in a test of its own"
    assert planted <= (ERRORS | WARNINGS).keys()
    source = "".join(file.read_text() for file in Path(str(kinds.__file__)).parent.glob("*.py"))
    source += Path(str(rows.__file__)).read_text()
    for kind in ERRORS.keys() - {"thought_empty", "answer_empty"} | WARNINGS.keys():
        assert source.count(f'"{kind}"') >= 2, "known and found"


def test_the_report_is_text_for_people_and_json_for_machines(folder: Any) -> None:
    report = folder.change(
        "sft.jsonl", lambda rows: [part(row, "thought").update(text="\x1b[31m") for row in rows]
    )
    text = report.text(most=3)
    assert "\x1b" not in text
    assert "control_character: 21 more" in text
    assert text.endswith(f"24 rows, {len(report.errors)} errors, {len(report.warnings)} warnings\n")
    assert report.text(most=None).count("warning control_character") == 24
    machine = json.loads(json.dumps(report.as_json()))
    assert machine["kinds"]["control_character"] == 24
    assert len(machine["problems"]) == len(report.problems)
    assert {one.kind for one in report.warnings} <= WARNINGS.keys()
    assert {one.kind for one in report.errors} <= ERRORS.keys()
