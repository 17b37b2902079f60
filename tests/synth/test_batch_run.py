"""A whole run whose asker and judge are asked through the batch mode."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpt_synth.config import RunConfig
from lpt_synth.jobs import run
from lpt_synth.meter import Meter
from lpt_synth.rundir import RunDir
from lpt_synth.settings import dump_config
from lpt_synth.status import status

Config = Callable[..., RunConfig]
SETS = ("mcqs.jsonl", "prompts.jsonl", "sft.jsonl", "pairs.jsonl")


def sets_of(out: Path) -> list[bytes]:
    return [(out / "sets" / name).read_bytes() for name in SETS]


@pytest.fixture
def batched(a_config: Config, play: Any, batch_server: Any) -> tuple[Any, RunConfig]:
    """A server of batches that answers as the play server does, and a configuration that uses it."""

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        choices = [{"index": 0, "finish_reason": "stop", "message": {"content": play.answer(body)[0]}}]
        return 200, {"choices": choices, "usage": {"prompt_tokens": 100, "completion_tokens": 10}}

    server = batch_server(answer)
    given = a_config(judge={"enabled": True}).model_dump(mode="json")
    for role in ("asker", "judge"):
        batch = {"poll_s": 0.02, "gather_s": 0.1}
        price = {"input": 1e4, "output": 0.0}
        given["endpoints"][role] |= {"base_url": server.url, "batch": batch, "price": price}
    return server, RunConfig.model_validate_json(json.dumps(given))


def test_a_run_through_batches_makes_the_same_sets_for_half_the_price(
    a_config: Config, batched: tuple[Any, RunConfig], tmp_path: Path
) -> None:
    server, config = batched
    meter = Meter()
    assert run(config, tmp_path / "run", meter=meter).result.done
    run(a_config(judge={"enabled": True}), tmp_path / "plain")
    assert sets_of(tmp_path / "run") == sets_of(tmp_path / "plain")
    assert max(Counter(server.lines).values()) == 1
    assert len(server.batches) < 10
    state = status(RunDir(tmp_path / "run"))
    assert state["cost"] == pytest.approx(len(server.lines) * 100 * 1e4 / 1e6 / 2)
    assert state["complete"]
    assert all(counts == (0, 0, 0) for counts in meter.batches.values())


def test_a_run_that_is_killed_between_creating_a_batch_and_knowing_its_name_asks_nothing_twice(
    batched: tuple[Any, RunConfig], tmp_path: Path
) -> None:
    server, config = batched
    file = tmp_path / "c.yaml"
    file.write_text(dump_config(config))
    command = [sys.executable, "-m", "lpt_synth", "run", str(file), "--out", str(tmp_path / "run"), "--quiet"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    server.on_create = lambda: os.kill(process.pid, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said
    assert len(server.batches) == 1
    server.on_create = lambda: None
    assert run(config, tmp_path / "run").result.done
    assert max(Counter(server.lines).values()) == 1
    assert status(RunDir(tmp_path / "run"))["complete"]
