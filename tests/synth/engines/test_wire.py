from __future__ import annotations

import asyncio
import json
import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpt_core import ConfigError, ImageRef, Message, Sampling
from lpt_synth.config import OpenAIEndpoint
from lpt_synth.engines.wire import (
    Answer,
    chat_messages,
    check_extra_body,
    complaint,
    read_answer,
    sampling_fields,
    sound,
)


def body(*choices: object, **more: object) -> bytes:
    return json.dumps({"choices": list(choices), **more}).encode()


def turn(content: object, reason: object = "stop", **more: object) -> dict[str, object]:
    return {"message": {"role": "assistant", "content": content, **more}, "finish_reason": reason}


NOT_AN_ANSWER = [
    (b"", "empty"),
    (b" \r\n ", "empty"),
    (b"<html>Bad gateway</html>", "not JSON: <html>"),
    (b'{"choices": [', "not JSON"),
    (b"\xff\xfe\xff", "not JSON"),
    (b"data: {}\n\ndata: [DONE]", "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b"9" * 5000, "not JSON"),
    (b"null", "no object"),
    (b"[]", "no object"),
    (b'"text"', "no object"),
    (b"NaN", "no object"),
    (b"{}", "no choices"),
    (b'{"choices": null}', "no choices"),
    (b'{"choices": []}', "no choices"),
    (b'{"choices": {}}', "no choices"),
    (b'{"choices": "x"}', "no choices"),
    (b'{"error": {"message": "upstream", "code": 502}}', "error.*upstream"),
    (b'{"choices": [], "error": "overloaded"}', "error.*overloaded"),
]


@pytest.mark.parametrize(("raw", "why"), NOT_AN_ANSWER)
def test_a_body_that_is_no_answer_says_why(raw, why):
    answer = read_answer(raw)
    assert isinstance(answer, str)
    assert re.search(why, answer)


UNUSABLE = [
    None,
    5,
    "text",
    [],
    {},
    {"message": None},
    {"message": "text"},
    {"message": {}},
    turn(None),
    turn(5),
    turn({"text": "x"}),
    turn(None, tool_calls=[{"id": 1}]),
    turn(None, reasoning=""),
    turn(None, reasoning_content=5),
    turn("half", "error"),
    {"text": None},
]


@pytest.mark.parametrize("choice", UNUSABLE)
def test_a_choice_that_holds_nothing_spoils_no_other(choice):
    answer = read_answer(body(choice, turn("good")))
    assert isinstance(answer, Answer)
    assert answer.choices[0] is None
    assert answer.choices[1].content == "good"


@pytest.mark.parametrize(
    ("choice", "content", "reasoning", "reason"),
    [
        (turn("x"), "x", "", "stop"),
        (turn("", "stop"), "", "", "stop"),
        (turn("x", "length"), "x", "", "length"),
        (turn("x", None), "x", "", "stop"),
        (turn("x", 7), "x", "", "stop"),
        (turn(None, "length"), None, "", "length"),
        (turn(None, "content_filter"), None, "", "content_filter"),
        (turn("a", reasoning="r"), "a", "r", "stop"),
        (turn("a", reasoning_content="r"), "a", "r", "stop"),
        (turn("a", reasoning=None, reasoning_content="r"), "a", "r", "stop"),
        (turn(None, reasoning="r"), None, "r", "stop"),
        (turn(None, refusal="I will not."), "I will not.", "", "stop"),
        ({"text": " raw", "finish_reason": "stop"}, " raw", "", "stop"),
        (
            turn(
                [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "t"}, None, 5]},
                    {"type": "text", "text": "a"},
                    "odd",
                    {"type": "image"},
                ]
            ),
            "a",
            "t",
            "stop",
        ),
        (turn("half \ud83d pair"), "half \ufffd pair", "", "stop"),
        (turn("\U0001f5fc"), "\U0001f5fc", "", "stop"),
    ],
)
def test_a_choice_is_read_as_it_stands(choice, content, reasoning, reason):
    (read,) = read_answer(body(choice)).choices
    assert (read.content, read.reasoning, read.finish_reason) == (content, reasoning, reason)


def test_choices_are_put_in_the_order_of_their_index():
    choices = [turn(str(i)) | {"index": i} for i in (2, 0, 1)]
    assert [c.content for c in read_answer(body(*choices)).choices] == ["0", "1", "2"]
    odd = [turn("a") | {"index": 1}, turn("b") | {"index": "0"}]
    assert [c.content for c in read_answer(body(*odd)).choices] == ["a", "b"]


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, (3, 4)),
        ({"prompt_tokens": "3", "completion_tokens": -4}, (0, 0)),
        ({"prompt_tokens": True, "completion_tokens": 1e9}, (0, 0)),
        ("many", (0, 0)),
        (None, (0, 0)),
    ],
)
def test_tokens_are_counted_only_where_the_endpoint_counts_them(usage, counts):
    answer = read_answer(body(turn("x"), usage=usage))
    assert (answer.input_tokens, answer.output_tokens) == counts


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "text",
                    "index",
                    "reasoning",
                    "usage",
                    "model",
                    "type",
                    "thinking",
                    "finish_reason",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON | st.builds(lambda c: {"choices": c}, st.lists(JSON, min_size=1, max_size=3)))
