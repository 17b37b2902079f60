"""Chat templates, rendered here: for endpoints that go on from a begun answer only as raw text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, cast

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lpt_core import ConfigError, Message
from lpt_synth.engines.continuation import THINK

_CHATML = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif -%}
"""
_DEEPSEEK_R1 = """\
{{- bos_token -}}
{%- for message in messages if message['role'] == 'system' %}{{ message['content'] }}{% endfor -%}
{%- for message in messages -%}
{%- if message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }}
{%- elif message['role'] == 'assistant' -%}
{{ '<｜Assistant｜>' + message['content'].split('</think>')[-1] + eos_token }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif -%}
"""
BUILT_IN: Mapping[str, tuple[str, str, str]] = {
    "chatml": (_CHATML, "", "<|im_end|>"),
    "deepseek-r1": (_DEEPSEEK_R1, "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
}
"""Templates by name: source, BOS and EOS. "deepseek-r1" is that of the R1 distillations as well."""


class _Generation(Extension):
    """``{% generation %}``, which marks for training what a model wrote; here it means nothing."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """The block's body, as if the tags were not there."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def _to_json(value: object, ensure_ascii: bool = False, **options: Any) -> str:
    # Jinja's own filter escapes for HTML, which no model was trained on.
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _environment() -> ImmutableSandboxedEnvironment:
    """The environment that Hugging Face's transformers renders chat templates in, sandboxed like theirs."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    cast("dict[str, Any]", environment.globals).update(
        raise_exception=_raise_exception, strftime_now=_strftime_now
    )
    environment.filters["tojson"] = _to_json
    return environment


class ChatTemplate:
    """A chat template with the tokens that it needs.

    Args:
        source: Jinja.
        bos: Beginning of text, "" for none.
        eos: End of text, "" for none.
        where: What to call it in errors.

    Raises:
        ConfigError: The source is no template.
    """

    def __init__(self, source: str, bos: str, eos: str, where: str) -> None:
        self._where = where
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self.bos = bos
        try:
            self._template: Template = _environment().from_string(source)
        except TemplateError as error:
            raise ConfigError(f"the chat template {where} is no Jinja template: {error}.") from error

    def render(
        self, messages: Sequence[Message], prefill: str, variables: Mapping[str, object] | None = None
    ) -> str:
        """The conversation and the beginning of the answer, as the model reads them.

        Where the template opens a thought by itself, as DeepSeek's newer ones do, the thought that the
        prefill opens takes its place.

        Args:
            messages: Text only.
            prefill: What the answer begins with.
            variables: Further ones for the template (``enable_thinking``, ...).

        Raises:
            ConfigError: The template fails on this conversation.
        """
        turns = [{"role": message.role, "content": message.text} for message in messages]
        values = {"tools": None, "documents": None, **(variables or {}), **self._tokens}
        try:
            text = self._template.render(values, messages=turns, add_generation_prompt=True)
        except Exception as error:  # a template is somebody's program: it may raise anything
            raise ConfigError(f"the chat template {self._where} fails: {error}.") from error
        opened = text.rstrip()
        if prefill.lstrip().startswith(THINK) and opened.endswith(THINK):
            text = opened.removesuffix(THINK)
        return text + prefill


def load_chat_template(name: str) -> ChatTemplate:
    """The template of this name, or from this file.

    Args:
        name: "chatml", "deepseek-r1", a ``.jinja`` file, a ``tokenizer_config.json``, or a model's folder
            with either. The tokens of a ``.jinja`` file come from the tokenizer_config.json beside it.

    Raises:
        ConfigError: There is none, or it cannot be read.
    """
    if name in BUILT_IN:
        source, bos, eos = BUILT_IN[name]
        return ChatTemplate(source, bos, eos, name)
    path = Path(name).expanduser()
    if path.is_dir():
        jinja = path / "chat_template.jinja"
        path = jinja if jinja.is_file() else path / "tokenizer_config.json"
    config: Mapping[str, Any] = {}
    beside = path if path.suffix == ".json" else path.with_name("tokenizer_config.json")
    if path == beside or beside.is_file():
        config = _json_object(beside)
    source = _template_in(config, path) if path == beside else _text(path)
    return ChatTemplate(source, _token(config, "bos_token"), _token(config, "eos_token"), str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(BUILT_IN)
        raise ConfigError(
            f"the chat template {path} cannot be read: {error}.",
            f"give one of {known}, a .jinja file, a tokenizer_config.json, or a model's folder",
        ) from error


def _json_object(path: Path) -> Mapping[str, Any]:
    try:
        config: object = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}.") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: not a JSON object.")
    return cast("dict[str, Any]", config)


def _template_in(config: Mapping[str, Any], path: Path) -> str:
    template: object = config.get("chat_template")
    if isinstance(template, list):
        entries = [cast("dict[str, Any]", e) for e in cast("list[object]", template) if isinstance(e, dict)]
        named = {str(entry.get("name")): entry.get("template") for entry in entries}
        template = named.get("default")
    if not isinstance(template, str):
        raise ConfigError(f"{path}: has no chat_template.", "give the model's chat_template.jinja")
    return template


def _token(config: Mapping[str, Any], name: str) -> str:
    token: object = config.get(name)
    if isinstance(token, dict):
        token = cast("dict[str, Any]", token).get("content")
    return token if isinstance(token, str) else ""
