"""From a configuration to the engines that answer: the one place that knows them all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from lpt_core import ConfigError, ImageRef, Prompt
from lpt_synth.budget import Ledger
from lpt_synth.config import (
    Endpoint,
    LabTeacherEndpoint,
    OpenAIEndpoint,
    RayEndpoint,
    RunConfig,
    TransformersEndpoint,
    VLLMEndpoint,
)
from lpt_synth.images import ImageCache
from lpt_synth.meter import Meter
from lpt_synth.prefix_cache import count_served
from lpt_synth.stages.base import resolve_prompt
from lpt_synth.store import Store
from lpt_synth.types import Completion, Engine, Role

if TYPE_CHECKING:
    from lpt_synth.engines.in_vllm.turns import Turns


def make_engines(config: RunConfig, store: Store, meter: Meter) -> dict[Role, Engine]:
    """An engine for each role; what it answers is booked and on disk before it gives it out.

    Roles that load the same model into the process, in the same way, share one engine.

    Raises:
        ConfigError: The settings of an endpoint contradict each other.
        MissingExtraError: An engine needs what is not installed.
    """
    factory = _Factory(config, store, meter)
    engines: dict[Role, Engine] = {}
    roles: tuple[Role, ...] = ("asker", "thinker", "expander", "judge")
    for role in roles:
        endpoint = config.endpoints.of(role)
        if endpoint is None or (role == "judge" and not config.judge.enabled):
            continue
        engines[role] = factory.make(endpoint)
        meter.priced |= endpoint.price is not None
    return engines


class _Factory:
    """Makes engines that share what can be shared. Engines are imported when they are wanted."""

    def __init__(self, config: RunConfig, store: Store, meter: Meter) -> None:
        self._ledger = Ledger(store, config.endpoints, meter)
        self._images = ImageCache(config.think.pixels)
        self._instruct: Prompt = resolve_prompt(
            config.expand.instruct_prompt, frozenset({"request", "prefix"})
        )
        self._store = store
        self._notice = meter.notices.append
        self._meter = meter
        self._loaded: dict[str, Engine] = {}
        self._turns: Turns | None = None

    def make(self, endpoint: Endpoint) -> Engine:
        """The engine of an endpoint."""
        if isinstance(endpoint, OpenAIEndpoint):
            return self._openai(endpoint)
        if isinstance(endpoint, TransformersEndpoint):
            return self._transformers(endpoint)
        if isinstance(endpoint, VLLMEndpoint):
            return self._vllm(endpoint)
        if isinstance(endpoint, RayEndpoint):
            return self._ray(endpoint)
        return self._lab_teacher(endpoint)

    def _openai(self, endpoint: OpenAIEndpoint) -> Engine:
        from lpt_synth.engines.openai import OpenAIEngine

        if endpoint.batch is not None:
            return self._openai_batch(endpoint)
        return OpenAIEngine(
            endpoint,
            images=self._images.data_url,
            memory=self._store.notes,
            commit=self._ledger.commit,
            notice=self._notice,
            instruct=self._instruct,
        )

    def _openai_batch(self, endpoint: OpenAIEndpoint) -> Engine:
        from lpt_synth.engines.openai_batch import OpenAIBatchEngine, of_line

        same = endpoint.model_dump_json(exclude={"licence", "price"})
        if same in self._loaded:
            return self._loaded[same]
        self._loaded[same] = OpenAIBatchEngine(
            endpoint,
            images=self._images.data_url,
            journal=self._store.notes,
            known=lambda name: self._answered(*of_line(name)),
            commit=self._ledger.commit,
            notice=self._notice,
            progress=partial(self._meter.batches.__setitem__, same),
            instruct=self._instruct,
        )
        return self._loaded[same]

    def _answered(self, key: str, sample: int) -> bool:
        return isinstance(self._store.get(key).get(sample), Completion)

    def _transformers(self, endpoint: TransformersEndpoint) -> Engine:
        from lpt_synth.engines.transformers import TransformersEngine

        same = endpoint.model_dump_json(exclude={"licence", "price"})
        if same not in self._loaded:
            self._loaded[same] = TransformersEngine(
                endpoint, images=self._images.data_url, commit=self._ledger.commit, notice=self._notice
            )
        return self._loaded[same]

    def _vllm(self, endpoint: VLLMEndpoint) -> Engine:
        from lpt_synth.engines.in_vllm.turns import Turns
        from lpt_synth.engines.vllm import VLLMEngine

        self._turns = self._turns or Turns()
        same = endpoint.model_dump_json(exclude={"licence", "price"})
        if same not in self._loaded:
            self._loaded[same] = VLLMEngine(
                endpoint,
                images=self._images.data_url,
                commit=self._ledger.commit,
                notice=self._notice,
                count=partial(count_served, self._meter, self._store.notes),
                turns=self._turns,
                log=self._store.path.parent / "vllm.log",
            )
        return self._loaded[same]

    def _ray(self, endpoint: RayEndpoint) -> Engine:
        from lpt_synth.engines.ray import RayEngine

        same = endpoint.model_dump_json(exclude={"licence", "price"})
        if same not in self._loaded:
            self._loaded[same] = RayEngine(
                endpoint,
                make=partial(make_replica, instruct=self._instruct),
                images=self._images.data_url,
                commit=self._ledger.commit,
                notice=self._notice,
            )
        return self._loaded[same]

    def _lab_teacher(self, endpoint: LabTeacherEndpoint) -> Engine:
        from lpt_synth.lab.teacher.engine import TeacherEngine

        return TeacherEngine(endpoint, commit=self._ledger.commit)


def make_replica(
    endpoint: Endpoint,
    *,
    images: Callable[[ImageRef], Awaitable[str]],
    notice: Callable[[str], None],
    instruct: Prompt | None = None,
) -> Engine:
    """The engine of an endpoint with neither a store nor others beside it, as a replica has one."""
    if isinstance(endpoint, OpenAIEndpoint):
        from lpt_synth.engines.openai import OpenAIEngine

        return OpenAIEngine(endpoint, images=images, notice=notice, instruct=instruct)
    if isinstance(endpoint, TransformersEndpoint):
        from lpt_synth.engines.transformers import TransformersEngine

        return TransformersEngine(endpoint, images=images, notice=notice)
    if isinstance(endpoint, VLLMEndpoint):
        from lpt_synth.engines.vllm import VLLMEngine

        return VLLMEngine(endpoint, images=images, notice=notice)
    if isinstance(endpoint, LabTeacherEndpoint):
        from lpt_synth.lab.teacher.engine import TeacherEngine

        return TeacherEngine(endpoint)
    raise ConfigError("a replica cannot have replicas.", "name another engine in inner")
