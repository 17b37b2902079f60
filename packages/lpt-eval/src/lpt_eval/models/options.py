"""How a model is reached, before anything heavy is imported."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lpt_core import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from lpt_eval.journal import Journal
    from lpt_eval.models.recording import RecordingModel


@dataclass(frozen=True, slots=True)
class Local:
    """A model that is loaded into the process; see ``models.local.LocalModel``."""

    model: str
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 16

    def open(self, journal: Journal, note: Callable[[str], None]) -> RecordingModel:
        """The model; its weights are read when it is first asked.

        Raises:
            LptError: It cannot be used.
        """
        from lpt_eval.models.local import LocalModel

        return LocalModel(
            self.model,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            journal=journal,
            note=note,
        )


@dataclass(frozen=True, slots=True)
class Vllm:
    """A model that vLLM runs in the process; see ``models.vllm_local.VllmModel``."""

    model: str
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 256
    engine: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def open(self, journal: Journal, note: Callable[[str], None]) -> RecordingModel:
        """The model; vLLM starts when it is first asked.

        Raises:
            LptError: It cannot be used.
        """
        from lpt_eval.models.vllm_local import VllmModel

        return VllmModel(
            self.model,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            journal=journal,
            note=note,
            **self.engine,
        )


def need_vllm() -> None:
    """See that vLLM is installed.

    Raises:
        MissingExtraError: It is not.
    """
    if find_spec("vllm") is None:
        raise MissingExtraError.of("lpt-eval", "vllm", "a model in vLLM")


_OURS = ("model", "pretrained", "revision", "dtype", "device", "batch_size", "journal", "note")


def engine_arguments(texts: Sequence[str]) -> dict[str, Any]:
    """The options of vLLM's own from ``NAME=VALUE``: values are JSON, or else texts.

    Raises:
        ConfigError: One is not of that form, or is given otherwise.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not name.isidentifier():
            raise ConfigError(f"--engine-arg is not {text!r}.", "NAME=VALUE, as tensor_parallel_size=2")
        if name in _OURS:
            raise ConfigError(f"--engine-arg {name} is not vLLM's to be told.", "it has an option of its own")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


@dataclass(frozen=True, slots=True)
class Server:
    """A model behind an OpenAI-compatible server; see ``models.server.ServerModel``."""

    model: str
    base_url: str
    revision: str | None = None
    api_key_env: str | None = None
    concurrency: int = 32

    def open(self, journal: Journal, note: Callable[[str], None]) -> RecordingModel:
        """The model.

        Raises:
            LptError: It cannot be used.
        """
        from lpt_eval.models.server import ServerModel

        return ServerModel(
            self.model,
            self.base_url,
            revision=self.revision,
            api_key_env=self.api_key_env,
            concurrency=self.concurrency,
            journal=journal,
            note=note,
        )


Reached = Local | Vllm | Server
"""A way to a model."""


def reached(
    model: str,
    *,
    server: str | None = None,
    engine: str | None = None,
    engine_args: Sequence[str] = (),
    revision: str | None = None,
    api_key_env: str | None = None,
    concurrency: int = 32,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
) -> Reached:
    """The way to a model that options name; each is described with its command.

    Raises:
        ConfigError: They contradict each other.
        MissingExtraError: What they name is not installed.
    """
    if server is not None and engine is not None:
        raise ConfigError("--engine is for a model in this process, --server for one elsewhere.", "give one")
    if engine_args and engine != "vllm":
        raise ConfigError("--engine-arg is for vLLM.", "--engine vllm")
    if server is not None:
        return Server(model, server, revision, api_key_env, concurrency)
    sizes = {} if batch_size is None else {"batch_size": batch_size}
    if engine == "vllm":
        need_vllm()  # now, and not when lmms-eval has been imported
        options = engine_arguments(engine_args)
        return Vllm(model, revision=revision, device=device, dtype=dtype, engine=options, **sizes)
    return Local(model, revision=revision, device=device, dtype=dtype, **sizes)
