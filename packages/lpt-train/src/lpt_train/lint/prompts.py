"""Checks of a prompt: who speaks last, what image it shows, which options can be read in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lpt_core import (
    LETTERS,
    ImagePart,
    ImageRef,
    Message,
    PreferencePair,
    Problem,
    PromptExample,
    SFTExample,
    check_options,
    normal_text,
)

_OPTION = re.compile(r"\s*(?:\(([A-J])\)|([A-J])\.)[ \t]+(\S.*)")
_PLACEHOLDER = re.compile(r"<image>|<video>|<img>|\[IMG\]|<\|(?:image|video|vision)_\w+\|>")
_SPECIAL = re.compile(r"<\|\w+\|>")


def check_prompt(record: SFTExample | PreferencePair | PromptExample, where: str) -> Iterator[Problem]:
    """What is wrong with a row's prompt.

    Kinds: ``prompt_open``, ``prompt_empty``, ``prompt_images``, ``image_differs``,
    ``options_unreadable``, and those of ``check_markup``.
    """
    prompt = record.prompt
    where = f"{where}:prompt"
    if not prompt or prompt[-1].role != "user":
        yield Problem(
            "prompt_open",
            "the prompt does not end with the user's turn, so that a second turn would follow an open one",
            where,
            "a response's beginning belongs into the response, as a segment without loss",
        )
    text = "\n".join(message.text for message in prompt if message.role == "user")
    if not text.strip():
        yield Problem("prompt_empty", "the user asks nothing", where)
    yield from _images(prompt, record.image, where)
    yield from check_markup(text, where)
    if text.strip() and shown_options(prompt) is None:
        yield Problem(
            "options_unreadable",
            "no options labelled A, B, … stand on lines of their own, so the answer is not checked",
            where,
        )


def check_question(record: PromptExample, where: str) -> Iterator[Problem]:
    """Whether a prompt shows the options that its answers are verified by. Kind: ``options_differ``."""
    found = shown_options(record.prompt)
    wanted = record.presentation.shown(record.mcq)
    if found is not None and list(map(normal_text, found)) != list(map(normal_text, wanted)):
        yield Problem(
            "options_differ",
            "the prompt shows other options, or in another order, than its presentation says",
            f"{where}:presentation",
            "export the prompts again: right answers would be taken for wrong ones",
        )


def _images(prompt: tuple[Message, ...], image: ImageRef, where: str) -> Iterator[Problem]:
    shown = [part.image for message in prompt for part in message.content if isinstance(part, ImagePart)]
    if len(shown) != 1:
        yield Problem("prompt_images", f"the prompt shows {len(shown)} images; a row has exactly one", where)
    elif (shown[0].path, shown[0].sha256) != (image.path, image.sha256):
        yield Problem("image_differs", "the prompt shows another image than the row says", where)


def check_markup(text: str, where: str) -> Iterator[Problem]:
    """Marks in a text that stand for images or turns in templates, and characters nobody sees.

    Kinds: ``image_placeholder``, ``special_token``, ``control_character``.
    """
    if found := _PLACEHOLDER.search(text):
        yield Problem(
            "image_placeholder",
            f"the text spells out {found.group()}",
            where,
            "take it out: images stand in the prompt as parts of their own",
        )
    special = next((one for one in _SPECIAL.findall(text) if not _PLACEHOLDER.match(one)), None)
    if special:
        yield Problem("special_token", f"the text spells out {special}", where, "take the row out")
    hidden = next((one for one in text if _unwanted(one)), None)
    if hidden:
        yield Problem("control_character", f"the text holds the character U+{ord(hidden):04X}", where)


def _unwanted(letter: str) -> bool:
    code = ord(letter)
    return (code < 0x20 and letter not in "\t\n\r") or 0x7F <= code < 0xA0 or code == 0xFFFD


def shown_options(prompt: Sequence[Message]) -> tuple[str, ...] | None:
    """The options that the prompt shows, a line each as ``Presentation.render_options`` writes them.

    Of several lists the last counts. None where there is none, or it is none that can be answered.
    """
    lists: list[list[str]] = []
    for message in prompt:
        if message.role == "user":
            lists += _lists(message.text)
    return check_options(lists[-1]).options or None if lists else None


def _lists(text: str) -> list[list[str]]:
    """Runs of lines that are labelled A, B, … in their order."""
    found: list[list[str]] = []
    running: list[str] = []
    for line in text.split("\n"):
        match = _OPTION.fullmatch(line)
        letter = match.group(1) or match.group(2) if match else ""
        if match and letter == LETTERS[len(running) : len(running) + 1]:
            running.append(match.group(3).rstrip())
            continue
        found.append(running)
        running = [match.group(3).rstrip()] if match and letter == "A" else []
    found.append(running)
    return [one for one in found if len(one) > 1]
