"""Making a model go on from what it is given, and seeing that it did.

A request with a prefill is to be answered by what *follows* the prefill. Servers differ in how that is
asked for, and many take the request and quietly do something else. So each way is tried with a sentinel
once per endpoint, and each answer is looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, cast, get_args

from lpt_core import Message, Prompt, Sampling
from lpt_synth.engines.wire import Choice
from lpt_synth.types import NOT_CONTINUED, Completion, Request

Mode = Literal["continue_final_message", "prefix", "completions", "instruct", "none"]
"""How a prefill is sent.

- continue_final_message: as an unfinished assistant turn, with vLLM's and SGLang's flags. Servers that go
  on from such a turn of themselves (Ollama, llama.cpp, some routers) pass over the flags.
- prefix: as an assistant turn with ``"prefix": true`` (DeepSeek's beta, Mistral).
- completions: after the chat as our own template renders it, through ``/completions``; text only.
- instruct: in words, inside the user's turn. The last resort: nothing makes the model obey.
- none: not at all. Right for a prefill that only opens a thought, which the model does by itself.
"""

Finding = Literal["continues", "echoes", "trims", "restarts", "refuses"]
"""What an endpoint does with a prefilled turn: goes on; repeats it and goes on; loses a part of it (its
template cuts thoughts out, or it breaks the line or word); begins anew; refuses the request."""

USABLE: frozenset[Finding] = frozenset({"continues", "echoes"})

THINK, END_THINK = "<think>", "</think>"

SENTINEL = "Count from one to ten in words, separated by commas."
SENTINEL_BEGUN = "Slowly, and in a low voice: one, two, three, four, five, six, sev"
SENTINEL_REST = "en"
"""The beginning is one that no model writes by itself, so that one who repeats it was given it. It ends
within a word: who goes on can only write "en", and who begins a turn of its own, be it with the list or with
the next number, will not."""

SENTINEL_TOKENS = 16

_TELLING = 40
"""Characters without spaces in common that are no accident. Of the 720 continuations recorded for LPT's
tests, by a model that saw the thought, none begins with more than 12 that stand anywhere in the thought."""


class ProbeMemory(Protocol):
    """Where an endpoint's mode is kept, so that a resumed run does not probe again."""

    def get(self, key: str) -> str | None:
        """What was put under the key, if anything."""
        ...

    def put(self, key: str, value: str) -> None:
        """Keep the value under the key."""
        ...


class Forgetful:
    """A memory that lasts as long as the object."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        """What was put under the key, if anything."""
        return self._kept.get(key)

    def put(self, key: str, value: str) -> None:
        """Keep the value under the key."""
        self._kept[key] = value


def as_mode(value: str | None) -> Mode | None:
    """The mode of this name, None if there is none such."""
    return cast(Mode, value) if value in get_args(Mode) else None


def only_opens(prefill: str) -> bool:
    """Whether a prefill does no more than open a thought."""
    return prefill.strip() == THINK


def thought_is_open(text: str) -> bool:
    """Whether the text ends within a thought."""
    return text.rfind(THINK) > text.rfind(END_THINK)


def prefilled_turn(mode: Mode, prefill: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The assistant turn, if any, and the further fields with which a chat request asks to be continued."""
    turn: dict[str, Any] = {"role": "assistant", "content": prefill}
    if mode == "continue_final_message":
        # Without the explicit false, vLLM's default of true renders a second assistant turn.
        return [turn], {"continue_final_message": True, "add_generation_prompt": False}
    if mode == "prefix":
        return [turn | {"prefix": True}], {}
    return [], {}


def instructed(messages: Sequence[Message], prefill: str, prompt: Prompt) -> tuple[Message, ...]:
    """The conversation, with the last user turn's text wrapped into the prompt that asks to go on."""
    last = max((at for at, m in enumerate(messages) if m.role == "user"), default=None)
    if last is None:
        return tuple(messages)
    text = prompt.render(request=messages[last].text, prefix=prefill)
    images = tuple(part for part in messages[last].content if part.type == "image")
    wrapped = Message(role="user", content=images + Message.of("user", text).content)
    return (*messages[:last], wrapped, *messages[last + 1 :])


# ---- what an answer says -----------------------------------------------------------------------------


def full_text(choice: Choice, prefill: str, mode: Mode | None) -> str:
    """The text of a sample, with a thought that the server had taken out put back in its place.

    - Nothing was prefilled: ``<think>`` reasoning ``</think>`` content.
    - A thought was begun by the prefill: reasoning ``</think>`` content, since the server's parser moved the
      continuation of the thought into the reasoning.
    - In mode "instruct" a thought of the model's own, separate or not, is no part of the continuation.

    A reasoning without content is a thought that was never closed: no ``</think>`` is made up for it.
    """
    content, reasoning = choice.content or "", choice.reasoning
    if mode == "instruct":
        head, closed, tail = content.partition(END_THINK)
        return tail if closed and head.lstrip().startswith(THINK) else content
    if not reasoning or END_THINK in content:
        return content
    opening = "" if prefill and thought_is_open(prefill) else THINK
    return f"{opening}{reasoning}{END_THINK}{content}" if content else f"{opening}{reasoning}"


def completion_of(choice: Choice, prefill: str, mode: Mode | None) -> Completion:
    """The outcome that a choice is: what follows the prefill; all of it where it does not go on from that."""
    text = full_text(choice, prefill, mode)
    if not prefill:
        return Completion(text, choice.finish_reason)
    rest = following(prefill, text)
    if rest is None:
        # Paid for, and what the model says: kept as it is, for the stage to drop.
        return Completion(text, NOT_CONTINUED)
    return Completion(rest, choice.finish_reason)


def following(prefill: str, text: str) -> str | None:
    """What of ``text`` follows the prefill; None where the model did not go on from it.

    A text that begins with the whole prefill (an echo; with or without ``<think>``, whatever the spaces) is
    freed of it. A text that begins a thought anew, or with 40 characters and more that the prefill begins
    or ends with, did not go on. Any other text is returned as it is, its first space included.
    """
    if only_opens(prefill):
        rest = text.lstrip()
        return rest.removeprefix(THINK) if rest.startswith(THINK) else text
    words = text[: 4 * _TELLING].split(None, 4)
    anew = bool(words) and words[0].startswith(THINK)
    if not anew and _is_new(words[:4], prefill):
        return text  # what nearly all do, told at little cost
    thought = prefill.lstrip().removeprefix(THINK)
    body = text.lstrip().removeprefix(THINK)
    # A thought of a few words may be taken up again in the same words; a whole one is not, but by an echo.
    rest = _after(thought, body) if anew or len(thought) >= _TELLING else None
    if rest is not None:
        return rest
    return None if anew or _repeats(thought, body) else text


def _is_new(words: list[str], prefill: str) -> bool:
    """Whether one of the words stands nowhere in the prefill, so that they cannot repeat it."""
    for word in words:
        if word not in prefill:
            return True
    return not words


def _after(beginning: str, text: str) -> str | None:
    """What of ``text`` comes after ``beginning``, spaces not compared; None if it begins otherwise."""
    at = 0
    for character in beginning:
        if character.isspace():
            continue
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text) or text[at] != character:
            return None
        at += 1
    return text[at:]


