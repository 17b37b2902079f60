"""What is told of a run without asking anybody: plan, status, funnel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpt_core import ConfigError, StoreError
from lpt_synth.config import RunConfig
from lpt_synth.funnel import funnel
from lpt_synth.jobs import export, plan, run
from lpt_synth.rundir import RunDir
from lpt_synth.status import status

Config = Callable[..., RunConfig]
PRICE = {"price": {"input": 10.0, "output": 20.0}}


def test_a_plan_of_nothing_expects_the_whole_and_sends_and_writes_nothing(
    a_config: Config, play: Any, tmp_path: Path
) -> None:
    made = plan(a_config(every_endpoint=PRICE), tmp_path / "run")
    stages = made.as_json()["stages"]
    assert made.captions == 3
    assert (stages["ask"]["requests"], stages["ask"]["stored"]) == (3, 0)
    assert stages["think"]["samples"] == pytest.approx(3 * 7.15 * 4, abs=1)
    assert made.as_json()["cost"] > 0
    assert not play.calls
    assert not (tmp_path / "run").exists()


def test_a_plan_of_a_finished_run_is_empty(a_config: Config, play: Any, tmp_path: Path) -> None:
    config = a_config(every_endpoint=PRICE)
    run(config, tmp_path / "run")
    made = plan(config, tmp_path / "run").as_json()
    assert {name: stage["requests"] for name, stage in made["stages"].items()} == dict.fromkeys(
        ("ask", "reformat", "think", "expand", "judge"), 0
    )
    assert made["stages"]["think"]["stored"] == 24
    assert made["cost"] == 0


def test_a_plan_after_an_edit_prices_the_descendants_alone_with_the_tokens_that_were_seen(
    a_config: Config, play: Any, tmp_path: Path
) -> None:
    run(a_config(every_endpoint=PRICE), tmp_path / "run")
    edited = a_config(every_endpoint=PRICE, expand={"cues": ["Hold on,"]})
    stages = plan(edited, tmp_path / "run").as_json()["stages"]
    assert (stages["ask"]["requests"], stages["think"]["requests"]) == (0, 0)
    assert (stages["expand"]["requests"], stages["expand"]["samples"]) == (24, 48)
    assert stages["expand"]["input_tokens"] == 24 * 100
    assert stages["expand"]["cost"] == pytest.approx((24 * 100 * 10 + 48 * 10 * 20) / 1e6)
    before = len(play.calls)
    run(edited, tmp_path / "run")
    assert len(play.calls) - before == 24, "what was planned is what is sent"


def test_a_plan_knows_what_more_samples_add(a_config: Config, play: Any, tmp_path: Path) -> None:
    run(a_config(), tmp_path / "run")
    stages = plan(a_config(think={"n": 6}), tmp_path / "run").as_json()["stages"]
    assert (stages["think"]["requests"], stages["think"]["samples"]) == (6, 12)
    assert stages["expand"]["requests"] == 12


def test_status_of_a_run_that_was_stopped_counts_what_is_there(
    a_config: Config, play: Any, tmp_path: Path
) -> None:
    play.faults = [401]
    run(a_config(), tmp_path / "run")
    state = status(RunDir(tmp_path / "run"))
    assert state["complete"] is False
    assert state["sets"] == "none"
    assert state["sft"] == state["pairs"] == 0


def test_sets_are_stale_when_the_run_has_gone_on(a_config: Config, play: Any, tmp_path: Path) -> None:
    run(a_config(), tmp_path / "run")
    first = (tmp_path / "run" / "sets" / "sft.jsonl").read_bytes()
    play.faults = [401]
    run(a_config(think={"n": 8}), tmp_path / "run")
    assert status(RunDir(tmp_path / "run"))["sets"] == "stale"
    export(RunDir(tmp_path / "run"), "jsonl", tmp_path / "out")
    assert status(RunDir(tmp_path / "run"))["sets"] == "current"
    assert (tmp_path / "run" / "sets" / "sft.jsonl").read_bytes() != first or play.faults


def test_no_run_directory_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no run directory"):
        status(RunDir(tmp_path))
    (tmp_path / "config.yaml").write_text("recipe: paper")
    with pytest.raises(ConfigError, match="source: kind is none of docci"):
        status(RunDir(tmp_path))


def test_a_store_that_was_deleted_is_said_so(a_config: Config, play: Any, tmp_path: Path) -> None:
    run(a_config(), tmp_path / "run")
    (tmp_path / "run" / "store.sqlite").unlink()
    with pytest.raises(StoreError, match="is not there"):
        status(RunDir(tmp_path / "run"))


def test_the_funnel_tells_every_count_once_in_the_order_of_the_pipeline() -> None:
    tally = Counter(
        {
            "long.dropped.banned_words": 3,
            "source.captions": 2,
            "mcq.rejected.near_duplicate": 1,
            "judge.requested": 4,
            "judge.yes": 3,
            "short.correct": 0,
        }
    )
    steps = funnel(tally)
    assert [step.key for step in steps] == [
        "source.captions",
        "mcq.rejected.near_duplicate",
        "long.dropped.banned_words",
        "judge.requested",
        "judge.yes",
    ]
    assert [step.label for step in steps][2] == "continuations dropped: banned words"
    assert sum(step.count for step in steps) == tally.total()
