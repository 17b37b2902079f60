"""The loop: what is asked, what is stored, how it stops and goes on."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpt_core import StoreError
from lpt_synth.config import RunConfig
from lpt_synth.jobs import run
from lpt_synth.meter import Meter
from lpt_synth.rundir import RunDir
from lpt_synth.status import status

Config = Callable[..., RunConfig]
SETS = ("mcqs.jsonl", "prompts.jsonl", "sft.jsonl", "pairs.jsonl")


def sets_of(out: Path) -> list[bytes]:
    return [(out / "sets" / name).read_bytes() for name in SETS]


def test_a_run_goes_through_all_stages_and_is_counted(a_config: Config, play: Any, tmp_path: Path) -> None:
    report = run(a_config(), tmp_path / "run")
    assert report.result.done
    state = status(RunDir(tmp_path / "run"))
    assert (state["captions"], state["mcqs"]) == (3, 6)
    assert state["short_cots"]["requested"] == state["short_cots"]["parsed"] == 24
    assert state["long_cots"]["requested"] == state["long_cots"]["parsed"] == 48
    assert state["requests_sent"] == len(play.calls) == 3 + 6 + 24
    assert state["complete"] is True
    assert state["failed"] == 0
    assert state["sft"] > 0
    assert state["pairs"] > 0
    assert state["sets"] == "current"
    assert state["input_tokens"] == 100 * 33


def test_run_again_it_asks_nothing_and_changes_nothing(a_config: Config, play: Any, tmp_path: Path) -> None:
    run(a_config(), tmp_path / "run")
    before, asked = sets_of(tmp_path / "run"), len(play.calls)
    assert run(a_config(), tmp_path / "run").result.done
    assert len(play.calls) == asked
    assert sets_of(tmp_path / "run") == before


def test_sequential_and_concurrent_runs_make_the_same_sets(
    a_config: Config, play: Any, tmp_path: Path
) -> None:
    run(a_config(), tmp_path / "a")
    play.peak = 0
    run(a_config(), tmp_path / "b", sequential=True)
    assert play.peak == 1
    assert sets_of(tmp_path / "a") == sets_of(tmp_path / "b")


def test_faults_change_nothing(a_config: Config, play: Any, tmp_path: Path) -> None:
    run(a_config(), tmp_path / "a")
    play.faults = [500, 429, 503, 500, 502, 500, 429]
    report = run(a_config(), tmp_path / "b")
    assert report.result.done
    assert sets_of(tmp_path / "a") == sets_of(tmp_path / "b")
    assert status(RunDir(tmp_path / "b"))["requests_sent"] == 33 + 7


def test_what_was_given_up_on_is_counted_and_asked_again(a_config: Config, play: Any, tmp_path: Path) -> None:
    play.faults = [400]
    report = run(a_config(), tmp_path / "run")
    assert not report.result.done
    assert report.result.stopped is None
    state = status(RunDir(tmp_path / "run"))
    assert (state["failed"], state["incomplete_captions"], state["complete"]) == (1, 1, False)
    answered = len(play.calls)
    assert run(a_config(), tmp_path / "run").result.done
    state = status(RunDir(tmp_path / "run"))
    assert (state["failed"], state["mcqs"], state["complete"]) == (0, 6, True)
    assert len(play.calls) == 33 > answered
    assert state["asked_again"] == [], "a failure that is tried again is no change of the request"


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_wrong_key_or_model_stops_at_once_and_says_what_to_do(
    a_config: Config, play: Any, tmp_path: Path, code: int
) -> None:
    play.faults = [code] * 50
    report = run(a_config(), tmp_path / "run")
    assert report.result.stopped == "error"
    assert str(code) in str(report.result.error)
    assert len(play.faults) > 40, "it went on asking"
    assert not play.calls
    play.faults = []
    assert run(a_config(), tmp_path / "run").result.done


def test_more_samples_pay_only_for_the_new_ones(a_config: Config, play: Any, tmp_path: Path) -> None:
    run(a_config(think={"n": 2}, expand={"n": 1}), tmp_path / "run")
    play.bodies.clear()
    run(a_config(think={"n": 4}, expand={"n": 1}), tmp_path / "run")
    asked = [body for body in play.bodies if body["model"] == "thinker"]
    assert [body["n"] for body in asked] == [2] * 6
    run(a_config(think={"n": 4}, expand={"n": 1}), tmp_path / "fresh")
    state, fresh = (status(RunDir(tmp_path / name)) for name in ("run", "fresh"))
    assert state["short_cots"]["requested"] == fresh["short_cots"]["requested"] == 24
    assert not any(body["model"] == "asker" for body in play.bodies[:12])


def test_an_edited_prompt_asks_only_its_descendants_and_status_says_why(
    a_config: Config, play: Any, tmp_path: Path
) -> None:
    run(a_config(), tmp_path / "run")
    play.bodies.clear()
    run(a_config(expand={"cues": ["Hold on,"]}), tmp_path / "run")
    assert {body["model"] for body in play.bodies} == {"expander"}
    again = status(RunDir(tmp_path / "run"))["asked_again"]
    assert again == [
        {"stage": "expand", "reason": "the cue, the caption or the options changed", "requests": 24}
    ]
    play.bodies.clear()
    run(a_config(expand={"cues": ["Hold on,"], "sampling": {"temperature": 0.1}}), tmp_path / "run")
    again = status(RunDir(tmp_path / "run"))["asked_again"]
    assert {"stage": "expand", "reason": "sampling changed", "requests": 24} in again
    play.bodies.clear()
    run(a_config(), tmp_path / "run")
    assert not play.bodies, "going back to what was asked before costs nothing"


def test_where_an_endpoint_lies_and_how_fast_is_no_part_of_what_is_asked(
    a_config: Config, play: Any, tmp_path: Path
) -> None:
    run(a_config(), tmp_path / "run")
    play.bodies.clear()
    moved = {"base_url": play.base_url.replace("127.0.0.1", "localhost"), "concurrency": 3, "timeout_s": 9}
    assert run(a_config(every_endpoint=moved), tmp_path / "run").result.done
    assert not play.bodies


def test_the_judge_takes_what_it_does_not_support(a_config: Config, play: Any, tmp_path: Path) -> None:
    run(a_config(), tmp_path / "without")
    run(a_config(judge={"enabled": True}), tmp_path / "with")
    steps = {step["step"]: step["count"] for step in status(RunDir(tmp_path / "with"))["funnel"]}
    assert steps["judge.no"] == steps["long.dropped.judge_no"] > 0
    turned = [
        (tmp_path / name / "sets" / "sft.jsonl").read_text().count('"wrong_right"')
        for name in ("without", "with")
    ]
    assert 0 < turned[1] <= turned[0]


def test_concurrency_stays_under_its_ceiling(a_config: Config, play: Any, tmp_path: Path) -> None:
    play.latency_s = 0.02
    run(a_config(every_endpoint={"concurrency": 2}), tmp_path / "run")
    assert play.peak <= 6  # two for each of the three endpoints


def test_stages_overlap(a_config: Config, play: Any, tmp_path: Path) -> None:
    play.latency_s = 0.05
    run(a_config(every_endpoint={"concurrency": 1}), tmp_path / "run")
    models = [body["model"] for body in play.bodies]
    assert models.index("expander") < len(models) - 1 - models[::-1].index("thinker")


def test_max_cost_is_never_overdrawn_and_the_rest_can_be_bought_later(
    a_config: Config, play: Any, tmp_path: Path
) -> None:
    price = {"price": {"input": 1000.0, "output": 1000.0}}  # 0.1 for each prompt and 0.01 for each sample
    sampling = {"sampling": {"max_tokens": 100}}
    config = a_config(every_endpoint=price, think=sampling, expand=sampling, ask=sampling)
    meter = Meter()
    report = run(config, tmp_path / "run", max_cost=4.0, meter=meter)
    assert report.result.stopped == "max_cost"
    assert report.sets is None
    assert 0 < meter.cost <= 4.0
    for _ in range(10):
        if run(config, tmp_path / "run", max_cost=4.0).result.done:
            break
    assert len(play.calls) == 33
    assert status(RunDir(tmp_path / "run"))["cost"] == pytest.approx(33 * 0.1 + (3 + 24 + 48) * 0.01)


def test_ctrl_c_stops_with_grace_and_the_run_goes_on(a_config: Config, play: Any, tmp_path: Path) -> None:
    run(a_config(), tmp_path / "whole")
    play.latency_s = 0.1
    play.calls.clear()
    timer = threading.Timer(0.35, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    report = run(a_config(every_endpoint={"concurrency": 2}), tmp_path / "run")
    timer.join()
    assert report.result.stopped == "interrupted"
    first = len(play.calls)
    assert 0 < first < 33
    play.latency_s = 0.0
    assert run(a_config(), tmp_path / "run").result.done
    assert len(play.calls) == 33, "nothing that was answered is asked again"
    assert sets_of(tmp_path / "run") == sets_of(tmp_path / "whole")


def test_bad_rows_are_counted_and_named(a_config: Config, play: Any, tmp_path: Path) -> None:
    config = a_config()
    folder = tmp_path / "captions"
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "broken.txt").write_text("2: something")
    (folder / "empty.txt").write_text("  ")
    shutil.copy(folder / "0.png", folder / "empty.png")
    report = run(config, tmp_path / "run")
    assert report.result.done
    assert report.result.tally["source.captions"] == 3
    text = "\n".join(map(str, report.result.problems))
    assert "broken" in text
    assert "empty" in text
    steps = {step["step"]: step["count"] for step in status(RunDir(tmp_path / "run"))["funnel"]}
    assert sum(n for key, n in steps.items() if key.startswith("source.rejected.")) >= 1


def test_a_bad_row_can_be_fatal(a_config: Config, play: Any, tmp_path: Path) -> None:
    (tmp_path / "captions" / "empty.txt").write_text("")
    shutil.copy(tmp_path / "captions" / "0.png", tmp_path / "captions" / "empty.png")
    config = a_config()
    source = config.source.model_copy(update={"on_bad": "stop"})
    report = run(config.model_copy(update={"source": source}), tmp_path / "run")
    assert report.result.stopped == "error"
    assert "empty" in str(report.result.error)
    assert not play.calls


def test_the_same_text_and_image_twice_is_one_caption(a_config: Config, play: Any, tmp_path: Path) -> None:
    for end in (".png", ".txt"):
        shutil.copy(tmp_path / "captions" / f"0{end}", tmp_path / "captions" / f"copy{end}")
    report = run(a_config(), tmp_path / "run")
    assert report.result.tally["source.captions"] == 3
    assert report.result.tally["source.rejected.caption_duplicate"] == 1


def test_two_runs_in_one_directory_are_refused(a_config: Config, tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    run_dir.create()
    with run_dir.locked(), pytest.raises(StoreError, match="another lpt-synth is running"):
        run(a_config(), tmp_path / "run")


def test_a_directory_of_somebody_else_is_refused(a_config: Config, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match="is no run directory"):
        run(a_config(), tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_a_disk_that_cannot_be_written_stops_the_run(
    a_config: Config, play: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lpt_synth.store import Store

    real, calls = Store.put, 0

    async def put(self: Store, *args: Any, **kwargs: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise StoreError("the disk is full.")
        await real(self, *args, **kwargs)

    monkeypatch.setattr(Store, "put", put)
    report = run(a_config(), tmp_path / "run")
    assert report.result.stopped == "error"
    assert "disk is full" in str(report.result.error)
    monkeypatch.undo()
    time.sleep(0)
    assert run(a_config(), tmp_path / "run").result.done
