"""Plays vLLM for the process that runs it; that process and our end of it are the real ones.

A text is its own tokens, one for each character. An answer is its seed and the end of the prompt. A prompt
with "die once" or "die always" ends the process, one with "fail" raises as vLLM does when its engine is lost.
What happened stands in the file that VLLM_PLAY names, a JSON object a line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

__version__ = "0.0.play"
LOG = Path(os.environ["VLLM_PLAY"])
IMAGE = "□"


@dataclass
class EngineArgs:
    model: str = ""
    revision: str = ""
    tokenizer_revision: str = ""
    dtype: str = "auto"
    quantization: str = ""
    max_model_len: int = 4096
    max_num_seqs: int = 256
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    enable_prefix_caching: bool = True
    disable_log_stats: bool = False
    limit_mm_per_prompt: Any = None
    enforce_eager: bool = False


class SamplingParams:
    def __init__(self, temperature: float = 1.0, n: int = 1, **others: Any) -> None:
        if not temperature and n > 1:
            raise ValueError("n must be 1 when using greedy sampling")
        self.temperature, self.n = temperature, n
        self.seed: int = others.get("seed", 0)
        self.bad_words: list[str] = others.get("bad_words", [])
        self.max_tokens: int | None = others.get("max_tokens")
        self.top_p, self.top_k, self.repetition_penalty = 1.0, 0, 1.0


class EngineDeadError(Exception):
    pass


def note(**what: Any) -> None:
    with LOG.open("a") as log:
        log.write(json.dumps(what | {"pid": os.getpid()}) + "\n")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Tokenizer:
    chat_template = "played"

    def apply_chat_template(self, turns: list[dict[str, str]], **_: Any) -> str:
        return "".join(f"<{turn['role']}>{turn['content']}" for turn in turns) + "<assistant>"

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": list(map(ord, text))}


class Engine:
    def __init__(self, arguments: EngineArgs) -> None:
        config = SimpleNamespace(image_token_id=ord(IMAGE))
        self.model_config = SimpleNamespace(
            is_multimodal_model=False, max_model_len=arguments.max_model_len, hf_config=config
        )
        self.engine_core = SimpleNamespace(shutdown=lambda: None)
        self.waiting: dict[str, tuple[list[int], SamplingParams]] = {}
        self.tokens = 0

    def has_unfinished_requests(self) -> bool:
        return bool(self.waiting)

    def add_request(self, name: str, prompt: dict[str, Any], params: SamplingParams) -> None:
        self.waiting[name] = prompt["prompt_token_ids"], params
        self.tokens += len(prompt["prompt_token_ids"])

    def abort_request(self, names: list[str]) -> None:
        for name in names:
            self.waiting.pop(name, None)

    def step(self) -> list[SimpleNamespace]:
        time.sleep(0.002)
        name = next(iter(self.waiting))
        ids, params = self.waiting.pop(name)
        text = "".join(map(chr, ids))
        note(what="step", text=text, n=params.n, bad_words=params.bad_words, seed=params.seed)
        end_if_told(text)
        outputs = [
            SimpleNamespace(
                index=i, text=f" {params.seed + i} after {text[-8:]}", token_ids=[1, 2], finish_reason="stop"
            )
            for i in range(params.n)
        ]
        return [SimpleNamespace(request_id=name, finished=True, prompt_token_ids=ids, outputs=outputs)]


def end_if_told(text: str) -> None:
    died = LOG.with_suffix(".died")
    if "die always" in text or ("die once" in text and not died.exists()):
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if "fail" in text:
        raise EngineDeadError("the engine core is gone")


class LLM:
    def __init__(self, **arguments: Any) -> None:
        rows = [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []
        beside = sorted({row["pid"] for row in rows if row["what"] == "load" and alive(row["pid"])})
        devices = os.environ.get("CUDA_VISIBLE_DEVICES")
        note(what="load", model=arguments["model"], beside=beside, arguments=arguments, devices=devices)
        if "broken" in arguments["model"]:
            raise OSError("there are no weights")
        if "vanishing" in arguments["model"]:
            print("ValueError: something went wrong inside", flush=True)
            os._exit(3)
        if "slow" in arguments["model"]:
            time.sleep(60)
        self.llm_engine = Engine(EngineArgs(**arguments))

    def get_tokenizer(self) -> Tokenizer:
        return Tokenizer()

    def get_default_sampling_params(self) -> SamplingParams:
        return SamplingParams(temperature=0.5)

    def get_metrics(self) -> list[SimpleNamespace]:
        tokens = self.llm_engine.tokens
        return [
            SimpleNamespace(name="vllm:prefix_cache_queries", value=tokens),
            SimpleNamespace(name="vllm:prefix_cache_hits", value=tokens // 2),
            SimpleNamespace(name="vllm:other", value=1),
        ]


kinds = SimpleNamespace(
    SamplingParams=SamplingParams,
    RequestOutputKind=SimpleNamespace(FINAL_ONLY=2),
    StructuredOutputsParams=dict,
)
sys.modules["vllm.engine"] = sys.modules["vllm.engine.arg_utils"] = sys.modules[__name__]
sys.modules["vllm.platforms"] = SimpleNamespace(current_platform=SimpleNamespace(is_cpu=lambda: True))  # type: ignore[assignment]
sys.modules["vllm.sampling_params"] = kinds  # type: ignore[assignment]
