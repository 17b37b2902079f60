"""The engine vllm with real vLLM on the CPU and the lab's student. One start serves all but the last test,
which kills the process in the middle of a run."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lpt_core import Message, Problem, Sampling
from lpt_synth.config import PixelPolicy, RunConfig, VLLMEndpoint
from lpt_synth.engines import vllm as engine_module
from lpt_synth.engines.in_vllm.asking import Copy, answer_of, asked_of
from lpt_synth.engines.in_vllm.copies import Copies
from lpt_synth.engines.in_vllm.host import Host, living
from lpt_synth.engines.vllm import VLLMEngine
from lpt_synth.images import ImageCache, inspect_image
from lpt_synth.jobs import RunReport, run
from lpt_synth.lab.student import shipped_student
from lpt_synth.lab.world import CAPTIONS_FILE, World, write_world
from lpt_synth.meter import Meter
from lpt_synth.rundir import RunDir
from lpt_synth.status import StoredRun, status
from lpt_synth.testing.engine_contract import EngineContract
from lpt_synth.types import Completion, Model, Reply, Request

PYTHON = Path(__file__).resolve().parents[2] / ".tools" / "vllm" / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="there is no vLLM here: `bash .ci/vllm-cpu` installs it"),
]
CAPTIONS = 4


class Kept(Copies):
    """Processes that outlive the engines that ask them; one that has died is replaced."""

    hosts: tuple[Host, ...] = ()
    before = (0, 0)

    async def start(self) -> None:
        if not Kept.hosts:
            await super().start()
            Kept.hosts = tuple(copy.host for copy in self.running)
        self.running = [Copy(host) for host in Kept.hosts]
        Kept.before = Kept.hosts[0].queries, Kept.hosts[0].hits

    async def stop(self) -> None:
        if self.died:
            Kept.hosts = ()
            await super().stop()
        elif self.running and self.count is not None:
            await asyncio.sleep(0.5)  # idle, it tells its counters
            host = Kept.hosts[0]
            self.count("student", host.queries - Kept.before[0], host.hits - Kept.before[1])
        self.running = []


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMEndpoint]:
    """The endpoint of the student in real vLLM; its process is kept from test to test."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(engine_module, "Copies", Kept)
        for name in ("VLLM_CPU_KVCACHE_SPACE", "HF_HUB_OFFLINE", "OMP_NUM_THREADS"):
            patch.setenv(name, "1")
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        folder = stack.enter_context(shipped_student())
        yield VLLMEndpoint(
            engine="vllm",
            model=str(folder),
            python=str(PYTHON),
            dtype="float32",
            max_model_len=2048,
            max_num_seqs=32,
            json_schema=True,
            options={"enforce_eager": True, "block_size": 32},
        )
        pids = [host.pid for host in Kept.hosts]
        for host in Kept.hosts:
            host.stop()
        Kept.hosts = ()
        assert [living(pid) for pid in pids if pid is not None] == [[]] * len(pids)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, World(level="easy"), CAPTIONS)
    return folder


class TestVLLMEngineWithRealVLLM(EngineContract):
    model = Model("student")
    endpoint: VLLMEndpoint

    @pytest.fixture(autouse=True)
    def _endpoint(self, student: VLLMEndpoint) -> None:
        self.endpoint = student

    @asynccontextmanager
    async def engine(self):
        engine = VLLMEngine(self.endpoint, ImageCache(PixelPolicy(format="png")).data_url)
        await engine.open()
        try:
            yield engine
        finally:
            await engine.close()


def request(picture: Path | None, *, n: int = 1, prefill: str = "", **more: Any) -> Request:
    sampling = {"temperature": 0.0, "max_tokens": 40} | more.pop("sampling", {})
    question = "What is at the top left?\nSelect from the following choices.\n(A) a star\n(B) nothing"
    image = None if picture is None else inspect_image(picture, where="", max_pixels=10**6)
    assert not isinstance(image, Problem)
    return Request.make(
        stage="think",
        role="thinker",
        item="x",
        messages=(Message.of("user", question, image),),
        sampling=Sampling(**sampling),
        n=n,
        prompt="p",
        model=Model("student"),
        prefill=prefill,
        pixels="png",
        **more,
    )


def replies(student: VLLMEndpoint, *asked: tuple[Request, tuple[int, ...]]) -> list[Reply]:
    async def go() -> list[Reply]:
        engine = VLLMEngine(student, ImageCache(PixelPolicy(format="png")).data_url)
        await engine.open()
        try:
            return await asyncio.gather(*(engine.complete(request, samples) for request, samples in asked))
        finally:
            await engine.close()

    return asyncio.run(go())


def texts(reply: Reply) -> list[str]:
    assert all(isinstance(outcome, Completion) for outcome in reply.outcomes), reply
    return [outcome.text for outcome in reply.outcomes if isinstance(outcome, Completion)]


