"""From a record to tokens: which of them the model reads, which it is to learn, and what each is part of.

A response is tokenised whole, over the borders of its segments, because a byte-pair tokenizer joins
characters across them: "." and the line break before "Wait," are one token of Qwen's. Segments tokenised
one by one would be a text that the model never writes (20 of 47 trial examples). The prompt is
tokenised by itself, as it is when the model is asked. Nothing is ever cut off.

Texts are data. Where one of them spells out a special token ("<|im_end|>", "<|image_pad|>"), it is encoded
as the characters that it consists of, and neither ends a turn nor stands for an image.
"""

# transformers leaves its processors without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lpt_core import (
    ConfigError,
    DataError,
    ImagePart,
    ImageRef,
    Message,
    PixelPolicy,
    ResponseSegment,
    TextPart,
    fingerprint,
)
from lpt_train.images import Pictures
from lpt_train.segments import SegmentMap

PrefixLoss = Literal["masked", "full"]
"""Whether a wrong first thought bears no loss, or all of a response does, as in the paper's release."""

REGIONS = ("prompt", "image", "format", "thought", "cue", "continuation", "answer", "end")
"""What a token can be part of; its place here is its number in the collator's tensors."""

_THINK = "<think>"
_PRIVATE = range(0xE000, 0xF900)
_MOST_REPEATING = 4096


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt and a response in tokens.

    Attributes:
        ids: The prompt with as many image tokens as the image takes, the response, the end of the turn.
        labels: Which tokens bear loss.
        regions: What each token is part of, as in ``REGIONS``.
        straddling: Places of the tokens that lie across a border between loss and no loss. They bear
            loss, and count as part of the segment that does.
        image: The prompt's image.
        prompt_length: How many tokens are the prompt's; the response begins there.
    """

    ids: tuple[int, ...]
    labels: tuple[bool, ...]
    regions: tuple[str, ...]
    straddling: tuple[int, ...]
    image: ImageRef
    prompt_length: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of a rendered template: one special token, or the text between two."""

    text: str
    special: bool


