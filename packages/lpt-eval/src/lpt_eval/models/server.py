"""Models behind an OpenAI-compatible server, vLLM first, as lmms-eval's model ``lpt_server``."""

# lmms-eval has no types; what goes in and out of it is typed here.
# pyright: reportMissingTypeStubs=false, reportUntypedBaseClass=false

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import aiohttp

from lpt_core import ConfigError, DataError, EndpointError, LptError
from lpt_eval.images import data_url
from lpt_eval.journal import Answer, Journal
from lpt_eval.models.calls import Call, chat_of
from lpt_eval.models.recording import Kept, Keyed, RecordingModel
from lpt_eval.records import ModelIdentity

_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}
_FINISHED = {"stop": "stop", "length": "length"}


class ServerModel(RecordingModel):
    """A served model, asked by many requests at once.

    Args:
        model: Its name there.
        base_url: Of the server, with its version ("http://localhost:8000/v1").
        revision: Of the model, where known: a part of its identity.
        api_key_env: The environment variable with the key, where one is needed.
        concurrency: How many requests travel at once.
        timeout: Of one request, in seconds.
        retries: How often a request is made again that the server could not answer.
        pause: Before the first of these, in seconds; doubled each time.
        journal: Where answers are kept.
        note: Is told what a person should know.

    Raises:
        ConfigError: The key is not in the environment.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        revision: str | None = None,
        api_key_env: str | None = None,
        concurrency: int | str = 32,
        timeout: float | str = 600,
        retries: int | str = 5,
        pause: float | str = 1,
        journal: Journal | None = None,
        note: Callable[[str], None] | None = None,
        **_: Any,
    ) -> None:
        super().__init__(journal, note)
        self._model = model
        self._url = base_url.rstrip("/")
        self._revision = revision
        self._headers = _key(api_key_env)
        self._concurrency = int(concurrency)
        self._timeout = float(timeout)
        self._retries = int(retries)
        self._pause = float(pause)

    @property
    def identity(self) -> ModelIdentity:
        """Which model answers, as far as its name tells: no server tells its weights."""
        return ModelIdentity(kind="server", name=self._model, revision=self._revision)

    def _ask(self, calls: Sequence[Keyed], missing: set[str], keep: Kept) -> None:
        wanted = {key: call for key, call in calls if key in missing}
        asyncio.run(self._ask_all(wanted, keep))

    async def _ask_all(self, wanted: dict[str, Call], keep: Kept) -> None:
        limit = aiohttp.ClientTimeout(total=self._timeout)
        places, done = asyncio.Semaphore(self._concurrency), 0
        async with aiohttp.ClientSession(headers=self._headers, timeout=limit) as session:
            await self._there(session)

            async def one(key: str, call: Call) -> None:
                nonlocal done
                async with places:
                    keep([(key, await self._answered(session, key, call))])
                done += 1
                if done % 100 == 0 or done == len(wanted):
                    self.note(f"{done:,} of {len(wanted):,} answers")

            try:
                async with asyncio.TaskGroup() as group:
                    for key, call in wanted.items():
                        group.create_task(one(key, call))
            except* LptError as errors:  # the journal's: the first says what the others say
                raise errors.exceptions[0] from None

    async def _there(self, session: aiohttp.ClientSession) -> None:
        """See that there is a server, and that it serves the model.

        Raises:
            EndpointError: It is not so.
        """
        try:
            async with session.get(f"{self._url}/models") as response:
                if response.status in (401, 403):
                    raise EndpointError(f"{self._url} wants a key.", "name its variable: --api-key-env NAME")
                listed: Any = await response.json() if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise EndpointError(
                f"{self._url} cannot be reached: {error}.", "start the server, or give its address: --server"
            ) from error
        names = _names(listed)
        if names and self._model not in names:
            raise EndpointError(f"{self._url} serves no {self._model!r}.", f"one of: {', '.join(names[:5])}")

    async def _answered(self, session: aiohttp.ClientSession, key: str, call: Call) -> Answer:
        try:
            body, size = await asyncio.to_thread(self._body, key, call)
        except DataError as error:
            return Answer.failure(error.message)
        said, began = "", time.perf_counter()
        for attempt in range(self._retries + 1):
            if attempt:
                await asyncio.sleep(min(60, self._pause * 2 ** (attempt - 1)))
            began = time.perf_counter()
            try:
                async with session.post(f"{self._url}/chat/completions", json=body) as response:
                    if response.status == 200:
                        seconds = round(time.perf_counter() - began, 6)
                        return _read(await response.json(), call, seconds, size)
                    said = f"{response.status} {response.reason}: {(await response.text())[:500]}"
                    if response.status not in _AGAIN:
                        break
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                said = f"{type(error).__name__}: {error}"
        return Answer.failure(said, seconds=round(time.perf_counter() - began, 6), image_size=size)

    def _body(self, key: str, call: Call) -> tuple[dict[str, Any], tuple[int, int] | None]:
        """The request, and the size of the image as it is sent.

        Raises:
            DataError: An image cannot be read.
        """
        messages, size = chat_of(
            call, lambda picture: {"type": "image_url", "image_url": {"url": data_url(picture)}}
        )
        sampling = call.settings.sampling
        body: dict[str, Any] = {"model": self._model, "messages": messages, "n": 1}
        if call.settings.prefill:
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        fields = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "repetition_penalty": sampling.repetition_penalty,
            "max_tokens": sampling.max_tokens,
            "stop": list(sampling.stop) or None,
            "seed": None if call.settings.greedy else call.draw_seed(key),
        }
        return body | {name: value for name, value in fields.items() if value is not None}, size


def _key(name: str | None) -> dict[str, str]:
    if name is None:
        return {}
    key = os.environ.get(name)
    if not key:
        raise ConfigError(f"the environment has no {name}.", f"export {name}=…")
    return {"Authorization": f"Bearer {key}"}


def _names(listed: Any) -> list[str]:
    """The models that a server says it has; none where it does not say."""
    try:
        return [str(entry["id"]) for entry in listed["data"]]
    except (LookupError, TypeError):
        return []


def _read(reply: Any, call: Call, seconds: float, size: tuple[int, int] | None) -> Answer:
    """What a server's reply says; a reply of another shape is a failure."""
    try:
        choice = reply["choices"][0]
        message = choice["message"]
        text, reason = message.get("content") or "", choice.get("finish_reason")
        thought = message.get("reasoning_content") or message.get("reasoning")
        usage: Any = reply.get("usage") or {}
        known: dict[str, Any] = {
            "prompt_tokens": usage.get("prompt_tokens"),
            "completion_tokens": usage.get("completion_tokens"),
            "seconds": seconds,
            "image_size": size,
        }
        if reason not in _FINISHED:
            return Answer.failure(f"the server ended the answer with {reason!r}", **known)
        return Answer(
            text=call.settings.prefill + cast(str, text),
            reasoning=thought,
            finish_reason=cast(Any, _FINISHED[reason]),
            **known,
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        return Answer.failure(f"the server's reply cannot be read: {type(error).__name__}: {error}")
