"""From a request to the path and the body that ask for it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from lpt_core import ConfigError, ImageRef, Prompt, Sampling, derived_int
from lpt_synth.config import OpenAIEndpoint
from lpt_synth.engines.chat_template import ChatTemplate, load_chat_template
from lpt_synth.engines.continuation import Mode, instructed, prefilled_turn
from lpt_synth.engines.wire import chat_messages, check_extra_body, sampling_fields
from lpt_synth.types import Request

encode = json.JSONEncoder(separators=(",", ":")).encode
"""JSON in ASCII, so that text with half a surrogate pair can be sent as well."""


class Composer:
    """Builds the bodies of one endpoint's requests.

    Args:
        endpoint: What it knows, and what every request shall carry.
        images: Gives an image as a data URL.
        instruct: Prompt of the mode "instruct".

    Attributes:
        template: For the mode "completions", once it is loaded.

    Raises:
        ConfigError: The endpoint's settings contradict each other.
    """

    def __init__(
        self, endpoint: OpenAIEndpoint, images: Callable[[ImageRef], Awaitable[str]], instruct: Prompt
    ) -> None:
        check_extra_body(endpoint)
        if endpoint.prefill == "completions" and endpoint.chat_template is None:
            raise ConfigError(
                f"prefill: completions of {endpoint.model} needs a chat_template.",
                "name chatml, deepseek-r1, or the model's tokenizer_config.json",
            )
        self._endpoint = endpoint
        self._images = images
        self._instruct = instruct
        self._last: tuple[Sampling, object, frozenset[str], dict[str, Any]] | None = None
        self.template: ChatTemplate | None = None

    def load(self) -> None:
        """Read the chat template, where one is named.

        Raises:
            ConfigError: It cannot be read.
        """
        if self._endpoint.chat_template is not None and self.template is None:
            self.template = load_chat_template(self._endpoint.chat_template)

    async def compose(
        self, request: Request, mode: Mode | None, samples: Sequence[int], without: AbstractSet[str]
    ) -> tuple[str, dict[str, Any]]:
        """Path and body.

        Args:
            request: What to ask.
            mode: How its prefill is sent; None where it has none.
            samples: Which samples; the first gives the seed.
            without: Fields that the endpoint has refused.

        Raises:
            ConfigError: The chat template cannot render the conversation.
            DataError: An image cannot be had.
        """
        if mode == "completions" and self.template is not None:
            path, body = "completions", self._prompt(request, self.template)
        else:
            path, body = "chat/completions", await self._messages(request, mode)
        body |= self._sampling(request, without)
        if len(samples) > 1:
            body["n"] = len(samples)
        if self._endpoint.seeds and "seed" not in without:
            body["seed"] = derived_int(0, request.key, samples[0], bits=31)
        return path, body | self._endpoint.extra_body

    def _sampling(self, request: Request, without: AbstractSet[str]) -> dict[str, Any]:
        """The sampling's fields; those of the last request where this one is drawn in the same way."""
        last, schema = self._last, request.response_schema
        if last is None or last[0] is not request.sampling or last[1] is not schema or last[2] != without:
            fields = sampling_fields(request, self._endpoint, without)
            self._last = last = (request.sampling, schema, frozenset(without), fields)
        return last[3]

    def _prompt(self, request: Request, template: ChatTemplate) -> dict[str, Any]:
        more = self._endpoint.extra_body.get("chat_template_kwargs", {})
        prompt = template.render(request.messages, request.prefill, more)
        body: dict[str, Any] = {"model": self._endpoint.model, "prompt": prompt}
        if template.bos and prompt.startswith(template.bos):
            body["add_special_tokens"] = False  # or vLLM puts a second BOS before it
        return body

    async def _messages(self, request: Request, mode: Mode | None) -> dict[str, Any]:
        messages = request.messages
        if mode == "instruct":
            messages = instructed(messages, request.prefill, self._instruct)
        turns = await chat_messages(messages, self._images)
        body: dict[str, Any] = {"model": self._endpoint.model, "messages": turns}
        if mode is not None:
            turn, flags = prefilled_turn(mode, request.prefill)
            turns += turn
            body |= flags
        return body
