"""The engine vllm where there is no vLLM: its process and our end of it, with ``played/vllm.py`` inside."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lpt_core import ConfigError, EndpointError, LptError, Message, MissingExtraError, Sampling
from lpt_synth.config import RunConfig, VLLMEndpoint
from lpt_synth.engines import vllm as engine_module
from lpt_synth.engines.in_vllm import host as host_module
from lpt_synth.engines.in_vllm.host import living
from lpt_synth.engines.in_vllm.turns import Turns
from lpt_synth.engines.vllm import MODE, VLLMEngine
from lpt_synth.jobs import run
from lpt_synth.meter import Meter
from lpt_synth.rundir import RunDir
from lpt_synth.status import status
from lpt_synth.testing.engine_contract import EngineContract
from lpt_synth.types import Completion, Failure, Model, Reply, Request

PLAYED = Path(__file__).with_name("played")


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """What happened in the processes: ``played("step")`` gives the steps, in order."""
    log = tmp_path / "played.jsonl"
    monkeypatch.setenv("VLLM_PLAY", str(log))
    monkeypatch.setenv("PYTHONPATH", str(PLAYED))
    monkeypatch.setattr(engine_module, "find_spec", lambda _: True)

    def rows(what: str) -> list[dict[str, Any]]:
        lines = log.read_text().splitlines() if log.exists() else []
        return [row for row in map(json.loads, lines) if row["what"] == what]

    return rows


async def no_image(_: object) -> str:
    raise AssertionError("no image is sent")


def ask(text: str = "What is red?", *, n: int = 1, prefill: str = "", **sampling: Any) -> Request:
    return Request.make(
        stage="think",
        role="thinker",
        item="x",
        messages=(Message.of("user", text),),
        sampling=Sampling(**{"temperature": 1.0, "max_tokens": 8} | sampling),
        n=n,
        prompt="p",
        model=Model("play/model"),
        prefill=prefill,
    )


def engine(model: str = "play/model", **fields: Any) -> VLLMEngine:
    own = {name: fields.pop(name) for name in ("notice", "turns", "count", "log", "commit") if name in fields}
    return VLLMEngine(VLLMEndpoint(engine="vllm", model=model, **fields), no_image, **own)


def use(made: VLLMEngine, act: Callable[[VLLMEngine], Awaitable[Any]]) -> Any:
    """What ``act`` makes of the engine, opened; nothing of its processes is left."""

    async def go() -> Any:
        await made.open()
        try:
            return await asyncio.wait_for(act(made), 60)
        finally:
            pids = [copy.host.pid for copy in made._copies.running]
            await made.close()
            assert [living(pid) for pid in pids if pid is not None] == [[]] * len(pids)

    return asyncio.run(go())


def replies(made: VLLMEngine, requests: Sequence[Request], samples: Sequence[int] = (0,)) -> list[Reply]:
    async def act(opened: VLLMEngine) -> list[Reply]:
        return await asyncio.gather(*(opened.complete(request, samples) for request in requests))

    return use(made, act)


def texts(reply: Reply) -> list[str]:
    assert all(isinstance(outcome, Completion) for outcome in reply.outcomes), reply
    return [outcome.text for outcome in reply.outcomes if isinstance(outcome, Completion)]


class TestVLLMEngine(EngineContract):
    model = Model("play/model")

    @asynccontextmanager
    async def engine(self):
        made = engine()
        await made.open()
        try:
            yield made
        finally:
            await made.close()


# ---- what is asked, and how it is drawn ----------------------------------------------------------------


def test_a_sample_is_the_same_whatever_is_asked_with_it() -> None:
    async def act(opened: VLLMEngine) -> list[list[str]]:
        request = ask(n=8)
        chosen = ((0, 1, 2, 3, 4, 5, 6, 7), (6, 2), (3, 4, 7), (5,))
        return [texts(await opened.complete(request, samples)) for samples in chosen]

    whole, *parts = use(engine(), act)
    assert len(set(whole)) == 8
    assert parts == [[whole[6], whole[2]], [whole[3], whole[4], whole[7]], [whole[5]]]


def test_neighbouring_samples_travel_together(played: Any) -> None:
    replies(engine(), [ask(n=9)], (0, 1, 2, 5, 6, 8))
    assert [row["n"] for row in played("step")] == [3, 2, 1]


def test_greedy_samples_are_drawn_once(played: Any) -> None:
    (reply,) = replies(engine(), [ask(n=3, temperature=0)], (0, 1, 2))
    assert len(set(texts(reply))) == 1
    assert [row["n"] for row in played("step")] == [1]
    assert reply.output_tokens == 2


def test_the_prefill_ends_the_prompt_and_bad_words_go_along(played: Any) -> None:
    (reply,) = replies(engine(), [ask("Why?", prefill="<think> It is. Wait,", bad_words=("describes",))])
    (step,) = played("step")
    assert step["text"] == "<user>Why?<assistant><think> It is. Wait,"
    assert step["bad_words"] == ["describes"]
    assert reply.mode == MODE
    assert reply.input_tokens == len(step["text"])


@pytest.mark.parametrize("text", ["x" * 5000, "a mark □ in a text"])
def test_what_cannot_be_asked_is_refused_alone(text: str) -> None:
    bad, good = replies(engine(), [ask(text), ask()])
    assert [outcome.kind for outcome in bad.outcomes if isinstance(outcome, Failure)] == ["refused"]
    assert len(texts(good)) == 1


def test_prompts_that_begin_alike_go_one_after_the_other(played: Any) -> None:
    requests = [
        ask(f"Look. {f'caption {c}':.<80} {f'question {q}':.<80}", prefill=f"<think> {t}")
        for c in range(8)
        for q in range(3)
        for t in range(3)
    ]
    random.Random(2).shuffle(requests)
    replies(engine(max_num_seqs=1), requests)
    heads = [row["text"].partition("<think>")[0] for row in played("step")]
    assert len(heads) == 72
    # The first nine go out as they come: nothing else waits yet.
    assert sum(a != b for a, b in pairwise(heads)) <= 23 + 10
    assert sum(a[:60] != b[:60] for a, b in pairwise(heads)) <= 7 + 10


def test_every_option_reaches_vllm(played: Any) -> None:
    fields = {"quantization": "fp8", "max_model_len": 512, "tensor_parallel_size": 2, "devices": (2, 3)}
    replies(engine(revision="abc", options={"enforce_eager": True}, max_num_seqs=7, **fields), [ask()])
    (load,) = played("load")
    assert load["devices"] == "2,3"
    assert load["arguments"] == {
        "model": "play/model",
        "revision": "abc",
        "tokenizer_revision": "abc",
        "dtype": "auto",
        "quantization": "fp8",
        "max_model_len": 512,
        "max_num_seqs": 7,
        "tensor_parallel_size": 2,
        "gpu_memory_utilization": 0.9,
        "enable_prefix_caching": True,
        "disable_log_stats": False,
        "enforce_eager": True,
        "limit_mm_per_prompt": {"image": 1, "video": 0},
    }


def test_copies_have_devices_of_their_own_and_share_the_work(played: Any) -> None:
    made = engine(data_parallel_size=2, tensor_parallel_size=2, max_num_seqs=4)
    replies(made, [ask(f"What is in picture {i}?") for i in range(40)])
    assert sorted(row["devices"] for row in played("load")) == ["0,1", "2,3"]
    assert len({row["pid"] for row in played("step")}) == 2


def test_devices_are_those_that_cuda_shows(played: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-ab,7")
    replies(engine(devices=(1, 2), tensor_parallel_size=2), [ask()])
    assert [load["devices"] for load in played("load")] == ["GPU-ab,7"]
    with pytest.raises(ConfigError, match="device 3 is wanted, and CUDA_VISIBLE_DEVICES shows 3"):
        replies(engine(devices=(3,)), [ask()])


def test_prefix_caches_are_counted_when_a_process_has_ended() -> None:
    counted: list[tuple[str, int, int]] = []
    replies(engine(count=lambda *counts: counted.append(counts)), [ask()])
    ((name, tokens, cached),) = counted
    assert (name, cached) == ("play/model", tokens // 2)
    assert tokens > 0


# ---- settings that cannot be ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"options": {"max_num_seqs": 3}}, "set max_num_seqs beside options"),
        ({"options": {"enable_prefix_caching": False}}, "set prefix_caching beside options"),
        ({"options": {"disable_log_stats": True}}, "the engine depends on it"),
        ({"options": {"x": {1, 2}}}, "no plain data"),
        ({"devices": (0, 0)}, "different numbers"),
        ({"devices": (0, 1, 2), "tensor_parallel_size": 2}, "needs 2"),
        ({"gpu_memory_utilization": 1.5}, "less than or equal to 1"),
        ({"dtype": "int8"}, "dtype"),
        ({"speed": "fast"}, "speed"),
    ],
)
def test_settings_that_cannot_be_are_told_when_they_are_read(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        VLLMEndpoint(engine="vllm", model="play/model", **fields)


def test_an_option_that_vllm_does_not_have_is_told_with_those_near_to_it() -> None:
    with pytest.raises(
        ConfigError, match=r"0\.0\.play has no engine argument 'enforce_eagre'.*enforce_eager"
    ):
        replies(engine(options={"enforce_eagre": True}), [ask()])


@pytest.mark.parametrize(
    ("model", "words"),
    [("play/broken", "OSError: there are no weights"), ("play/vanishing", "something went wrong inside")],
)
def test_a_model_that_cannot_be_loaded_is_told_once_to_all(model: str, words: str, played: Any) -> None:
    async def act(opened: VLLMEngine) -> list[object]:
        asked = (opened.complete(ask(f"{i}"), (0,)) for i in range(20))
        return await asyncio.gather(*asked, return_exceptions=True)

    ends = use(engine(model), act)
    assert len(ends) == 20
    assert all(isinstance(end, EndpointError) and words in str(end) for end in ends)
    assert len(played("load")) == 1


def test_a_python_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match="python: nowhere/python cannot be started"):
        replies(engine(python="nowhere/python"), [ask()])


def test_without_the_extra_the_line_that_installs_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"lpt-synth\[vllm\]"):
        engine()
    engine(python="elsewhere/bin/python")  # has it, or says that it has not when it is started


# ---- a process that ends -------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["die once", "fail"])
def test_a_process_that_dies_is_started_once_more_and_nothing_is_lost(end: str, played: Any) -> None:
    notices: list[str] = []
    requests = [ask(f"{number}") for number in range(30)]

    async def act(opened: VLLMEngine) -> list[object]:
        asked = [opened.complete(request, (0,)) for request in requests]
        return await asyncio.gather(opened.complete(ask(end), (0,)), *asked, return_exceptions=True)

    first, *others = use(engine(notice=notices.append, max_num_seqs=4), act)
    if end == "die once":
        assert isinstance(first, Reply)
        assert all(isinstance(reply, Reply) and len(texts(reply)) == 1 for reply in others)
    else:
        assert isinstance(first, EndpointError)
        assert "died twice with play/model: EngineDeadError: the engine core is gone" in str(first)
    assert len(played("load")) == 2
    assert sum("started once more, and nothing is lost" in notice for notice in notices) == 1


def test_one_that_dies_again_is_given_up_with_what_it_said(played: Any, tmp_path: Path) -> None:
    log = tmp_path / "vllm.log"
    with pytest.raises(EndpointError, match="died twice") as caught:
        replies(engine(log=log), [ask("die always")])
    assert str(log) in str(caught.value)
    assert len(played("load")) == 2


def test_closing_does_not_wait_for_a_model_that_loads() -> None:
    async def act(opened: VLLMEngine) -> object:
        asked = asyncio.ensure_future(opened.complete(ask(), (0,)))
        while not opened._copies.log_file.exists():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        await opened.close()
        assert time.monotonic() - begun < 10
        (end,) = await asyncio.gather(asked, return_exceptions=True)
        return end

    assert isinstance(use(engine("play/slow"), act), LptError)


def test_a_process_of_which_children_are_left_is_ended_with_them(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(
        "import subprocess, sys, time\nfrom multiprocessing.connection import Connection\n"
        "c = Connection(int(sys.argv[1])); c.recv(); subprocess.Popen(['sleep', '100'])\n"
        "c.send(('ready', '1', False)); c.recv()\n"
    )
    made = host_module.Host("m", {}, environment={}, python=None, log=tmp_path / "log")
    original, host_module.WORKER = host_module.WORKER, script
    try:
        made.start()
        pid = made.pid
        assert pid is not None
        assert len(living(pid)) == 2
        made.stop()
    finally:
        host_module.WORKER = original
    assert living(pid) == []


# ---- turns ---------------------------------------------------------------------------------------------


def in_turns(share: float, **fields: Any) -> list[str]:
    """Two models, both asked at once, then the first one again; what was told."""
    notices: list[str] = []

    async def go() -> None:
        turns = Turns(idle_s=0.05)
        ends = [
            engine(f"play/{name}", gpu_memory_utilization=share, turns=turns, notice=notices.append, **more)
            for name, more in (("a", {}), ("b", fields))
        ]
        for end in ends:
            await end.open()
        try:
            asked = [end.complete(ask(f"{i}"), (0,)) for i in range(10) for end in ends]
            for reply in await asyncio.wait_for(asyncio.gather(*asked), 60):
                assert len(texts(reply)) == 1
            assert len(texts(await asyncio.wait_for(ends[0].complete(ask("again"), (0,)), 60))) == 1
        finally:
            for end in ends:
                await end.close()

    asyncio.run(go())
    return notices


def test_models_that_do_not_fit_together_take_turns(played: Any) -> None:
    in_turns(0.9)
    loads = played("load")
    assert [load["model"] for load in loads] == ["play/a", "play/b", "play/a"]
    assert [load["beside"] for load in loads] == [[], [], []]


def test_models_that_fit_together_stay_side_by_side(played: Any) -> None:
    in_turns(0.5)
    assert sorted(load["model"] for load in played("load")) == ["play/a", "play/b"]


def test_models_on_other_devices_do_not_wait_for_each_other(played: Any) -> None:
    in_turns(0.9, devices=(1,))
    assert sorted(load["model"] for load in played("load")) == ["play/a", "play/b"]


# ---- a run ---------------------------------------------------------------------------------------------


def test_a_run_whose_models_take_turns_loads_only_what_is_asked(
    a_config: Callable[..., RunConfig], play: Any, tmp_path: Path, played: Any
) -> None:
    data = a_config(think={"n": 2}).model_dump(mode="json")
    ends = {"engine": "vllm", "python": sys.executable}
    data["endpoints"] |= {"thinker": ends | {"model": "play/thinker"}, "expander": ends | {"model": "play/e"}}
    config = RunConfig.model_validate_json(json.dumps(data))
    assert config.endpoints.take_turns
    meter = Meter()
    report = run(config, tmp_path / "run", meter=meter)
    # The text model that is played sees no images: every thought is refused, and the run says so.
    assert report.result.tally["think.failed"] == 12
    assert {load["model"] for load in played("load")} == {"play/thinker"}
    assert (tmp_path / "run" / "vllm.log").is_file()
    assert status(RunDir(tmp_path / "run"))["prefix_cache"] == []
