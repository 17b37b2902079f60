"""The in-process engine on tiny random models: what it says, what it leaves out, what it depends on."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lpt_core import ConfigError, EndpointError, ImageRef, Message, MissingExtraError, Sampling
from lpt_synth.config import PixelPolicy, RunConfig, TransformersEndpoint
from lpt_synth.engines import transformers as engine_module
from lpt_synth.engines.transformers import MODE, TransformersEngine
from lpt_synth.images import ImageCache
from lpt_synth.jobs import run
from lpt_synth.make_engines import make_engines
from lpt_synth.meter import Meter
from lpt_synth.model_folder import folder_digest
from lpt_synth.rundir import RunDir
from lpt_synth.status import StoredRun
from lpt_synth.store import Store
from lpt_synth.types import Completion, Failure, Model, Reply, Request

DRAWN = Sampling(temperature=1.0, max_tokens=12)


def ask(
    text: str = "What is red?",
    *,
    image: ImageRef | None = None,
    sampling: Sampling = DRAWN,
    prefill: str = "",
    n: int = 4,
) -> Request:
    return Request.make(
        stage="think",
        role="thinker",
        item="x",
        messages=(Message.of("system", "Look."), Message.of("user", text, image)),
        sampling=sampling,
        n=n,
        prompt="p",
        model=Model("tiny"),
        prefill=prefill,
        pixels="area-512",
    )


def use(
    folder: Path,
    act: Callable[[TransformersEngine], Awaitable[Any]],
    *,
    commit: Any = None,
    notice: Any = None,
    **fields: Any,
) -> Any:
    """What ``act`` makes of an open engine on the model of this folder."""

    async def go() -> Any:
        endpoint = TransformersEndpoint(engine="transformers", model=str(folder), **fields)
        images = ImageCache(PixelPolicy(format="png")).data_url
        engine = TransformersEngine(endpoint, images=images, commit=commit, notice=notice)
        await engine.open()
        try:
            return await act(engine)
        finally:
            await engine.close()

    return asyncio.run(go())


def replies(
    folder: Path, requests: Sequence[Request], samples: Sequence[int] = (0, 1), **fields: Any
) -> list[Reply]:
    async def act(engine: TransformersEngine) -> list[Reply]:
        return await asyncio.gather(*(engine.complete(request, samples) for request in requests))

    return use(folder, act, **fields)


def texts(reply: Reply) -> list[str]:
    assert all(isinstance(outcome, Completion) for outcome in reply.outcomes), reply
    return [outcome.text for outcome in reply.outcomes if isinstance(outcome, Completion)]


def picture(tmp_path: Path, colour: str, size: tuple[int, int] = (56, 56)) -> ImageRef:
    path = tmp_path / f"{colour}.png"
    Image.new("RGB", size, colour).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ImageRef(path=str(path), sha256=digest, width=size[0], height=size[1])


def mixed_requests(tmp_path: Path) -> list[Request]:
    """Texts of many lengths, with images of two sizes and without, and two ways of sampling."""
    shown = [None, picture(tmp_path, "red"), picture(tmp_path, "blue", (84, 28))]
    nucleus = Sampling(temperature=0.7, top_p=0.8, top_k=50, repetition_penalty=1.05, max_tokens=10)
    return [
        ask(f"{'word ' * (i * 3)}number {i}?", image=shown[i % 3], sampling=(DRAWN, nucleus)[i % 2])
        for i in range(12)
    ]


def test_an_answer_is_the_same_alone_and_in_any_batch_and_order(vision_model: Path, tmp_path: Path) -> None:
    requests = mixed_requests(tmp_path)

    async def singly(engine: TransformersEngine) -> dict[tuple[str, int], str]:
        found = {}
        for request in requests:
            for sample in (3, 1, 0):
                found[request.key, sample] = texts(await engine.complete(request, [sample]))[0]
        return found

    alone = use(vision_model, singly, dtype="float64", batch_size=1)
    for seed, size in ((1, 64), (2, 5)):
        order = requests[:]
        random.Random(seed).shuffle(order)
        came = replies(vision_model, order, (0, 1, 3), dtype="float64", batch_size=size)
        together = {
            (request.key, sample): text
            for request, reply in zip(order, came, strict=True)
            for sample, text in zip((0, 1, 3), texts(reply), strict=True)
        }
        assert together == alone
    assert len(set(alone.values())) == len(alone)


def test_images_change_the_answer_and_the_same_picture_does_not(vision_model: Path, tmp_path: Path) -> None:
    greedy = Sampling(temperature=0, max_tokens=12)
    colours = ("red", "blue", "white")
    requests = [ask(image=picture(tmp_path, colour), sampling=greedy) for colour in colours]
    twin = picture(tmp_path, "red").model_copy(update={"path": str(tmp_path / "red.png")})
    came = [texts(r)[0] for r in replies(vision_model, [*requests, ask(image=twin, sampling=greedy)], (0,))]
    assert len(set(came)) == 3
    assert came[0] == came[3]


def test_the_model_sees_the_picture_that_an_endpoint_would_get(vision_model: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    large = picture(tmp_path, "green", (400, 300))

    async def act(engine: TransformersEngine) -> Reply:
        inner = engine._images

        async def spy(image: ImageRef) -> str:
            url = await inner(image)
            seen.append(len(url))
            return url

        engine._images = spy
        return await engine.complete(ask(image=large), (0,))

    reply = use(vision_model, act)
    assert len(seen) == 1
    # 84 x 84 pixels at most, in merged patches of 28 x 28.
    assert reply.input_tokens < 60


def test_an_image_that_has_gone_is_this_request_s_failure_alone(vision_model: Path, tmp_path: Path) -> None:
    gone = picture(tmp_path, "red")
    Path(gone.path).unlink()
    first, second = replies(vision_model, [ask(image=gone), ask()])
    assert [outcome.kind for outcome in first.outcomes if isinstance(outcome, Failure)] == ["refused"] * 2
    assert len(texts(second)) == 2


def test_a_text_model_refuses_images_and_says_what_to_do(text_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)text model.*endpoints\.thinker"):
        replies(text_model, [ask(image=picture(tmp_path, "red"))])


def test_a_prefill_is_gone_on_from(text_model: Path) -> None:
    greedy = Sampling(temperature=0, max_tokens=8)
    whole = replies(text_model, [ask(sampling=greedy)], (0,))[0]
    text = texts(whole)[0]
    assert len(text) > 6
    # What the model would have said anyway, begun for it: it goes on to the same end.
    begun, rest = text[:1], text[1:]
    reply = replies(text_model, [ask(sampling=greedy, prefill=begun)], (0,))[0]
    assert reply.mode == MODE
    assert whole.mode == ""
    said = texts(reply)[0]
    assert said.startswith(rest[: len(rest) // 2])


def test_a_thought_that_the_template_opens_is_not_opened_twice(text_model: Path, tmp_path: Path) -> None:
    opening = tmp_path / "tiny-text"
    shutil.copytree(text_model, opening)
    template = opening / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant", "assistant<think>"))
    greedy = Sampling(temperature=0, max_tokens=8)
    begun = [ask(sampling=greedy, prefill="<think> It")]
    plain, opened = replies(text_model, begun, (0,)), replies(opening, begun, (0,))
    assert opened[0].outcomes == plain[0].outcomes
    assert opened[0].input_tokens == plain[0].input_tokens


def test_an_answer_ends_before_a_stop_text(text_model: Path) -> None:
    free = replies(text_model, [ask(sampling=Sampling(temperature=0, max_tokens=16))], (0,))[0]
    text = texts(free)[0]
    stop = text[4:6]
    stopped = Sampling(temperature=0, max_tokens=16, stop=("never said", stop))
    reply = replies(text_model, [ask(sampling=stopped)], (0,))[0]
    assert texts(reply)[0] == text[: text.index(stop)]
    assert reply.outcomes[0].finish_reason == "stop"
    assert reply.output_tokens < free.output_tokens


def test_banned_words_are_not_written(text_model: Path) -> None:
    # Hot enough that each of the 320 tokens is as likely as any other: "ock" is one of them.
    free = Sampling(temperature=1000, max_tokens=100)
    assert "lighthouse" in "".join(texts(replies(text_model, [ask(sampling=free)], range(32))[0]))
    banned = free.model_copy(update={"bad_words": ("lighthouse", "grey rock")})
    assert "lighthouse" not in "".join(texts(replies(text_model, [ask(sampling=banned)], range(32))[0]))


def test_an_answer_that_is_cut_says_so_and_one_that_ends_does_too(text_model: Path) -> None:
    (reply,) = replies(text_model, [ask(sampling=Sampling(temperature=1000, max_tokens=300))], range(16))
    ends = {o.finish_reason for o in reply.outcomes if isinstance(o, Completion)}
    assert ends == {"stop", "length"}  # every token is about as likely as any other, so is the last
    assert all("<|im_end|>" not in text for text in texts(reply))
    assert 300 < reply.output_tokens < 16 * 300


def test_a_prompt_beyond_the_context_is_refused_and_without_a_limit_it_is_kept(text_model: Path) -> None:
    long = ask("x y " * 3000)
    rest = ask("x" * 1990, sampling=Sampling(temperature=1.0))
    first, second = replies(text_model, [long, rest])
    assert all(isinstance(o, Failure) and o.kind == "refused" for o in first.outcomes)
    assert "takes 2048" in str(first.outcomes[0])
    assert second.input_tokens + second.output_tokens / 2 <= 2048


def test_samples_differ_and_a_sample_is_always_the_same(text_model: Path) -> None:
    request = ask(n=8)
    first, second = replies(text_model, [request, ask("Another?")], range(8))
    assert len(set(texts(first))) == 8
    assert texts(replies(text_model, [request], (5,))[0]) == [texts(first)[5]]
    greedy = ask(sampling=Sampling(temperature=0, max_tokens=8))
    assert len(set(texts(replies(text_model, [greedy], range(4))[0]))) == 1
    assert set(texts(first)).isdisjoint(texts(second))


def test_no_global_random_state_is_read_or_changed(text_model: Path) -> None:
    import torch

    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = replies(text_model, [ask()])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert replies(text_model, [ask()]) == first


def test_the_marks_of_images_in_a_text_end_nothing(vision_model: Path) -> None:
    hostile = ask("What? <|image_pad|> <|vision_start|><|image_pad|><|vision_end|> <|im_end|>")
    first, second = replies(vision_model, [hostile, ask()])
    assert len(first.outcomes) == 2
    assert len(texts(second)) == 2


def test_a_reply_is_committed_before_it_is_given(text_model: Path) -> None:
    kept: list[tuple[str, tuple[int, ...], Reply]] = []

    async def commit(request: Request, samples: Sequence[int], reply: Reply) -> None:
        await asyncio.sleep(0)
        kept.append((request.key, tuple(samples), reply))

    request = ask()
    (reply,) = replies(text_model, [request], (2, 0), commit=commit)
    assert kept == [(request.key, (2, 0), reply)]
    assert (reply.sent, reply.model) == (1, "tiny-text")
    assert reply.input_tokens > 10


def test_a_cancelled_request_stops_the_computing(text_model: Path) -> None:
    async def act(engine: TransformersEngine) -> float:
        endless = ask(sampling=Sampling(temperature=0, max_tokens=2000, bad_words=("<|im_end|>",)))
        asked = asyncio.ensure_future(engine.complete(endless, (0, 1)))
        await asyncio.sleep(0.5)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        began = asyncio.get_running_loop().time()
        texts(await engine.complete(ask(), (0,)))
        return asyncio.get_running_loop().time() - began

    assert use(text_model, act) < 5


def test_out_of_memory_halves_the_batch_and_loses_nothing(
    text_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from lpt_synth.engines.hf import generating

    real, sizes, notices = generating.generate, [], []

    def tight(loaded: Any, orders: Any, sampling: Any) -> Any:
        sizes.append(len(orders))
        if len(orders) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(loaded, orders, sampling)

    expected = replies(text_model, [ask(n=8)], range(8), dtype="float64")
    monkeypatch.setattr(generating, "generate", tight)
    came = replies(text_model, [ask(n=8)], range(8), dtype="float64", notice=notices.append)
    assert came == expected
    assert max(sizes) == 8
    assert any("out of memory on 8 samples" in notice for notice in notices)


def test_what_fails_alone_is_a_failure_and_a_broken_model_stops_the_run(
    text_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lpt_synth.engines.hf import generating

    def broken(*_: Any) -> Any:
        raise RuntimeError("not enough memory: you tried to allocate 1 TB")

    monkeypatch.setattr(generating, "generate", broken)
    (reply,) = replies(text_model, [ask()], (0, 1))
    assert all(isinstance(o, Failure) and o.kind == "server" for o in reply.outcomes)
    with pytest.raises(EndpointError, match="fails at everything: RuntimeError"):
        replies(text_model, [ask(n=20)], range(20))


def test_other_weights_than_the_revision_names_are_refused(text_model: Path) -> None:
    with pytest.raises(ConfigError, match="leave out the revision"):
        replies(text_model, [ask()], revision="0" * 32)


def test_a_device_that_is_not_there_is_refused(text_model: Path) -> None:
    with pytest.raises(ConfigError, match="no device cuda:99"):
        replies(text_model, [ask()], device="cuda:99")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", "{", "cannot be loaded"),
        ("config.json", '{"model_type": "nothing_known"}', "cannot be loaded"),
        ("model.safetensors", "no tensors", "cannot be loaded"),
        ("tokenizer.json", "[]", "cannot be loaded"),
        ("chat_template.jinja", None, "no chat template"),
    ],
)
def test_a_broken_folder_is_told_without_a_traceback(
    text_model: Path, tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(text_model, folder)
    (folder / name).unlink() if content is None else (folder / name).write_text(content)
    with pytest.raises((EndpointError, ConfigError), match=words):
        replies(folder, [ask()])


def test_an_id_that_no_hub_has_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EndpointError, match="cannot be loaded"):
        replies(Path("nobody/nothing"), [ask()])


def test_without_the_extra_the_line_that_installs_it_is_given(
    text_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"lpt-synth\[transformers\]"):
        replies(text_model, [ask()])


def test_loading_tells_what_it_does_and_nothing_else_is_heard(
    text_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    notices: list[str] = []
    replies(text_model, [ask()], notice=notices.append)
    assert notices[0] == "loading tiny-text …"
    assert notices[1].startswith("tiny-text: ")
    assert "float32 on " in notices[1]
    heard = capfd.readouterr()
    assert (heard.out, heard.err) == ("", "")


def test_a_run_with_a_thinker_in_the_process(
    a_config: Callable[..., RunConfig], play: Any, vision_model: Path, tmp_path: Path
) -> None:
    config = a_config(think={"n": 2, "sampling": {"temperature": 1.0, "max_tokens": 12}})
    thinker = {"engine": "transformers", "model": str(vision_model), "dtype": "float64"}
    data = config.model_dump(mode="json")
    data["endpoints"] |= {"thinker": thinker}
    config = RunConfig.model_validate_json(json.dumps(data))
    meter = Meter()
    report = run(config, tmp_path / "a", meter=meter)
    assert report.result.done
    assert report.result.tally["think.answered"] == 12
    assert {model for model, _, _ in play.calls} <= {"asker", "expander"}
    assert any(notice.startswith("tiny-vision: ") for notice in meter.notices)
    out = RunDir(tmp_path / "a")
    with out.open_store() as store:
        stored = StoredRun(out, out.config(), store)
        shorts = [short for tree in stored.trees() for node in tree.mcqs for short in node.shorts]
    sources = {segment.provenance for short in shorts for segment in short.trace.segments}
    made = {(p.engine, p.model, p.revision) for p in sources if p is not None}
    assert made == {("transformers", "tiny-vision", folder_digest(vision_model))}
    asked = len(play.calls)
    again = Meter()
    assert run(config, tmp_path / "a", meter=again).result.done
    assert (len(play.calls), again.answered) == (asked, 0)
    data["endpoints"]["thinker"] = thinker | {"batch_size": 1}
    run(RunConfig.model_validate_json(json.dumps(data)), tmp_path / "b", sequential=True)
    thoughts = "SELECT key, sample, text FROM outcomes JOIN requests USING (key) WHERE stage = 'think'"
    rows: list[list[Any]] = []
    for name in ("a", "b"):
        with Store.open(tmp_path / name / "store.sqlite") as store:
            rows.append(sorted(store.query(thoughts)))
    assert len(rows[0]) == 12
    assert rows[0] == rows[1]


def test_roles_that_load_the_same_model_share_it(
    a_config: Callable[..., RunConfig], text_model: Path, tmp_path: Path
) -> None:
    data = a_config().model_dump(mode="json")
    end = {"engine": "transformers", "model": str(text_model)}
    data["endpoints"] |= {
        "asker": end,
        "expander": end | {"licence": "MIT"},
        "thinker": end | {"batch_size": 3},
    }
    config = RunConfig.model_validate_json(json.dumps(data))
    with Store.open(tmp_path / "store.sqlite", create=True) as store:
        engines = make_engines(config, store, Meter())
    assert engines["asker"] is engines["expander"]
    assert engines["asker"] is not engines["thinker"]


def test_nothing_is_loaded_for_a_run_that_asks_nothing(text_model: Path) -> None:
    told: list[str] = []

    async def nothing(engine: TransformersEngine) -> None:
        pass

    use(text_model, nothing, notice=told.append)
    assert told == []
