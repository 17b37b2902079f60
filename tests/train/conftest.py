"""A tiny random Qwen2.5-VL, and rows of all kinds to train it on. Imports nothing of LPT but its core."""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lpt_core import (
    LETTERS,
    ImageRef,
    Message,
    PreferencePair,
    ResponseSegment,
    SFTExample,
    fingerprint,
    load_prompt,
)

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
           "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")  # fmt: skip
# Qwen2's own: "." and a line break after it are one piece, and so may be one token.
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Qwen2.5-VL's own, without its branch for videos.
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

SIZES = ((84, 84), (112, 56), (56, 140), (70, 84), (96, 64), (168, 84), (84, 112), (60, 60))
COLOURS = ("red", "blue", "green", "white")
SHAPES = ("circle", "cross", "square", "star")
CUES = ("\nWait,", "\nHmm,", "\nAlternatively,", "\nLet's double-check the details.")

# ---- rows --------------------------------------------------------------------------------------------


def _image(folder: Path, number: int) -> ImageRef:
    """A picture of a rectangle on grey; each has its own size."""
    from PIL import Image, ImageDraw

    size = SIZES[number % len(SIZES)]
    picture = Image.new("RGB", size, (90, 90, 90 + number))
    box = (number * 3 % 30, number * 5 % 25, size[0] - 9 - number, size[1] - 7 - number)
    ImageDraw.Draw(picture).rectangle(box, fill=COLOURS[number % 4])
    (folder / "images").mkdir(exist_ok=True)
    path = folder / "images" / f"{number:02}.png"
    picture.save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ImageRef(path=f"images/{path.name}", sha256=digest, width=size[0], height=size[1])


def _prompt(number: int, image: ImageRef) -> tuple[Message, ...]:
    styles = ("letter_parens", "letter_dot", "text")
    form = "({}) {}" if number % 2 else "{}. {}"
    options = "\n".join(form.format(a, b) for a, b in zip(LETTERS, COLOURS, strict=False))
    question = load_prompt("question").render(
        question=f"Which colour has the {SHAPES[number % 4]} in row {number}?",
        options=options,
        answer_style=styles[number % 3],
    )
    return (
        Message.of("system", load_prompt("think_system").render()),
        Message.of("user", question, image),
    )


def _answer(number: int, option: int) -> str:
    letter = LETTERS[option]
    return (f"({letter})", f"{letter}.", COLOURS[option])[number % 3]


def _thought(number: int, option: int) -> str:
    # With a full stop, which is one token with the cue's line break, and without.
    end = f"so the answer is ({LETTERS[option]})." if number % 4 < 2 else "that is clear"
    return (
        f"In row {number} there is a {SHAPES[number % 4]}, beside a {SHAPES[(number + 1) % 4]}. "
        f"It looks {COLOURS[option]}, {end}"
    )


def _response(number: int, *options: int, loss: str = "all") -> tuple[ResponseSegment, ...]:
    """A thought that leads to each option in turn, with a cue between; the last is the answer."""
    first, rest = loss == "all", loss != "none"
    thought = _thought(number, options[0])
    parts = [
        ResponseSegment(kind="format", text="<think> ", loss=first),
        ResponseSegment(kind="thought", text=thought, loss=first),
    ]
    if len(options) > 1:
        joint = "" if thought.endswith(".") else "."
        more = f" I should look again at the {SHAPES[number % 4]} – it is {COLOURS[options[1]]} after all."
        parts += [
            ResponseSegment(kind="cue", text=joint + CUES[number % 4], loss=rest),
            ResponseSegment(kind="continuation", text=more, loss=rest),
        ]
    parts += [
        ResponseSegment(kind="format", text=" </think> <answer> ", loss=rest),
        ResponseSegment(kind="answer", text=_answer(number, options[-1]), loss=rest),
        ResponseSegment(kind="format", text=" </answer>", loss=rest),
    ]
    return tuple(parts)


def _ids(number: int) -> dict[str, str]:
    return {"caption_id": fingerprint("caption", number), "mcq_id": fingerprint("mcq", number)}


def _sft(number: int, image: ImageRef) -> SFTExample:
    gold, other = number % 4, (number + 1) % 4
    options, loss, kind = (
        ((gold,), "all", "short_right"),
        ((gold, gold), "all", "right_right"),
        ((other, gold), "added", "wrong_right"),
    )[number % 3]
    trace = fingerprint("trace", [number, *options])
    return SFTExample(
        id=fingerprint("sft", trace), kind=kind, trace_id=trace, image=image, prompt=_prompt(number, image),
        response=_response(number, *options, loss=loss), **_ids(number),
    )  # fmt: skip


