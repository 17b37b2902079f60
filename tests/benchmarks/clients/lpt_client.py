"""lpt-synth as a run uses it: the runner's own path to an answer, on a store that is fresh for the run.

Each request is built and given its key, looked up in the store, asked of the HTTP engine, and is on disk
(SQLite in WAL mode, ``synchronous=FULL``) before the runner hands out its answer. Nothing is switched off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import aiohttp
from harness import Job, Work, job, report
from workload import SAMPLING, SYSTEM, question

from lpt_core import ImageRef, Message, Sampling
from lpt_synth.budget import Ledger
from lpt_synth.config import Endpoints, OpenAIEndpoint, RunConfig, TableSource
from lpt_synth.engines.openai import OpenAIEngine
from lpt_synth.memory import rare_collections
from lpt_synth.meter import Meter
from lpt_synth.runner import Runner
from lpt_synth.store import Store
from lpt_synth.types import Completion, Outcome, Request

AS_THE_STAGE_HAS_IT = Sampling(**SAMPLING)


def request(number: int, endpoint: OpenAIEndpoint) -> Request:
    """A prompt as a stage would ask it."""
    return Request.make(
        stage="think",
        role="thinker",
        item=f"question-{number}",
        messages=(Message.of("system", SYSTEM), Message.of("user", question(number))),
        sampling=AS_THE_STAGE_HAS_IT,
        n=1,
        prompt="benchmark",
        model=endpoint.identity,
    )


async def no_image(image: ImageRef) -> str:
    raise AssertionError(f"no prompt has an image, not {image.path}")


async def ask(the_job: Job, path: Path) -> list[Sequence[Outcome | None]]:
    """The outcomes of all prompts."""
    endpoint = OpenAIEndpoint(base_url=the_job.base_url, model="stub", concurrency=the_job.concurrency)
    endpoints = Endpoints(asker=endpoint, thinker=endpoint, expander=endpoint)
    source = TableSource(kind="table", captions=Path("none.jsonl"))
    config = RunConfig(source=source, endpoints=endpoints)
    with Store.open(path, create=True) as store:
        meter = Meter()
        ledger = Ledger(store, endpoints, meter)
        engine = OpenAIEngine(endpoint, images=no_image, commit=ledger.commit)
        runner = Runner(config, store, {"thinker": engine}, cache=the_job.scratch, meter=meter)
        await engine.open()
        try:
            return await asyncio.gather(
                *(runner.fetch(request(number, endpoint)) for number in range(the_job.n))
            )
        finally:
            await engine.close()


def kept(path: Path, n: int, endpoint: OpenAIEndpoint) -> int:
    """Completions that are in the store when it is opened again."""
    with Store.open(path) as store:
        outcomes = [store.outcomes(request(number, endpoint))[0] for number in range(n)]
    return sum(isinstance(outcome, Completion) for outcome in outcomes)


def main() -> None:
    the_job = job("lpt_client")
    path = the_job.scratch / "store.sqlite"
    with Work() as work, rare_collections():
        asyncio.run(ask(the_job, path))
    version = f"lpt-synth {metadata.version('lpt-synth')}, aiohttp {aiohttp.__version__}"
    endpoint = OpenAIEndpoint(base_url=the_job.base_url, model="stub")
    report(the_job, work, client=version, kept=kept(path, the_job.n, endpoint))


if __name__ == "__main__":
    main()
