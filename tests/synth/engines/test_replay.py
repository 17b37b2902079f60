"""The engine against really recorded answers, served with really injected faults."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from lpt_core import Message, Sampling
from lpt_synth.types import Completion, Request

RECORDED = Path(__file__).resolve().parents[3].parent / "shared" / "recorded"

pytestmark = pytest.mark.skipif(
    not (RECORDED / "replay_server.py").is_file(),
    reason="the recorded calls (../shared/recorded) are not here",
)


@contextmanager
def replaying(fault_rate: float):
    command = [sys.executable, str(RECORDED / "replay_server.py"), "--port", "0"]
    with subprocess.Popen(
        [*command, "--fault-rate", str(fault_rate)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()


def recorded_requests(table) -> list[Request]:
    requests = []
    for image in json.loads((RECORDED / "docci_recorded.json").read_text()).values():
        for mcq in image["mcqs"]:
            options = "\n".join(f"({letter}) {text}" for letter, text in mcq["presented_options"])
            about = {
                "messages": (Message.of("user", f"{mcq['question']}\n{options}"),),
                "sampling": Sampling(temperature=0.7, max_tokens=256),
            }
            requests.append(table.request(**about, n=10, prefill="<think>"))
            for short in mcq["short"]:
                thought = short["text"].split("</think>")[0].rstrip()
                requests.append(table.request(**about, n=3, prefill=f"{thought}\nWait,"))
    return requests


def run(table, fault_rate: float):
    async def main(url: str):
        server = table.Server(lambda *_: None, url=url)
        async with table.engine(server) as engine:
            requests = recorded_requests(table)
            replies = await asyncio.gather(*(engine.complete(r, range(r.n)) for r in requests))
            return [reply.outcomes for reply in replies], sum(r.sent for r in replies), engine

    with replaying(fault_rate) as url:
        outcomes, sent, engine = asyncio.run(main(url))
        with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as stats:
            return outcomes, sent, engine, json.load(stats)


@pytest.mark.slow
def test_a_third_of_all_requests_failing_changes_no_outcome(table):
    clean, sent, engine, stats = run(table, 0)
    assert sum(len(outcomes) for outcomes in clean) == 24 * 10 + 240 * 3
    assert all(isinstance(outcome, Completion) for outcomes in clean for outcome in outcomes)
    assert not any(outcome.text.lstrip().startswith("<think>") for outcomes in clean for outcome in outcomes)
    # One request more was sent, and answered with 422: the probe's.
    assert (sent, stats["repeated"]) == (264 + 1, 0)
    faulty, sent, engine, stats = run(table, 0.3)
    assert faulty == clean
    assert stats["repeated"] == 0
    assert sum(stats["faults"].values()) > 50
    assert sent == engine.sent == sum(stats["faults"].values()) + 264 + 1
    assert engine.limiter.in_flight == 0