class Encoder:
    """Encodes records for one model.

    Args:
        processor: The model's processor (Qwen2.5-VL or Qwen3-VL), with its chat template.
        pixels: How images are made smaller before it.
        prefix_loss: "masked" trains what the segments say bears loss; "full" trains all of a response of
            which anything bears loss.
        root: Where relative image paths start; those of ``lpt_train.rows`` are absolute.

    Raises:
        ConfigError: The processor has no chat template, or one that ends no turn.
    """

    def __init__(
        self,
        processor: Any,
        *,
        pixels: PixelPolicy,
        prefix_loss: PrefixLoss = "masked",
        root: Path | None = None,
    ) -> None:
        self.pictures = Pictures(processor, pixels, root)
        self.prefix_loss: PrefixLoss = prefix_loss
        self.tokenizer: Any = processor.tokenizer
        template = getattr(processor, "chat_template", None) or self.tokenizer.chat_template
        if not isinstance(template, str):
            raise ConfigError("the model has no chat template.", "give a model that was tuned for chat")
        self._template = template
        self._image_token = str(processor.image_token)
        added: dict[int, Any] = self.tokenizer.added_tokens_decoder
        self._special = {str(token.content): number for number, token in added.items() if token.special}
        longest_first = sorted(self._special, key=len, reverse=True)
        self._splitter = re.compile(f"({'|'.join(map(re.escape, longest_first))})")
        self._starts = re.compile(f"[{re.escape(''.join({token[0] for token in self._special}))}]")
        self._repeating: dict[str, tuple[int, ...]] = {}
        self._end = self._end_of_turn()

    @cached_property
    def identity(self) -> str:
        """A fingerprint of all that decides how a record is encoded, the tokenizer's vocabulary included."""
        tokenizer: dict[str, Any] = json.loads(self.tokenizer.backend_tokenizer.to_str())
        for changing in ("truncation", "padding"):  # as the last caller left them
            tokenizer.pop(changing, None)
        content = {
            "tokenizer": fingerprint("tokenizer", tokenizer),
            "template": self._template,
            "pixels": self.pictures.identity,
            "prefix_loss": self.prefix_loss,
        }
        return fingerprint("encoder", content)

    @property
    def pad(self) -> int:
        """The token that fills batches up."""
        pad = self.tokenizer.pad_token_id
        return self._end[-1] if pad is None else int(pad)

    @property
    def image_token_id(self) -> int:
        """The token that stands for a piece of an image."""
        return self._special[self._image_token]

    def encode(self, prompt: tuple[Message, ...], response: tuple[ResponseSegment, ...]) -> Encoded:
        """Tokens of a prompt and a response.

        Raises:
            DataError: The prompt does not end with the user's turn or has not exactly one image, the
                image cannot be used, or the response is empty.
        """
        image = _only_image(prompt)
        text = _valid("".join(segment.text for segment in response))
        if not text:
            raise DataError("the response is empty.", "leave the row out")
        ids: list[int] = []
        regions: list[str] = []
        for piece in self._head(prompt, opens_thought=text.startswith(_THINK)):
            is_image = piece.special and piece.text == self._image_token
            new = (self._special[piece.text],) if piece.special else self._repeated(piece.text)
            new = new * self.pictures.tokens(image) if is_image else new
            ids += new
            regions += ["image" if is_image else "prompt"] * len(new)
        start = len(ids)
        segments = SegmentMap(response, full=self.prefix_loss == "full")
        body, spans = self._tokens(text)
        tokens = [segments.of(*span) for span in spans]
        ends = segments.end_bears_loss
        return Encoded(
            ids=(*ids, *body, *self._end),
            labels=(*[False] * start, *(token.loss for token in tokens), *[ends] * len(self._end)),
            regions=(*regions, *(token.region for token in tokens), *["end"] * len(self._end)),
            straddling=tuple(start + place for place, token in enumerate(tokens) if token.straddles),
            image=image,
            prompt_length=start,
        )

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, special ones included, just as it is."""
        decoded: str = self.tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return decoded

    # ---- texts to tokens -----------------------------------------------------------------------------

    def _tokens(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Tokens of a text that holds no special token, and the characters that each covers."""
        made = self.tokenizer(
            text,
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            verbose=False,
        )
        spans: list[tuple[int, int]] = []
        done = 0
        for start, end in made["offset_mapping"]:
            # Characters that no token covers (dropped by a normaliser) go with the one that follows.
            spans.append((min(start, done), end))
            done = max(done, end)
        return list(made["input_ids"]), spans

    def _repeated(self, text: str) -> tuple[int, ...]:
        """Tokens of a stretch of a prompt: all rows have the same system prompt, many the same question."""
        ids = self._repeating.get(text)
        if ids is None:
            if len(self._repeating) >= _MOST_REPEATING:
                self._repeating.clear()
            ids = self._repeating[text] = tuple(self._tokens(text)[0])
        return ids

    def _head(self, prompt: tuple[Message, ...], *, opens_thought: bool) -> list[_Piece]:
        """The rendered prompt up to where the response begins."""
        # A mark after each character that begins a special token, so that no text spells one out while
        # the template's own are found; it is taken out again before anything is tokenised.
        mark = _unused(prompt)

        def marked(text: str) -> str:
            return self._starts.sub(rf"\g<0>{mark}", text)

        turns = [_turn(message, marked) for message in prompt]
        text = self._rendered(turns, generate=True)
        opened = text.rstrip()
        if opens_thought and opened.endswith(_THINK):
            text = opened.removesuffix(_THINK)
        pieces = [_Piece(piece.text.replace(mark, ""), piece.special) for piece in self._pieces(text)]
        images = sum(piece.special and piece.text == self._image_token for piece in pieces)
        if images != 1:
            raise ConfigError(
                f"the chat template writes {images} image tokens for an image.",
                "use the template of a Qwen2.5-VL or Qwen3-VL model",
            )
        return pieces

    def _pieces(self, text: str) -> Iterator[_Piece]:
        for place, part in enumerate(self._splitter.split(text)):
            if part:
                yield _Piece(part, special=place % 2 == 1)

    def _rendered(self, turns: list[dict[str, Any]], *, generate: bool) -> str:
        try:
            made = self.tokenizer.apply_chat_template(
                turns, chat_template=self._template, tokenize=False, add_generation_prompt=generate
            )
        except Exception as error:  # a template is somebody's program: it may raise anything
            raise ConfigError(f"the model's chat template fails: {error}.") from error
        return str(made)

    def _end_of_turn(self) -> tuple[int, ...]:
        """What the template writes after an answer, up to the token at which the model stops."""
        answer = "\ue000"
        texts = (("user", "?"), ("assistant", answer))
        turns = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in texts]
        ids: list[int] = []
        for piece in self._pieces(self._rendered(turns, generate=False).rpartition(answer)[2]):
            if piece.special:
                return (*ids, self._special[piece.text])
            ids += self._tokens(piece.text)[0]
        raise ConfigError(
            "the chat template writes no special token after an answer.",
            "a model trained with it would never stop: use the model's own template",
        )


def _only_image(prompt: tuple[Message, ...]) -> ImageRef:
    if not prompt or prompt[-1].role != "user":
        raise DataError(
            "the prompt does not end with the user's turn.",
            "a response's beginning belongs into the response, as a segment without loss",
        )
    images = [part.image for message in prompt for part in message.content if isinstance(part, ImagePart)]
    if len(images) != 1:
        raise DataError(f"the prompt shows {len(images)} images.", "a row has exactly one")
    return images[0]


def _valid(text: str) -> str:
    """The text without half surrogate pairs, which can stand in a string and in no text."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _unused(prompt: tuple[Message, ...]) -> str:
    """A character that stands nowhere in the prompt."""
    used = {letter for message in prompt for letter in message.text}
    return next(chr(code) for code in _PRIVATE if chr(code) not in used)


def _turn(message: Message, marked: Callable[[str], str]) -> dict[str, Any]:
    content = [
        {"type": "text", "text": marked(_valid(part.text))}
        if isinstance(part, TextPart)
        else {"type": "image"}
        for part in message.content
    ]
    return {"role": message.role, "content": content}