def test_samples_of_a_picture_are_drawn_from_their_numbers_alone(student: VLLMEndpoint, world: Path) -> None:
    picture = next((world / "images").iterdir())
    drawn = request(picture, n=6, sampling={"temperature": 1.0, "max_tokens": 12})
    whole, some, single = replies(student, (drawn, (0, 1, 2, 3, 4, 5)), (drawn, (4, 1)), (drawn, (5,)))
    assert len(set(texts(whole))) > 1
    assert texts(some) == [texts(whole)[4], texts(whole)[1]]
    assert texts(single) == [texts(whole)[5]]
    assert whole.input_tokens > replies(student, (request(None), (0,)))[0].input_tokens


def test_a_banned_word_is_not_written(student: VLLMEndpoint) -> None:
    (free,) = replies(student, (request(None, prefill="<think>"), (0,)))
    word = max(texts(free)[0].split(), key=len).strip(".,")
    (held,) = replies(student, (request(None, prefill="<think>", sampling={"bad_words": (word,)}), (0,)))
    assert word in texts(free)[0]
    assert word not in texts(held)[0]


def test_an_answer_is_held_to_a_schema(student: VLLMEndpoint) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    (reply,) = replies(student, (request(None, response_schema=schema), (0,)))
    assert texts(reply)[0].lstrip().startswith("{")


def test_a_thought_goes_on_token_by_token_from_where_it_was_cut(student: VLLMEndpoint, world: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(student.model)
    images = ImageCache(PixelPolicy(format="png"))

    async def tokens(asked: Request) -> tuple[list[int], list[int]]:
        urls = [await images.data_url(asked.image)] if asked.image else []
        message = await answer_of(Kept.hosts[0], asked_of(asked, (0,), urls) | {"ids_wanted": True})
        assert message[0] == "answer", message
        prompt, outputs = message[4]
        return prompt, outputs[0]

    async def go() -> int:
        compared = 0
        for picture in sorted((world / "images").iterdir())[:3]:
            prompt, written = await tokens(request(picture, prefill="<think>"))
            assert len(written) > 12
            for cut in (3, 7, 12):
                begun = tokenizer.decode(written[:cut])
                if tokenizer(begun, add_special_tokens=False)["input_ids"] != written[:cut]:
                    continue  # the model itself wrote what a tokenizer would not
                longer, rest = await tokens(request(picture, prefill="<think>" + begun))
                assert longer == prompt + written[:cut]
                assert rest[: len(written) - cut] == written[cut:]
                compared += 1
        return compared

    assert asyncio.run(go()) >= 6


def a_run(student: VLLMEndpoint, world: Path, out: Path, meter: Meter) -> RunReport:
    """Questions of the lab's teacher; short and long thoughts of the student in vLLM."""
    model = student.model_dump(mode="json")
    config = RunConfig.model_validate(
        {
            "source": {"kind": "table", "captions": world / CAPTIONS_FILE, "images": world},
            "endpoints": {
                "asker": {"engine": "lab_teacher", "malformed": 0},
                "thinker": model,
                "expander": model,
            },
            "ask": {"max_questions": 2},
            "think": {
                "n": 3,
                "sampling": {"temperature": 0.7, "max_tokens": 96},
                "pixels": {"rule": "area", "limit": 84, "format": "png"},
            },
            "expand": {"n": 2, "sampling": {"temperature": 0.7, "max_tokens": 32}},
        },
        strict=False,
    )
    return run(config, out, meter=meter)


def traces(out: RunDir) -> Iterator[tuple[str, str, str]]:
    """(engine, short thought, text of a long one) of everything that a run has made."""
    with out.open_store() as store:
        for tree in StoredRun(out, out.config(), store).trees():
            for node in tree.mcqs:
                for short in node.shorts:
                    origin = short.trace.segments[0].provenance
                    assert origin is not None
                    for long in short.longs:
                        yield origin.engine, short.trace.segments[0].text, long.trace.thought


def test_the_stages_run_in_vllm_and_go_on_when_its_process_is_killed(
    student: VLLMEndpoint, world: Path, tmp_path: Path
) -> None:
    meter = Meter()

    def kill() -> None:
        while meter.stages["think"].answered < 4:
            time.sleep(0.005)
        pid = Kept.hosts[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    report = a_run(student, world, tmp_path / "run", meter)
    killer.join()
    assert sum("started once more" in notice for notice in meter.notices) == 1
    tally = report.result.tally
    assert report.result.done
    assert tally["think.answered"] == 3 * 2 * CAPTIONS
    # Nothing was paid for twice: the store has each sample once, and no more was answered than was wanted.
    assert meter.stages["think"].answered == 3 * 2 * CAPTIONS
    assert tally["short.status.found"] > CAPTIONS
    assert tally["expand.answered"] == tally["expand.requested"] > 0
    came = list(traces(RunDir(tmp_path / "run")))
    assert len(came) == tally["expand.answered"]
    assert all(engine == "vllm" and long.startswith(short) for engine, short, long in came)
    (row,) = status(RunDir(tmp_path / "run"))["prefix_cache"]
    assert 0 < row["cached"] < row["tokens"]
    again = Meter()
    assert a_run(student, world, tmp_path / "run", again).result.done
    assert again.answered == 0
