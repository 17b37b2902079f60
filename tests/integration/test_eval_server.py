"""Runs against a server that speaks the OpenAI protocol, through real lmms-eval."""

from __future__ import annotations

import base64
import io
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from lpt_core import ConfigError, EndpointError, PixelPolicy, Sampling
from lpt_eval.benchmarks import load
from lpt_eval.folder import RunFolder
from lpt_eval.journal import Journal
from lpt_eval.presets import preset
from lpt_synth.lab.world import World, write_held_out


@pytest.fixture(scope="module")
def questions(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    write_held_out(folder, World(split="test"), 2, per_scene=2)
    return folder


@pytest.fixture
def server(scripted):
    return scripted


@pytest.fixture
def ask(questions, server, tmp_path):
    from lpt_eval.harness import Asked
    from lpt_eval.models.server import ServerModel
    from lpt_eval.run import run

    def ask(
        out: str = "run", *, model: str = "served", n: int = 1, sampling: Sampling | None = None, **options
    ):
        protocol = preset("lpt", "think", "mcq_file")
        changes = {"n": n, "pixels": PixelPolicy(limit=42), "sampling": sampling or protocol.sampling}
        protocol = protocol.model_copy(update=changes)
        folder, notes = RunFolder(tmp_path / out), []
        with Journal(folder.journal) as journal:
            served = ServerModel(
                model,
                **{"base_url": server.url, "pause": 0.01, **options},
                journal=journal,
                note=notes.append,
            )
            run(served, [Asked(load(f"mcq_file={questions}"), protocol)], folder, note=notes.append)
        return folder.rows("mcq_file")

    return ask


@pytest.mark.slow
def test_every_field_of_sampling_and_the_smaller_image_are_sent(ask, server) -> None:
    sampling = Sampling(
        temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05, max_tokens=99, stop=("END",)
    )
    rows = ask(n=2, sampling=sampling)
    assert len(rows) == 8
    body = server.bodies[0]
    assert {name: body[name] for name in ("temperature", "top_p", "top_k", "repetition_penalty")} == {
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "repetition_penalty": 1.05,
    }
    assert (body["max_tokens"], body["stop"], body["model"]) == (99, ["END"], "served")
    assert len({body["seed"] for body in server.bodies}) == 8
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    url = body["messages"][1]["content"][0]["image_url"]["url"]
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        assert image.size == (42, 42)
    assert {row.image_size for row in rows} == {(42, 42)}
    assert {(row.prompt_tokens, row.completion_tokens, row.finish_reason) for row in rows} == {(9, 4, "stop")}


@pytest.mark.slow
def test_a_server_that_is_busy_is_asked_again_and_a_resumed_run_asks_nothing(ask, server) -> None:
    server.statuses = [503, 429, 500]
    rows = ask()
    assert Counter(row.error for row in rows) == {None: 4}
    assert len(server.bodies) == 4
    assert [row.text for row in ask()] == [row.text for row in rows]
    assert len(server.bodies) == 4


@pytest.mark.slow
def test_a_request_that_fails_is_a_failure_and_is_made_again_by_the_next_run(ask, server) -> None:
    server.statuses = [400]
    rows = ask(concurrency=1)
    assert Counter(row.outcome == "failed" for row in rows) == {True: 1, False: 3}
    (failed,) = (row for row in rows if row.outcome == "failed")
    assert failed.error is not None
    assert failed.error.startswith("400")
    assert all(row.outcome != "failed" for row in ask())
    assert len(server.bodies) == 4


@pytest.mark.slow
def test_a_share_of_failures_makes_the_exit_status_until_a_run_mends_it(
    lpt_eval, server, questions, tmp_path
) -> None:
    line = ("run", "served", "--server", server.url, "--task", f"mcq_file={questions}", "--out", tmp_path)
    server.statuses = [400, 400]
    ended = lpt_eval(*line, "--max-failures", "0.4")
    assert ended.status == 1
    assert "2 failed" in ended.out
    assert "more than 40% of the answers are missing" in ended.err
    mended = lpt_eval(*line, "--max-failures", "0.4")
    assert (mended.status, mended.err) == (0, "")
    assert len(server.bodies) == 4


@pytest.mark.slow
def test_the_limit_of_tokens_and_the_servers_thought_are_kept(ask, server) -> None:
    server.finish, server.thought = "length", "Hm."
    rows = ask()
    assert {(row.finish_reason, row.reasoning, row.thought_chars) for row in rows} == {("length", "Hm.", 3)}


@pytest.mark.slow
def test_an_end_that_nobody_knows_is_a_failure(ask, server) -> None:
    server.finish = "content_filter"
    assert {row.outcome for row in ask()} == {"failed"}


@pytest.mark.slow
def test_a_model_or_server_that_is_not_there_is_told_before_anything_is_asked(ask, server) -> None:
    with pytest.raises(EndpointError, match="serves no 'other'"):
        ask(model="other")
    with pytest.raises(EndpointError, match="cannot be reached"):
        ask("elsewhere", base_url="http://127.0.0.1:9/v1")
    assert server.bodies == []


@pytest.mark.slow
def test_the_key_comes_from_the_environment_alone(ask, server, monkeypatch, tmp_path) -> None:
    with pytest.raises(ConfigError, match="no LPT_TEST_KEY"):
        ask(api_key_env="LPT_TEST_KEY")
    monkeypatch.setenv("LPT_TEST_KEY", "secret-of-mine")
    ask(api_key_env="LPT_TEST_KEY")
    assert set(server.keys) == {"Bearer secret-of-mine"}
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"secret-of-mine" in data for data in kept)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lpt_server", "lpt_transformers", "lpt_vllm"])
def test_lmms_eval_knows_the_models_by_name(name: str) -> None:
    from lmms_eval.models import get_model

    from lpt_eval.models.recording import RecordingModel

    assert issubclass(get_model(name), RecordingModel)
