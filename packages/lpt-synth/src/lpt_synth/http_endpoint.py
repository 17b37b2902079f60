"""A model behind one or several OpenAI-compatible servers: where, what they know, how they are paid."""

from __future__ import annotations

from typing import Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from lpt_synth.endpoint_base import EndpointBase, Price
from lpt_synth.section import Section
from lpt_synth.types import Model


class BatchSection(Section):
    """OpenAI's batch mode: requests travel as files, and are answered within a day for half the price."""

    window: str = Field(default="24h", min_length=1, description="completion_window: 24h is all OpenAI knows")
    poll_s: float = Field(default=30, gt=0, description="seconds between two looks at a batch")
    gather_s: float = Field(
        default=30, gt=0, description="a batch is sent when nothing new was asked for so many seconds"
    )
    max_requests: int = Field(
        default=2000, ge=1, le=50_000, description="a batch is sent when it holds so many requests"
    )
    max_tries: int = Field(
        default=3, ge=1, description="batches that a request may be part of before it is given up on"
    )
    price_factor: float = Field(default=0.5, ge=0, description="of `price`, what is paid for a batch")


class OpenAIEndpoint(EndpointBase):
    """A model behind an OpenAI-compatible server, or behind several that serve the same."""

    engine: Literal["openai"] = "openai"
    base_url: str | tuple[str, ...] = Field(
        description="up to and including /v1; a list of such for servers that serve the same model"
    )
    model: str = Field(min_length=1)
    revision: str | None = Field(default=None, description="part of the identity of answers and of the card")
    api_key_env: str | None = Field(
        default=None, description="NAME of the environment variable that holds the key"
    )
    concurrency: int = Field(
        default=64, ge=1, description="the most requests in flight at each server; fewer where that is wise"
    )
    metrics: bool = Field(
        default=True, description="read vLLM's /metrics, where there are any, to find how many are wise"
    )
    timeout_s: float = Field(default=600, gt=0, description="for one request, seconds")
    max_attempts: int = Field(default=12, ge=1, description="before a request is given up on")
    patience_s: float = Field(
        default=120, ge=0, description="the run stops when nothing succeeds for so long"
    )
    seeds: bool = Field(default=True, description="send a seed with each request")
    json_schema: bool = Field(default=False, description="the endpoint knows response_format json_schema")
    ban_words: bool = Field(default=True, description="send bad_words (vLLM's field) for the expander")
    extra_sampling: bool = Field(
        default=True, description="send top_k and repetition_penalty, which OpenAI's own API does not know"
    )
    prefill: Literal["auto", "continue_final_message", "prefix", "completions", "instruct", "none"] = Field(
        default="auto", description="how a begun answer is continued; auto probes the endpoint once"
    )
    chat_template: str | None = Field(
        default=None,
        description="for completions: chatml, deepseek-r1, or a file (.jinja, tokenizer_config.json)",
    )
    extra_body: dict[str, Any] = Field(default_factory=dict, description="more fields for every request")
    batch: BatchSection | None = Field(
        default=None, description="true, or a section: ask through OpenAI's batch mode, for half the price"
    )

    @field_validator("base_url", mode="before")
    @classmethod
    def _plain_urls(cls, given: object) -> object:
        if isinstance(given, str):
            return _plain_url(given)
        if not isinstance(given, list | tuple) or not given:
            raise ValueError("neither a URL nor a list of URLs")
        urls = [_plain_url(url) for url in cast("list[object]", given)]
        if len(set(urls)) < len(urls):
            raise ValueError("names the same server twice")
        return urls[0] if len(urls) == 1 else tuple(urls)

    @field_validator("batch", mode="before")
    @classmethod
    def _batch_or_not(cls, given: object) -> object:
        return (BatchSection() if given else None) if isinstance(given, bool) else given

    @field_validator("api_key_env")
    @classmethod
    def _a_name(cls, name: str | None) -> str | None:
        # Never repeat the value: it may be the key itself, put here by mistake.
        if name is not None and not (name.replace("_", "").isalnum() and name == name.upper()):
            raise ValueError("the NAME of an environment variable in capitals (OPENAI_API_KEY), not the key")
        return name

    @model_validator(mode="after")
    def _one_server_for_batches(self) -> Self:
        if self.batch is not None and len(self.urls) > 1:
            raise ValueError("batch: files and batches belong to one server; base_url names several")
        return self

    @property
    def urls(self) -> tuple[str, ...]:
        """All servers."""
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url

    @property
    def where(self) -> str:
        """The servers and the model, for messages."""
        others = len(self.urls) - 1
        more = f" and {others} more" if others else ""
        return f"{self.urls[0]}{more} ({self.model})"

    @property
    def identity(self) -> Model:
        """The name and revision as the configuration gives them."""
        return Model(self.model, self.revision)

    @property
    def parallel(self) -> int:
        """As many as may be in flight at all servers; with batches, as many as one holds."""
        return self.batch.max_requests if self.batch else self.concurrency * len(self.urls)

    @property
    def gives_json(self) -> bool:
        """As the configuration says."""
        return self.json_schema

    @property
    def paid(self) -> Price | None:
        """Batches cost a part of the price."""
        price, batch = self.price, self.batch
        if price is None or batch is None:
            return price
        return Price(input=price.input * batch.price_factor, output=price.output * batch.price_factor)


def _plain_url(url: object) -> str:
    """The URL without a slash at its end.

    Raises:
        ValueError: It is none, or holds what has no place in a configuration.
    """
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http(s) URL, such as http://localhost:8000/v1")
    if parts.username or parts.password or parts.query:
        raise ValueError("holds credentials or a query; name the key's variable in api_key_env instead")
    return str(url).rstrip("/")
