"""lpt-eval with real vLLM on the CPU: behind its server, and in the process. Beside them transformers."""

from __future__ import annotations

import os
import socket
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lpt_core import MCQ
from lpt_eval.folder import RunFolder
from lpt_eval.records import Row
from lpt_synth.lab.student import shipped_student
from lpt_synth.lab.world import World, write_held_out

PYTHON = Path(__file__).resolve().parents[2] / ".tools" / "vllm" / "bin" / "python"
HOW = ("--max-tokens", "70")
SCENES, PER_SCENE = 24, 2
LONG = "Which of all these many things is it that I ask about? " * 400
CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="there is no vLLM here: `bash .ci/vllm-cpu` installs it"),
]


@pytest.fixture(scope="module")
def student() -> Iterator[Path]:
    with shipped_student() as folder:
        yield folder


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> str:
    """Questions of the lab, and one that no model can take."""
    folder = tmp_path_factory.mktemp("lab")
    write_held_out(folder, World(split="test", level="easy"), SCENES, per_scene=PER_SCENE)
    file = folder / "mcqs.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    other = MCQ.model_validate_json(lines[0])
    long = MCQ.make(caption_id=other.caption_id, question=LONG, options=other.options, gold=0)
    file.write_text("".join([*lines, long.model_dump_json() + "\n"]))
    return f"mcq_file={folder}"


@pytest.fixture(scope="module")
def starting(student, tmp_path_factory) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """A server that loads while other things are done, its address, and its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--model", student, "--served-model-name", "student", "--dtype", "float32", "--enforce-eager"]
    command += ["--max-model-len", "1024", "--max-num-seqs", "32"]
    command += ["--limit-mm-per-prompt", '{"image": 1, "video": 0}']
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("wb") as to:
        process = subprocess.Popen(command, env=os.environ | CPU, stdout=to, stderr=to)
        yield process, f"http://127.0.0.1:{port}/v1", log
        process.terminate()  # it ends its engine's process too
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def in_transformers(starting, lpt_eval, student, task, tmp_path_factory) -> list[Row]:
    out = tmp_path_factory.mktemp("transformers")
    ended = lpt_eval("run", student, "--device", "cpu", "--task", task, *HOW, "--out", out)
    assert ended.status == 0, ended.err
    return RunFolder(out).rows("mcq_file")


@pytest.fixture(scope="module")
def url(starting, in_transformers) -> str:
    process, url, log = starting
    until = time.monotonic() + 500
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with suppress(OSError), urllib.request.urlopen(f"{url}/models", timeout=5):
            return url
        time.sleep(0.5)
    pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")


def nearly_equal(theirs: list[Row], ours: list[Row], error: str) -> None:
    """Rounding differs, so a near-tie may fall otherwise; a wrong prompt or picture would change most."""
    pairs = list(zip(theirs, ours, strict=True))
    assert len(pairs) == SCENES * PER_SCENE + 1
    assert all(a.item_id == b.item_id for a, b in pairs)
    (refused,) = (pair for pair in pairs if "failed" in {row.outcome for row in pair})
    assert refused[0].outcome == refused[1].outcome == "failed"
    assert error in (refused[0].error or "")
    pairs.remove(refused)
    assert all(a.prompt_tokens == b.prompt_tokens and a.image_size == b.image_size for a, b in pairs)
    same = [(a, b) for a, b in pairs if a.text == b.text]
    assert len(same) >= 0.9 * len(pairs), [(a.text, b.text) for a, b in pairs]
    for a, b in same:
        assert (a.finish_reason, a.completion_tokens) == (b.finish_reason, b.completion_tokens)
        assert (a.outcome, a.option) == (b.outcome, b.option)


def test_vllm_in_the_process_answers_as_transformers_do(in_transformers, student, task, tmp_path) -> None:
    engine = ("max_model_len=1024", "enforce_eager=true", "max_num_seqs=32")
    command = [PYTHON, Path(__file__).with_name("eval_in_vllm.py"), sysconfig.get_path("purelib")]
    command += ["run", student, "--task", task, *HOW, "--out", tmp_path / "run", "--engine", "vllm"]
    command += ["--dtype", "float32", *(part for one in engine for part in ("--engine-arg", one))]
    done = subprocess.run(command, env=os.environ | CPU, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    folder = RunFolder(tmp_path / "run")
    nearly_equal(folder.rows("mcq_file"), in_transformers, "1024")
    info = folder.info()
    assert info.model.kind == "vllm"
    assert info.model.weights


def test_a_server_of_vllm_answers_as_transformers_do(url, lpt_eval, in_transformers, task, tmp_path) -> None:
    ended = lpt_eval("run", "student", "--server", url, "--task", task, *HOW, "--out", tmp_path)
    assert ended.status == 0, ended.err
    nearly_equal(RunFolder(tmp_path).rows("mcq_file"), in_transformers, "400")


def test_a_server_of_vllm_is_asked_all_six_benchmarks(
    url, lpt_eval, six_benchmarks, tmp_path, monkeypatch
) -> None:
    root, tasks = six_benchmarks
    monkeypatch.setenv("LPT_EVAL_CACHE", str(root / "cache"))
    how = ("--protocol", "lpt", *HOW, "--max-failures", "1")
    ended = lpt_eval("run", "student", "--server", url, *tasks, *how, "--out", tmp_path)
    assert ended.status == 0, ended.err
    folder = RunFolder(tmp_path)
    assert len(folder.info().benchmarks) == 6
    rows = {name: folder.rows(name) for name in folder.info().benchmarks}
    assert all(row.finish_reason in ("stop", "length") for of in rows.values() for row in of)
    shown = [row for name, of in rows.items() if name != "mmlu_pro" for row in of]
    assert sum(row.outcome == "correct" for row in shown) >= 10  # of 20, mostly with four options


def test_a_server_of_vllm_draws_each_sample_by_its_seed(url, lpt_eval, task, tmp_path) -> None:
    drawn = ("--temperature", "1", "--samples", "2", "--seed", "3", "--limit", "8")
    texts: list[list[str]] = []
    for name in ("a", "b"):
        line = ("run", "student", "--server", url, "--task", task, *HOW, *drawn, "--out", tmp_path / name)
        assert lpt_eval(*line, "--max-failures", "1").status == 0
        texts.append([row.text for row in RunFolder(tmp_path / name).rows("mcq_file")])
    first, second = texts
    assert len(first) == 16
    assert sum(a == b for a, b in zip(first, second, strict=True)) >= 12
    assert sum(a != b for a, b in zip(first[::2], first[1::2], strict=True)) >= 2
