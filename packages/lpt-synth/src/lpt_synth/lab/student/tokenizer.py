"""The student's tokenizer: byte-level BPE over the world's own texts, in Qwen's form."""

# torch and transformers leave parts of what is used here without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast, get_args

from lpt_core import LETTERS, MCQ, AnswerStyle, OptionStyle, Presentation, load_prompt
from lpt_synth.lab.question import DISTRACTORS
from lpt_synth.lab.questions import every_option
from lpt_synth.lab.scene import COLOURS, PLACES, SHAPES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 640
"""Bytes and what is merged of them; the tokens that are added come on top."""

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string -%}
{{ message.content }}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'image' or 'image' in part or 'image_url' in part -%}
<|vision_start|><|image_pad|><|vision_end|>
{%- elif 'text' in part -%}
{{ part.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""
# A place, a word with the space before it, a digit, an option's letter apart from its brackets, a line break.
_PIECES = rf" (?:{'|'.join(PLACES)})\b|" r"\n+\(?| ?[A-Za-z']{2,}| ?[A-Za-z]| ?\d| ?[^\sA-Za-z\d]+|\s+"


def whole_sentences() -> tuple[str, ...]:
    """The fixed sentences of LPT's prompts, each of which is one token to the student.

    They cost most of a prompt's length and say only which form an answer is to have, so one token each
    makes training and answering several times cheaper on a CPU. Any other wording is read word by word,
    and means nothing to a student that never saw it.
    """
    question = load_prompt("question", 1)
    styles: tuple[AnswerStyle, ...] = get_args(AnswerStyle)
    rendered = [question.render(question="", options="", answer_style=style) for style in styles]
    systems = [load_prompt(name, 1).render() for name in ("think_system", "direct_system")]
    lines = [line for text in (*systems, *rendered) for line in text.splitlines() if line]
    return tuple(dict.fromkeys(lines))


def option_lines() -> dict[str, tuple[str, str]]:
    """The lines in which options are shown, each of which is one token; with its letter and its text.

    A line of several tokens would make the letter of an option known to the token after it only by two
    steps of attention, which models of this size take many thousands of steps to learn (decision 9).
    """
    styles: tuple[OptionStyle, ...] = get_args(OptionStyle)
    lines: dict[str, tuple[str, str]] = {}
    for text, place, style in itertools.product(every_option(), range(DISTRACTORS + 1), styles):
        options = tuple(text if at == place else f"other {at}" for at in range(DISTRACTORS + 1))
        mcq = MCQ.make(caption_id="", question="?", options=options, gold=place)
        shown = Presentation(
            mcq_id=mcq.id,
            order=tuple(range(len(options))),
            option_style=style,
            answer_style="text",
        )
        lines[f"\n{shown.render_options(mcq).splitlines()[place]}"] = (LETTERS[place], text)
    return lines


def thing_names() -> dict[str, tuple[str, str]]:
    """The names of things, each of which is one token; with its colour and its shape.

    Whether what is seen is what is asked about is then a comparison of one token with one (decision 9).
    """
    return {f" {colour} {shape}": (colour, shape) for colour, shape in itertools.product(COLOURS, SHAPES)}


def token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """The id of one token."""
    return cast(int, tokenizer.convert_tokens_to_ids(token))


def make_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train a tokenizer on texts: ``VOCABULARY`` tokens, and those of sentences, options and names.

    Args:
        texts: What the student reads and writes; also what it may be taught to write later.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    added = [
        AddedToken(text, special=False, normalized=False)
        for text in (*TAGS, *whole_sentences(), *option_lines(), *thing_names())
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(added)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[
            token for token in SPECIAL if token not in ("<|im_end|>", "<|endoftext|>")
        ],
        chat_template=CHAT_TEMPLATE,
        model_max_length=2048,
        padding_side="left",
    )
