"""A real HTTP server on loopback whose answers a test scripts, and an engine that talks to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lpt_core import ImageRef, Message, Sampling
from lpt_synth.config import OpenAIEndpoint
from lpt_synth.engines import retry
from lpt_synth.engines.openai import OpenAIEngine
from lpt_synth.types import Request


def say(*texts: str | None, **more: Any) -> dict[str, Any]:
    """A body that answers with these texts."""
    choices = [
        {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **more}}
        for i, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 10, "completion_tokens": 5 * len(texts)}
    return {"object": "chat.completion", "model": "played", "choices": choices, "usage": usage}


@dataclass
class Server:
    """Answers with what ``answer`` makes of a body: a body, (status, body[, headers]), "cut" or "close"."""

    answer: Callable[[dict[str, Any], int], Any]
    calls: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    open: int = 0
    most_open: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            body = json.loads(await request.read())
            self.calls.append(body)
            self.paths.append(request.path)
            self.headers.append(dict(request.headers))
            made = self.answer(body, len(self.calls))
            if isinstance(made, Awaitable):
                made = await made
            return await self.send(request, made)
        finally:
            self.open -= 1

    @staticmethod
    async def send(request: web.Request, made: Any) -> web.StreamResponse:
        if made == "close":
            request.transport.abort()
            return web.Response()
        if made == "cut":
            response = web.StreamResponse(headers={"Content-Length": "5000"})
            await response.prepare(request)
            await response.write(b'{"choices": [')
            request.transport.close()
            return response
        status, body, headers = (*made, {})[:3] if isinstance(made, tuple) else (200, made, {})
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=raw, headers=headers)

    @asynccontextmanager
    async def running(self):
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v1"
        try:
            yield self
        finally:
            # Connections that the kernel has taken and the loop has not looked at would outlive both.
            for _ in range(5):
                await asyncio.sleep(0.002)
            await runner.cleanup()


async def no_image(ref: ImageRef) -> str:
    return f"data:image/png;base64,{ref.sha256[:8]}"


@dataclass
class Table:
    """Everything that a scenario needs, in one fixture."""

    Server: type[Server] = Server

    @staticmethod
    def say(*texts: str | None, **more: Any) -> dict[str, Any]:
        return say(*texts, **more)

    @staticmethod
    async def until(holds: Callable[[], bool]) -> None:
        """Wait until something holds, however slow the machine."""
        while not holds():
            await asyncio.sleep(0.005)

    @staticmethod
    def request(text: str = "What do you see?", **changes: Any) -> Request:
        settings: dict[str, Any] = {
            "stage": "think",
            "role": "thinker",
            "item": "x",
            "messages": (Message.of("user", text),),
            "sampling": Sampling(temperature=0.7, max_tokens=64),
            "n": 1,
            "prompt": "p",
            "model": OpenAIEndpoint(base_url="http://h/v1", model="m").identity,
        }
        return Request.make(**settings | changes)

    @staticmethod
    @asynccontextmanager
    async def engine(server: Server, **options: Any):
        """An open engine at the server; options of the endpoint and of the engine mixed."""
        own = {
            name: options.pop(name) for name in ("memory", "commit", "notice", "images") if name in options
        }
        endpoint = OpenAIEndpoint(**{"base_url": server.url, "model": "m", **options})
        engine = OpenAIEngine(endpoint, **{"images": no_image, **own})
        try:
            await engine.open()
            yield engine
        finally:
            await engine.close()

    def play(self, answer: Callable[..., Any], act: Callable[..., Awaitable[Any]], **options: Any) -> Any:
        """What ``act(engine, server)`` makes of an engine whose server answers so."""

        async def run() -> Any:
            async with Server(answer).running() as server, self.engine(server, **options) as engine:
                return await asyncio.wait_for(act(engine, server), 30)

        return asyncio.run(run())

    def ask(self, answer: Callable[..., Any], request: Request | None = None, samples=(0,), **options: Any):
        """The reply to one request, and the server as it was left."""

        async def act(engine: OpenAIEngine, server: Server):
            return await engine.complete(request or self.request(), samples), server

        return self.play(answer, act, **options)


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoffs of milliseconds: how long they are is tested on its own."""
    monkeypatch.setattr(retry, "BASE_S", 0.001)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


# ---- tiny random models that the real classes load ---------------------------------------------------

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
           "<|image_pad|>", "<|video_pad|>")  # fmt: skip
TEMPLATE = (
    "{%- for m in messages -%}<|im_start|>{{ m.role }}\n"
    "{%- if m.content is string -%}{{ m.content }}{%- else -%}{%- for part in m.content -%}"
    "{%- if part.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- else -%}{{ part.text }}{%- endif -%}{%- endfor -%}{%- endif -%}<|im_end|>\n{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n{%- endif -%}"
)
TEXTS = ("The red lighthouse stands on a grey rock.", "<think> It is (B). Wait, no.</think> <answer>(A)")


def _tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS * 50, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
    )


def _loud(model):
    """Random weights large enough that the model has opinions: else every text looks alike to it."""
    import torch

    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(6)
    return model


TEXT_SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 2048,
}


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a text model."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = _tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = Qwen2Config(
            **TEXT_SHAPE, vocab_size=len(tokenizer), eos_token_id=2, pad_token_id=0, bos_token_id=None
        )
        model = _loud(Qwen2ForCausalLM(config))
    folder = tmp_path_factory.mktemp("models") / "tiny-text"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def vision_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Qwen2.5-VL."""
    import torch
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer = _tokenizer()
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    text = TEXT_SHAPE | {
        "vocab_size": len(tokenizer),
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 6, 6]},
        "bos_token_id": None,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }
    vision = {
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_heads": 2,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
        "window_size": 112,
    }
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = Qwen2_5_VLConfig(
            text_config=text,
            vision_config=vision,
            image_token_id=ids["<|image_pad|>"],
            video_token_id=ids["<|video_pad|>"],
            vision_start_token_id=ids["<|vision_start|>"],
            vision_end_token_id=ids["<|vision_end|>"],
            tie_word_embeddings=True,
        )
        model = _loud(Qwen2_5_VLForConditionalGeneration(config))
    bounds = {"min_pixels": 28 * 28, "max_pixels": 84 * 84}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**bounds),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**bounds),
        chat_template=TEMPLATE,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-vision"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
