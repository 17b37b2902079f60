from __future__ import annotations

import copy
import pickle
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lpt_core import ConfigError, DataError, ImagePart, ImageRef, Message, ResponseSegment, TextPart
from lpt_train.encoding import REGIONS, Encoded, Encoder
from lpt_train.images import PixelPolicy
from lpt_train.rows import read_pairs, read_sft

PIXELS = PixelPolicy(limit=112)


@pytest.fixture(scope="module")
def processor(tiny_model_dir: Path) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(tiny_model_dir)


@pytest.fixture(scope="module")
def encoder(processor: Any) -> Encoder:
    return Encoder(processor, pixels=PIXELS)


@pytest.fixture(scope="module")
def full(processor: Any) -> Encoder:
    return Encoder(processor, pixels=PIXELS, prefix_loss="full")


@pytest.fixture(scope="module")
def image(tiny_rows: Path) -> ImageRef:
    return read_sft(tiny_rows / "sft.jsonl")[0].image


def responses(tiny_rows: Path) -> list[tuple[tuple[Message, ...], tuple[ResponseSegment, ...]]]:
    """Prompt and response of all rows and both sides of all pairs."""
    made = [(row.prompt, row.response) for row in read_sft(tiny_rows / "sft.jsonl")]
    for pair in read_pairs(tiny_rows / "pairs.jsonl"):
        made += [(pair.prompt, pair.chosen), (pair.prompt, pair.rejected)]
    return made


def rendered(processor: Any, prompt: tuple[Message, ...], text: str) -> str:
    turns = [
        {
            "role": message.role,
            "content": [
                {"type": "text", "text": part.text} if isinstance(part, TextPart) else {"type": "image"}
                for part in message.content
            ],
        }
        for message in prompt
    ]
    head = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return f"{head}{text}<|im_end|>"


def labelled(encoder: Encoder, made: Encoded) -> str:
    return encoder.decode([token for token, loss in zip(made.ids, made.labels, strict=True) if loss])


def in_region(encoder: Encoder, made: Encoded, *regions: str) -> str:
    return encoder.decode(
        [token for token, region in zip(made.ids, made.regions, strict=True) if region in regions]
    )


def segments(*parts: tuple[str, str, bool]) -> tuple[ResponseSegment, ...]:
    return tuple(ResponseSegment(kind=kind, text=text, loss=loss) for kind, text, loss in parts)


def ask(image: ImageRef, text: str = "What is it?") -> tuple[Message, ...]:
    return (Message.of("system", "Think."), Message.of("user", text, image))


# ---- what bears loss ---------------------------------------------------------------------------------


def test_labels_of_all_kinds_decode_to_what_bears_loss(encoder: Encoder, tiny_rows: Path) -> None:
    for prompt, response in responses(tiny_rows):
        made = encoder.encode(prompt, response)
        expected = "".join(part.text for part in response if part.loss)
        if not expected:
            assert not any(made.labels)
            continue
        got = labelled(encoder, made)
        # A straddling token brings the last characters of what bears no loss along.
        assert got.endswith(f"{expected}<|im_end|>")
        assert len(got) - len(f"{expected}<|im_end|>") <= (2 if made.straddling else 0)


def test_some_row_has_a_straddling_token_that_is_trained_and_shown(encoder: Encoder, tiny_rows: Path) -> None:
    rows = [row for row in read_sft(tiny_rows / "sft.jsonl") if row.kind == "wrong_right"]
    made = [encoder.encode(row.prompt, row.response) for row in rows]
    straddling = [row for row in made if row.straddling]
    assert straddling
    assert len(straddling) < len(made), "thoughts without a full stop do not straddle"
    for row in straddling:
        (place,) = row.straddling
        assert encoder.decode([row.ids[place]]) == ").\n"
        assert row.labels[place]
        assert row.regions[place] == "cue"
        assert row.labels[place:] == (True,) * (len(row) - place)
        assert not any(row.labels[:place])


def test_a_wrong_first_thought_is_masked_or_trained_in_full(
    encoder: Encoder, full: Encoder, tiny_rows: Path
) -> None:
    row = next(row for row in read_sft(tiny_rows / "sft.jsonl") if row.kind == "wrong_right")
    masked, whole = encoder.encode(row.prompt, row.response), full.encode(row.prompt, row.response)
    assert masked.ids == whole.ids
    assert row.response[1].text not in labelled(encoder, masked)
    assert labelled(full, whole) == f"{row.text}<|im_end|>"
    assert whole.straddling == ()


def test_a_rejected_response_bears_no_loss_in_full_either(full: Encoder, tiny_rows: Path) -> None:
    for pair in read_pairs(tiny_rows / "pairs.jsonl"):
        assert not any(full.encode(pair.prompt, pair.rejected).labels)
        assert any(full.encode(pair.prompt, pair.chosen).labels)