def _pair(number: int, image: ImageRef) -> PreferencePair:
    gold, other = number % 4, (number + 1) % 4
    # The last two kinds share a thought; of the turned ones, every other one is set against its own start.
    turned = (other, other) if number % 8 < 4 else (other,)
    chosen, rejected, kind = (
        ((gold,), (other,), "right_over_wrong"),
        ((gold,), (gold, other), "short_over_spoiled"),
        ((other, gold), turned, "turned_over_wrong"),
        ((gold,), (gold, gold), "compact_over_long"),
    )[number % 4]
    traces = [fingerprint("trace", [number, *options]) for options in (chosen, rejected)]
    return PreferencePair(
        id=fingerprint("pair", traces), kind=kind, chosen_trace_id=traces[0], rejected_trace_id=traces[1],
        image=image, prompt=_prompt(number, image),
        chosen=_response(number, *chosen, loss="added" if kind == "turned_over_wrong" else "all"),
        rejected=_response(number, *rejected, loss="none"), **_ids(number),
    )  # fmt: skip


def _write(path: Path, records: Sequence[SFTExample | PreferencePair]) -> None:
    path.write_text("".join(f"{record.model_dump_json()}\n" for record in records), encoding="utf-8")


@pytest.fixture(scope="session")
def tiny_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``lpt-synth export --format jsonl`` writes it: 24 SFT rows, 16 pairs, 8 images.

    Eight rows of each SFT kind, four pairs of each pair kind; all three answer styles, both option styles,
    thoughts that end in a full stop and thoughts that do not. It is everybody's: change copies alone.
    """
    folder = tmp_path_factory.mktemp("rows")
    images = [_image(folder, number) for number in range(8)]
    _write(folder / "sft.jsonl", [_sft(number, images[number % 8]) for number in range(24)])
    _write(folder / "pairs.jsonl", [_pair(number, images[number % 8]) for number in range(16)])
    return folder


class Folder:
    """A copy of the rows in which faults are planted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / name).read_text(encoding="utf-8").splitlines()]

    def write(self, name: str, rows: list[dict[str, Any]]) -> Path:
        path = self.path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    def change(self, name: str, change: Callable[[list[dict[str, Any]]], None]) -> Any:
        """Change the rows of a file, and what lint finds in it then."""
        from lpt_train.lint import lint

        rows = self.read(name)
        change(rows)
        return lint(self.write(name, rows))


@pytest.fixture
def folder(tiny_rows: Path, tmp_path: Path) -> Folder:
    """A copy of ``tiny_rows`` to plant faults in."""
    return Folder(Path(shutil.copytree(tiny_rows, tmp_path / "rows")))


# ---- the model ---------------------------------------------------------------------------------------


def _tokenizer() -> Any:
    """Byte-level BPE with Qwen's pieces and NFC, trained on the rows' own texts."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=640,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    image = ImageRef(path="x", sha256="0" * 64, width=1, height=1)
    texts = [message.text for number in range(24) for message in _prompt(number, image)]
    texts += ["".join(part.text for part in _response(n, n % 4, (n + 1) % 4)) for n in range(24)]
    texts += ["system\n", "user\n", "assistant\n", "You are a helpful assistant.", "So it is.\nWait, no.\n\n"]
    tokenizer.train_from_iterator(texts * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
    )


def _model(ids: dict[str, int], vocabulary: int) -> Any:
    """About 0.2 M random weights, large enough that what stands before matters to what comes next."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "vocab_size": vocabulary,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 6, 6]},
        "bos_token_id": None,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
        "window_size": 112,
    }
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = Qwen2_5_VLConfig(
            text_config=text,
            vision_config=vision,
            image_token_id=ids["<|image_pad|>"],
            video_token_id=ids["<|video_pad|>"],
            vision_start_token_id=ids["<|vision_start|>"],
            vision_end_token_id=ids["<|vision_end|>"],
            tie_word_embeddings=True,
        )
        model = Qwen2_5_VLForConditionalGeneration(config)
        with torch.no_grad():
            for weights in model.parameters():
                if weights.dim() > 1:
                    weights.mul_(4)
    return model


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a random Qwen2.5-VL with its processor; images are from 28² to 140² pixels."""
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    tokenizer = _tokenizer()
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    size = {"shortest_edge": 28 * 28, "longest_edge": 140 * 140}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size),
        chat_template=TEMPLATE,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-vision"
    _model(ids, len(tokenizer)).save_pretrained(folder)
    processor.save_pretrained(folder)
    # Every training collects garbage, which would look through all of torch and transformers: 0.4 s each.
    gc.freeze()
    yield folder
    gc.unfreeze()
