"""The student's tokenizer: byte-level BPE over the world's own texts, in Qwen's form."""

# torch and transformers leave parts of what is used here without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast, get_args

from lpt_core import AnswerStyle, load_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 1024
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
# A word with the space before it, a digit, a letter of an option apart from its brackets, a line break.
_PIECES = r"\n+\(?| ?[A-Za-z']{2,}| ?[A-Za-z]| ?\d| ?[^\sA-Za-z\d]+|\s+"


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


def token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """The id of one token."""
    return cast(int, tokenizer.convert_tokens_to_ids(token))


def make_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train a tokenizer of ``VOCABULARY`` tokens on texts.

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
    added = [AddedToken(text, special=False, normalized=False) for text in (*TAGS, *whole_sentences())]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(added),
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