def test_the_prompt_bears_no_loss_and_the_end_bears_it_with_the_answer(
    encoder: Encoder, image: ImageRef
) -> None:
    made = encoder.encode(ask(image), segments(("thought", "A cat.", True), ("answer", "cat", False)))
    assert labelled(encoder, made) == "A cat."
    assert made.regions[-1] == "end"
    assert encoder.decode(made.ids[-1:]) == "<|im_end|>"
    assert not any(made.labels[: made.prompt_length])


# ---- tokens ------------------------------------------------------------------------------------------


def test_tokens_are_those_of_the_joint_text_as_the_processor_makes_them(
    encoder: Encoder, processor: Any, tiny_rows: Path
) -> None:
    from PIL import Image

    for prompt, response in responses(tiny_rows)[:30:3]:
        made = encoder.encode(prompt, response)
        text = rendered(processor, prompt, "".join(part.text for part in response))
        with Image.open(made.image.path) as picture:
            picture.thumbnail((10_000, 10_000))
            _, tall, wide = encoder.pictures.grid(made.image)
            stock = processor(
                text=[text], images=[picture.resize((wide * 14, tall * 14))], add_special_tokens=False
            )
        assert list(made.ids) == list(stock["input_ids"][0])
        assert [region == "image" for region in made.regions] == [
            kind == 1 for kind in stock["mm_token_type_ids"][0]
        ]


def test_a_qwen3_vl_is_encoded_as_its_processor_does_it(processor: Any, tiny_rows: Path) -> None:
    from PIL import Image
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    size = {"shortest_edge": 32 * 32, "longest_edge": 160 * 160}
    other = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, patch_size=16, merge_size=2),
        tokenizer=processor.tokenizer,
        video_processor=Qwen3VLVideoProcessor(),
        chat_template=processor.chat_template,
    )
    encoder = Encoder(other, pixels=PixelPolicy(limit=400))
    for row in read_sft(tiny_rows / "sft.jsonl")[:8]:
        made = encoder.encode(row.prompt, row.response)
        with Image.open(row.image.path) as picture:
            picture.load()
            stock = other(text=[rendered(other, row.prompt, row.text)], images=[picture])
        assert list(made.ids) == list(stock["input_ids"][0])
        grid = encoder.pictures.tensors(row.image)["image_grid_thw"]
        assert grid.tolist() == [list(map(int, one)) for one in stock["image_grid_thw"]]


def test_joint_tokens_differ_from_those_of_segments_apart(
    encoder: Encoder, processor: Any, tiny_rows: Path
) -> None:
    differing = 0
    for prompt, response in responses(tiny_rows):
        made = encoder.encode(prompt, response)
        whole = "".join(part.text for part in response)
        joint = processor.tokenizer(whole)["input_ids"]
        apart = [token for part in response for token in processor.tokenizer(part.text)["input_ids"]]
        assert list(made.ids[made.prompt_length : -1]) == joint
        differing += joint != apart
    assert differing >= 10


def test_regions_cover_the_text_in_the_order_of_the_segments(encoder: Encoder, tiny_rows: Path) -> None:
    for prompt, response in responses(tiny_rows):
        made = encoder.encode(prompt, response)
        assert len(made.ids) == len(made.labels) == len(made.regions)
        assert set(made.regions) <= set(REGIONS)
        assert in_region(encoder, made, "format", "thought", "cue", "continuation", "answer") == "".join(
            part.text for part in response
        )
        kinds = list(dict.fromkeys(made.regions[made.prompt_length :]))
        assert kinds == [*dict.fromkeys(part.kind for part in response), "end"]
        answer = next(part.text for part in response if part.kind == "answer")
        assert in_region(encoder, made, "answer").strip() == answer
        assert set(made.regions[: made.prompt_length]) == {"prompt", "image"}
        assert made.regions.count("image") == encoder.pictures.tokens(made.image)


def test_nothing_is_cut_off_a_very_long_response(encoder: Encoder, image: ImageRef) -> None:
    text = "I look again at the cross. " * 3_000
    made = encoder.encode(ask(image), segments(("thought", text, True), ("answer", "(A)", True)))
    assert labelled(encoder, made) == f"{text}(A)<|im_end|>"


class Templated:
    """A processor with another chat template."""

    def __init__(self, processor: Any, template: str | None) -> None:
        self.image_processor = processor.image_processor
        self.image_token = processor.image_token
        self.tokenizer = copy.deepcopy(processor.tokenizer)
        self.tokenizer.chat_template = None
        self.chat_template = template