def _repeats(thought: str, text: str) -> bool:
    """Whether ``text`` begins with the thought's beginning, or with its end."""
    # Spaces make up much less than three quarters of any text.
    head = "".join(text[: 4 * _TELLING].split())[:_TELLING]
    if len(head) < _TELLING:
        return False
    whole = "".join(thought.split())
    at = whole.find(head)
    if at == 0:
        return True
    return at > 0 and "".join(text.split()).startswith(whole[at:])


# ---- the probe ---------------------------------------------------------------------------------------


def sentinel(like: Request, prefill: str) -> Request:
    """The probe's request: short and greedy, with no field that the request it stands for has not."""
    temperature = None if like.sampling.temperature is None else 0.0
    return Request.make(
        stage=like.stage,
        role=like.role,
        item="probe",
        messages=(Message.of("user", SENTINEL),),
        sampling=Sampling(temperature=temperature, max_tokens=SENTINEL_TOKENS),
        n=1,
        prompt="probe",
        model=like.model,
        prefill=prefill,
    )


def classify(prefill: str, choice: Choice, control: str) -> Finding:
    """What an endpoint did with the sentinel.

    Args:
        prefill: The sentinel as it was begun.
        choice: What came.
        control: What came to the same question without a beginning.
    """
    text = choice.reasoning + (choice.content or "")
    if text == control:
        return "restarts"
    if text.startswith(SENTINEL_REST):
        return "continues"
    begun = prefill.removeprefix(THINK)
    rest = _after(begun, text.lstrip().removeprefix(THINK))
    if rest is not None and rest.startswith(SENTINEL_REST):
        return "echoes"
    # The word was finished after a break, or begun anew: its beginning, or the space before it, was lost.
    return "trims" if text.lstrip().lower().startswith((SENTINEL_REST, "seven")) else "restarts"