def test_no_json_makes_the_reader_raise(value):
    answer = read_answer(json.dumps(value).encode())
    if isinstance(answer, Answer):
        for choice in answer.choices:
            if choice is not None:
                ((choice.content or "") + choice.reasoning).encode()


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise(raw):
    read_answer(raw)


@given(st.text(st.characters(exclude_categories=[])))
def test_sound_text_is_utf8_and_whole_text_is_left_alone(text):
    made = sound(text)
    made.encode()
    if not any(0xD800 <= ord(c) < 0xE000 for c in text):
        assert made == text


# ---- what is sent ------------------------------------------------------------------------------------


def endpoint(**options: object) -> OpenAIEndpoint:
    return OpenAIEndpoint(base_url="http://h/v1", model="m", **options)


FULL = Sampling(
    temperature=0.0,
    top_p=0.8,
    top_k=-1,
    repetition_penalty=1.05,
    max_tokens=9,
    stop=("END",),
    bad_words=("describes",),
)


def test_all_sampling_that_is_set_is_sent_where_the_endpoint_knows_it(table):
    request = table.request(sampling=FULL, response_schema={"type": "object"})
    fields = sampling_fields(request, endpoint(json_schema=True), ())
    schema = {"name": "think", "strict": True, "schema": {"type": "object"}}
    assert fields == {
        "temperature": 0.0,
        "top_p": 0.8,
        "max_tokens": 9,
        "stop": ("END",),
        "top_k": -1,
        "repetition_penalty": 1.05,
        "bad_words": ("describes",),
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    plain = sampling_fields(request, endpoint(extra_sampling=False, ban_words=False), ())
    assert set(plain) == {"temperature", "top_p", "max_tokens", "stop"}
    assert sampling_fields(table.request(sampling=Sampling()), endpoint(), ()) == {}


def test_refused_fields_are_left_out_and_the_token_limit_takes_its_newer_name(table):
    fields = sampling_fields(table.request(sampling=FULL), endpoint(), {"top_k", "max_tokens"})
    assert fields["max_completion_tokens"] == 9
    assert not {"top_k", "max_tokens"} & set(fields)


@pytest.mark.parametrize("name", ["messages", "model", "n", "seed", "stream", "temperature", "bad_words"])
def test_extra_body_may_not_set_what_belongs_elsewhere(name):
    with pytest.raises(ConfigError, match=f"may not set {name}"):
        check_extra_body(endpoint(extra_body={name: 1, "user": "x"}))
    check_extra_body(endpoint(extra_body={"user": "x", "chat_template_kwargs": {}}))


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({"since": date(2026, 1, 1)}, "cannot be sent as JSON"),
        ({"x": float("nan")}, "cannot be sent as JSON"),
        ({"chat_template_kwargs": ["enable_thinking"]}, "not a mapping"),
    ],
)
def test_extra_body_that_cannot_be_sent_is_told_before_anything_is(extra, why):
    with pytest.raises(ConfigError, match=why):
        check_extra_body(endpoint(extra_body=extra))


def test_images_become_urls_in_their_place():
    ref = ImageRef(path="a.png", sha256="0" * 64, width=1, height=1)

    async def url(image: ImageRef) -> str:
        return f"data:{image.path}"

    turns = asyncio.run(
        chat_messages((Message.of("system", "s"), Message.of("user", "look", ref)), url),
    )
    assert turns == [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:a.png"}},
                {"type": "text", "text": "look"},
            ],
        },
    ]


SENT = ("model", "messages", "n", "seed", "top_k", "repetition_penalty", "bad_words", "max_tokens")


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ("Unrecognized request argument supplied: top_k", "top_k"),
        ("Unknown parameter: 'repetition_penalty'.", "repetition_penalty"),
        ("body.seed: Extra inputs are not permitted", "seed"),
        ('Invalid JSON payload received. Unknown name "seed": Cannot find field.', "seed"),
        ("property 'bad_words' is unsupported", "bad_words"),
        ("Use 'max_completion_tokens' instead.", "max_tokens"),
        ("'n' : number must be at most 1", "n"),
        ("body.n: Input should be less than or equal to 1", "n"),
        ("n must be 1 when using greedy sampling", "n"),
        ("Only one completion choice is allowed", "n"),
        # Values that are wrong, lengths, and words that only look like fields.
        ("max_tokens is too large: 4096", None),
        ("top_k must be at least 1", None),
        ("This model's maximum context length is 8192 tokens", None),
        ("unknown proceeds of the seedling", None),
        ("extra top_kernel", None),
        ("unsupported image", None),
        ("no recording matches this request: it holds neither", None),
        ("response_format is unsupported", None),
        ("", None),
    ],
)
def test_which_field_a_refusal_complains_of(words, field):
    assert complaint(words.lower(), SENT) == field
