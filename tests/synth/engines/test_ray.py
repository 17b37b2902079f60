"""Replicas on a real Ray cluster of this machine, one of whose nodes is killed."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lpt_core import ImageRef, Message
from lpt_synth.config import RayEndpoint, RunConfig
from lpt_synth.engines.ray import RayEngine
from lpt_synth.jobs import run
from lpt_synth.make_engines import make_replica
from lpt_synth.meter import Meter
from lpt_synth.testing.engine_contract import EngineContract
from lpt_synth.types import Completion

pytestmark = pytest.mark.slow
# The fewest processes that make a node: each of them imports Ray first.
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_log_monitor": False}


def patiently(start: Callable[[], Any]) -> Any:
    """Start a node, again where the machine was too busy: Ray gives its agents 15 s to begin."""
    for left in (2, 1, 0):
        try:
            return start()
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise
    return None


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster with one node; tests add others. Its processes end with it."""
    ours = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_prestart_worker_first_driver": "0",
        "RAY_worker_niceness": "0",
    }
    before = dict(os.environ)
    # Ray reads them when it is imported. Where `uv run` has started the tests, it would else have every
    # worker make an environment of its own, which takes minutes.
    os.environ.update(ours)
    pytest.importorskip("ray", reason="the extra ray is not installed")
    from ray.cluster_utils import Cluster

    head = {**NODE, "no_monitor": True, "include_dashboard": False}
    cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
    try:
        yield cluster
    finally:
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)


def endpoint(address: str, inner: dict[str, Any], **more: Any) -> RayEndpoint:
    data = {"engine": "ray", "inner": inner, "address": address, "resources": {"num_cpus": 0.1}, **more}
    return RayEndpoint.model_validate(data)


async def an_image(ref: ImageRef) -> str:
    return f"data:image/png;base64,{ref.sha256[:8]}"


@asynccontextmanager
async def opened(end: RayEndpoint, **more: Any):
    engine = RayEngine(end, make=make_replica, images=an_image, **more)
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


class TestRayEngine(EngineContract):
    @pytest.fixture(autouse=True)
    def _serving(self, table: Any, cluster: Any) -> Iterator[None]:
        """A server in a loop and thread of its own, which the replica asks."""
        server = table.Server(lambda body, _: table.say(*[f" number {i}" for i in range(body.get("n", 1))]))
        up, stop = threading.Event(), threading.Event()

        async def serve():
            async with server.running():
                up.set()
                await asyncio.to_thread(stop.wait)

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        assert up.wait(10)
        inner = {"base_url": server.url, "model": "contract", "concurrency": 4, "metrics": False}
        self.endpoint = endpoint(cluster.address, inner)
        self.server = server
        yield
        stop.set()
        thread.join(10)

    @asynccontextmanager
    async def engine(self):
        async with opened(self.endpoint) as engine:
            yield engine

    def test_images_and_errors_cross_the_border(self, table: Any) -> None:
        shown = ImageRef(path="nowhere.png", sha256=f"{7:064x}", width=4, height=3)
        request = table.request(messages=(Message.of("user", "What is this?", shown),))
        reply = self.with_engine(lambda engine: engine.complete(request, (0,)))
        assert isinstance(reply.outcomes[0], Completion)
        assert "data:image/png;base64,00000000" in str(self.server.calls[-1])


def test_a_model_in_replicas_answers_as_one_in_the_process_does(
    cluster: Any, text_model: Path, table: Any
) -> None:
    from lpt_synth.config import TransformersEndpoint
    from lpt_synth.engines.transformers import TransformersEngine

    inner = {"engine": "transformers", "model": str(text_model), "dtype": "float64", "batch_size": 4}
    requests = [table.request(f"What is {i}?", stage="expand", prefill="<think>", n=2) for i in range(4)]
    here = TransformersEngine(TransformersEndpoint.model_validate(inner), images=an_image)

    async def asked(engine: Any) -> list[Any]:
        return [
            reply.outcomes for reply in await asyncio.gather(*(engine.complete(r, (0, 1)) for r in requests))
        ]

    async def both() -> tuple[list[Any], list[Any]]:
        await here.open()
        alone = await asked(here)
        await here.close()
        pinned = endpoint(cluster.address, inner).pinned()
        async with opened(pinned) as engine:
            return alone, await asked(engine)

    alone, apart = asyncio.run(both())
    assert alone == apart


def test_a_killed_node_changes_nothing(
    cluster: Any, a_config: Callable[..., RunConfig], play: Any, tmp_path: Path
) -> None:
    plain = a_config(every_endpoint={"concurrency": 2, "metrics": False})
    run(plain, tmp_path / "plain")
    asked = len(play.calls)
    play.calls.clear()
    play.latency_s = 0.5
    # A replica may stand on these alone: on one that can be killed, and then on the other.
    nodes = [patiently(lambda: cluster.add_node(**NODE, resources={"marked": 1})) for _ in range(2)]
    inner = plain.endpoints.thinker.model_dump(mode="json")
    thinker = endpoint(cluster.address, inner, resources={"num_cpus": 0.6, "custom": {"marked": 1}})
    ends = plain.endpoints.model_copy(update={"thinker": thinker})
    config = plain.model_copy(update={"endpoints": ends})
    over = threading.Event()

    def kill() -> None:
        while not over.is_set() and not any(model == "thinker" for model, _, _ in play.calls):
            over.wait(0.02)
        import ray

        (home,) = (
            one["Address"]["NodeID"]
            for one in ray._private.state.actors().values()
            if one["State"] == "ALIVE"
        )
        (node,) = (node for node in nodes if node.node_id == home)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    meter = Meter()
    report = run(config, tmp_path / "ray", meter=meter)
    over.set()
    killer.join()
    assert report.result.done, report.result.error
    assert any("is lost" in notice for notice in meter.notices), (meter.notices, len(play.calls))
    for name in ("mcqs", "prompts", "sft", "pairs"):
        sets = [(tmp_path / out / "sets" / f"{name}.jsonl").read_bytes() for out in ("plain", "ray")]
        assert sets[0] == sets[1]
    assert len(play.calls) <= asked + 4, "only what was in flight is asked again"