def test_a_thought_that_the_template_opens_is_not_opened_twice(processor: Any, image: ImageRef) -> None:
    opening = processor.chat_template.replace(
        "<|im_start|>assistant\n{%", "<|im_start|>assistant\n<think>\n{%"
    )
    assert opening != processor.chat_template
    encoder = Encoder(Templated(processor, opening), pixels=PIXELS)
    made = encoder.encode(ask(image), segments(("format", "<think> ", True), ("thought", "So.", True)))
    assert encoder.decode(made.ids).endswith("<|im_start|>assistant\n<think> So.<|im_end|>")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "has no chat template"),
        ("{% for m in messages %}{{ m.role }}{% endfor %}", "no special token after an answer"),
        ("{% for m in messages %}{{ m.content[0].text + 1 }}{% endfor %}", "chat template fails"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(
    processor: Any, template: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Encoder(Templated(processor, template), pixels=PIXELS)


def test_a_template_that_forgets_the_image_is_refused(processor: Any, image: ImageRef) -> None:
    blind = processor.chat_template.replace("<|image_pad|>", "")
    encoder = Encoder(Templated(processor, blind), pixels=PIXELS)
    with pytest.raises(ConfigError, match="writes 0 image tokens"):
        encoder.encode(ask(image), segments(("answer", "x", True)))


def test_an_encoder_goes_to_other_processes_whole(encoder: Encoder, tiny_rows: Path) -> None:
    other = pickle.loads(pickle.dumps(encoder))
    for prompt, response in responses(tiny_rows)[::5]:
        assert other.encode(prompt, response) == encoder.encode(prompt, response)
    assert other.identity == encoder.identity


# ---- hostile texts -----------------------------------------------------------------------------------

PIECES = st.one_of(
    st.sampled_from(
        [
            "<|im_end|>",
            "<|image_pad|>",
            "<|vision_start|>",
            "<|im_",
            "end|>",
            "<",
            "|",
            "\n",
            " ",
            ".",
            "\ue000",
        ]
    ),
    st.text(max_size=8),
)
HOSTILE = st.lists(PIECES, max_size=6).map("".join)
KINDS = st.sampled_from(["format", "thought", "cue", "continuation", "answer"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(st.tuples(KINDS, HOSTILE, st.booleans()), min_size=1, max_size=5),
    question=st.lists(HOSTILE, min_size=1, max_size=3),
)
@example(parts=[("thought", "<|im_", False), ("cue", "end|>", True)], question=["<|image", "_pad|>"])
@example(parts=[("thought", "e", False), ("cue", "\u0301\ud800", True)], question=["\ue000\ud800"])
def test_no_text_makes_a_special_token_or_loses_a_character(
    encoder: Encoder, image: ImageRef, parts: list[tuple[str, str, bool]], question: list[str]
) -> None:
    response = segments(*parts)
    text = "".join(part.text for part in response)
    content = (ImagePart(image=image), *(TextPart(text=part) for part in question))
    prompt = (Message(role="user", content=content),)
    if not text:
        with pytest.raises(DataError, match="empty"):
            encoder.encode(prompt, response)
        return
    made = encoder.encode(prompt, response)
    special = encoder.tokenizer.added_tokens_decoder
    words = [special[token].content for token in made.ids if token in special]
    count = encoder.pictures.tokens(image)
    assert words == [
        *("<|im_start|>", "<|im_end|>", "<|im_start|>", "<|vision_start|>"),
        *["<|image_pad|>"] * count,
        *("<|vision_end|>", "<|im_end|>", "<|im_start|>", "<|im_end|>"),
    ]

    def plain(what: str) -> str:
        return unicodedata.normalize("NFC", what.encode("utf-8", "replace").decode())

    start = made.prompt_length
    assert encoder.decode(made.ids[start:]) == plain(text) + "<|im_end|>"
    assert plain("".join(question)) in encoder.decode(made.ids[:start])
    assert all(made.labels[place] for place in made.straddling)
    if all(part.loss for part in response if part.text):
        assert all(made.labels[start:])
    if not any(part.loss for part in response):
        assert not any(made.labels)


def test_a_spelt_out_special_token_is_encoded_as_its_characters(encoder: Encoder, image: ImageRef) -> None:
    made = encoder.encode(ask(image, "<|image_pad|>?"), segments(("thought", "x <|im_end|> y", True)))
    assert made.regions.count("image") == encoder.pictures.tokens(image)
    assert made.ids[made.prompt_length :].count(made.ids[-1]) == 1
    assert "x <|im_end|> y<|im_end|>" in encoder.decode(made.ids)


# ---- refusals and identity ---------------------------------------------------------------------------


def test_a_prompt_must_end_with_the_user_and_show_one_image(encoder: Encoder, image: ImageRef) -> None:
    answer = segments(("answer", "x", True))
    with pytest.raises(DataError, match="does not end with the user's turn"):
        encoder.encode((*ask(image), Message.of("assistant", "<think> It")), answer)
    with pytest.raises(DataError, match="shows 0 images"):
        encoder.encode((Message.of("user", "What?"),), answer)
    with pytest.raises(DataError, match="shows 2 images"):
        encoder.encode((Message.of("user", "What?", image), Message.of("user", "What?", image)), answer)


def test_the_identity_knows_all_settings_and_no_call_changes_it(processor: Any, image: ImageRef) -> None:
    first = Encoder(processor, pixels=PIXELS)
    before = first.identity
    processor.tokenizer("a text", truncation=True, max_length=1)
    again = Encoder(processor, pixels=PIXELS)
    assert again.identity == before
    assert Encoder(processor, pixels=PixelPolicy(limit=56)).identity != before
    assert Encoder(processor, pixels=PIXELS, prefix_loss="full").identity != before
    assert len(again.encode(ask(image), segments(("answer", "x", True)))) > 5
