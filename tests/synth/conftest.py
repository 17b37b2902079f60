from __future__ import annotations

import asyncio
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lpt_core import (
    MCQ,
    Caption,
    ImageRef,
    Message,
    Presentation,
    Segment,
    Trace,
    Verdict,
)
from lpt_synth.config import RunConfig
from lpt_synth.types import CaptionTree, LongNode, MCQNode, ShortNode

Trees = Callable[..., list[CaptionTree]]
WORDS = ("the", "cat", "sat", "on", "a", "red", "mat", "beside", "two", "small", "blue", "jars")


def _trace(
    node: MCQNode, segments: tuple[Segment, ...], draw: random.Random, parent: str | None = None
) -> tuple[Trace, str | None]:
    """A trace with a random verdict, and which filter dropped it, if any."""
    option = draw.choice([node.mcq.gold, draw.randrange(4)])
    status = draw.choices(["found", "missing", "truncated"], [8, 1, 1])[0]
    found = status == "found"
    verdict = Verdict(
        status=status, option=option if found else None, correct=found and option == node.mcq.gold
    )
    trace = Trace.make(
        caption_id=node.mcq.caption_id,
        presentation=node.presentation,
        segments=segments,
        answer=draw.choice([f"({option})", f"option {option}"]) if found else status,
        verdict=verdict,
        parent=parent,
    )
    return trace, draw.choice([None] * 7 + ["banned_words"])


def _short(node: MCQNode, longs: int, draw: random.Random) -> ShortNode:
    text = " ".join(draw.choices(WORDS, k=draw.choice([1, 1, 3, 20])))
    thought = Segment(kind="thought", text=text)
    trace, dropped = _trace(node, (thought,), draw)
    short = ShortNode(trace, dropped)
    for _ in range(longs):
        added = " ".join(draw.choices(WORDS, k=draw.choice([1, 2, 30])))
        segments = (
            thought,
            Segment(kind="cue", text=".\nWait,"),
            Segment(kind="continuation", text=f" {added}"),
        )
        short.longs.append(LongNode(*_trace(node, segments, draw, trace.id)))
    return short


@pytest.fixture(scope="session")
def make_trees() -> Trees:
    """A builder of random captions with all that a run could have made of them; some of it unusable."""

    def make(
        seed: int = 0,
        captions: int = 2,
        questions: int = 3,
        shorts: int = 4,
        longs: int = 3,
        image: ImageRef | None = None,
    ) -> list[CaptionTree]:
        draw = random.Random(seed)
        trees: list[CaptionTree] = []
        for number in range(captions):
            shown = image or ImageRef(path=f"{number}.png", sha256=f"{number:064x}", width=4, height=3)
            caption = Caption.make(
                text=f"Caption {number} of {seed}.", image=shown, source="test", source_id=str(number)
            )
            tree = CaptionTree(caption)
            for index in range(questions):
                mcq = MCQ.make(
                    caption_id=caption.id,
                    question=f"Question {index}?",
                    options=("red", "blue", "None", "NA"),
                    gold=draw.randrange(4),
                )
                prompt = (Message.of("system", "Think."), Message.of("user", mcq.question, shown))
                node = MCQNode(mcq, Presentation.derive(mcq, seed), prompt)
                node.shorts = [_short(node, longs, draw) for _ in range(shorts)]
                tree.mcqs.append(node)
            trees.append(tree)
        return trees

    return make


# ---- a small OpenAI-compatible server that plays all roles -------------------------------------------


class PlayServer:
    """Answers by rule, so that a run against it always makes the same sets.

    A caption "N: …" gets N questions ("Which number is x?" with options); a thought is right where the
    seed is even, a continuation where the seed is not divisible by five. Knows prefilled turns.

    Attributes:
        calls: (model, seed, number of the question or -1) of each request that was answered.
        faults: Statuses to answer with first, from the front of the list.
        peak: The most requests that were under way at once.
    """

    def __init__(self) -> None:
        self.base_url = ""
        self.calls: list[tuple[str, int, str]] = []
        self.bodies: list[dict[str, object]] = []
        self.faults: list[int] = []
        self.latency_s = 0.0
        self.under_way = 0
        self.peak = 0

    def answer(self, body: dict[str, Any]) -> list[str]:
        texts = []
        for message in body["messages"]:
            content = message["content"]
            parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
            texts.append("".join(part.get("text", "") for part in parts))
        n, seed, said = body.get("n") or 1, body.get("seed", 0), "\n".join(texts)
        self.calls.append((body["model"], seed, said))
        return [self._one(body["model"], seed + i, said) for i in range(n)]

    def _one(self, model: str, seed: int, said: str) -> str:
        if model == "asker":
            count = int(re.findall(r"(\d+): ", said)[-1])
            return "\n".join(
                f"{k}. <question> Which colour has number {k}? </question> <choices> (A) red{k} (B) blue{k} "
                f"(C) green{k} (D) grey{k} </choices> <answer> (B) blue{k} </answer> <type> A </type>"
                for k in range(1, count + 1)
            )
        if model == "judge":
            return f"Because. <verdict>{'no' if seed % 3 == 0 else 'yes'}</verdict>"
        options = re.findall(r"^\(?([A-D])[).] (\w+)$", said, re.MULTILINE)[:4]
        right = next(letter for letter, text in options if text.startswith("blue"))
        wrong = next(letter for letter, text in options if text.startswith("red"))
        if model == "thinker":
            letter = right if seed % 2 == 0 else wrong
            return f" At {seed} I look. It is ({letter}) I think.</think> <answer>({letter})</answer>"
        letter = right if seed % 5 else wrong
        more = " the description says" if seed % 7 == 0 else ""
        return f" {seed}, let me look again{more}. So ({letter}).</think>\n<answer> {letter}. </answer>"


@pytest.fixture
def play() -> Iterator[PlayServer]:
    from aiohttp import web

    server = PlayServer()

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        server.under_way += 1
        server.peak = max(server.peak, server.under_way)
        try:
            await asyncio.sleep(server.latency_s)
            if server.faults:
                return web.json_response({"error": {"message": "planned"}}, status=server.faults.pop(0))
            server.bodies.append(body)
            choices = [
                {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
                for i, text in enumerate(server.answer(body))
            ]
            usage = {"prompt_tokens": 100, "completion_tokens": 10 * len(choices)}
            return web.json_response({"model": body["model"], "choices": choices, "usage": usage})
        finally:
            server.under_way -= 1

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", complete)
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def serve() -> None:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        ready.set()
        try:
            await stop.wait()
        finally:
            await runner.cleanup()

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait(10)
    yield server
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture
def a_config(play: PlayServer, tmp_path: Path) -> Callable[..., RunConfig]:
    """Makes a configuration against the play server, with three captions and real small images."""
    from PIL import Image

    folder = tmp_path / "captions"
    folder.mkdir()
    for place, count in enumerate((2, 1, 3)):
        Image.new("RGB", (40 + place, 30), (place * 90, 40, 90)).save(folder / f"{place}.png")
        (folder / f"{place}.txt").write_text(f"{count}: a picture of numbers in colours")

    def make(**sections: dict[str, Any]) -> RunConfig:
        ends = {
            role: {"base_url": play.base_url, "model": role, "prefill": "continue_final_message"}
            for role in ("asker", "thinker", "expander", "judge")
        }
        data: dict[str, Any] = {
            "source": {"kind": "folder", "captions": str(folder)},
            "endpoints": ends,
            "think": {"n": 4},
            "expand": {"n": 2, "banned_words": ["description"]},
        }
        for name, fields in sections.items():
            if name == "every_endpoint":
                for end in ends.values():
                    end.update(fields)
            elif isinstance(fields, dict):
                data[name] = data.get(name, {}) | fields
            else:
                data[name] = fields
        return RunConfig.model_validate_json(json.dumps(data))

    return make


# ---- a server that speaks OpenAI's batch protocol ----------------------------------------------------


class BatchServer:
    """Files and batches as OpenAI's API has them; a batch is worked on when it is looked at.

    Attributes:
        answer: Makes (status, body) of a request's body.
        play: What is planned for the batches to come, from the front: "expired", "cancelled", "failed",
            "lost" (created, and nobody is told), "half" (completed, and half of the lines are in no file),
            "late" (expired before anything was answered), "refused" (not created).
        looks: How often a batch is looked at until it has ended.
    """

    def __init__(self, answer: Callable[[dict[str, Any]], tuple[int, Any]]) -> None:
        self.answer = answer
        self.play: list[str] = []
        self.looks = 2
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.faults: list[int] = []
        self.on_create: Callable[[], None] = lambda: None
        self.errors: list[dict[str, Any]] = []

    @property
    def lines(self) -> list[str]:
        """The ``custom_id`` of every line of every batch that was created."""
        return [line["custom_id"] for batch in self.batches.values() for line in self.asked(batch)]

    def asked(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]

    async def handle(self, request: Any) -> Any:
        from aiohttp import web

        path = request.path.removeprefix("/v1/")
        self.calls.append(f"{request.method} {path}")
        if self.faults and (status := self.faults.pop(0)):
            return web.json_response({"error": {"message": "planned"}}, status=status)
        parts = path.split("/")
        if request.method == "POST":
            made = self._file(await request.post()) if path == "files" else self._create(await request.json())
        elif parts[0] == "files":
            return web.Response(body=self.files[parts[1]])
        else:
            made = self._list(request.query) if len(parts) == 1 else self._look(parts[1])
        if made is None:
            request.transport.abort()
            return web.Response()
        status, body = made
        return web.json_response(body, status=status)

    def _file(self, form: Any) -> tuple[int, Any]:
        assert form["purpose"] == "batch"
        name = f"file-{len(self.files)}"
        self.files[name] = form["file"].file.read()
        return 200, {"id": name, "object": "file"}

    def _create(self, body: dict[str, Any]) -> tuple[int, Any] | None:
        assert body["completion_window"] == "24h"
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        assert all((line["method"], line["url"]) == ("POST", body["endpoint"]) for line in lines)
        assert len({line["custom_id"] for line in lines}) == len(lines)
        fate = self.play.pop(0) if self.play else "completed"
        if fate == "refused":
            return 400, {"error": {"message": "billing hard limit", "code": "billing"}}
        name = f"batch_{len(self.batches)}"
        self.batches[name] = body | {
            "id": name,
            "object": "batch",
            "created_at": time.time(),
            "status": "validating",
            "fate": "completed" if fate == "lost" else fate,
            "looks": 1 if fate == "failed" else self.looks,
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }
        self.on_create()
        return None if fate == "lost" else (200, self.batches[name])

    def _list(self, query: Any) -> tuple[int, Any]:
        names = list(reversed(self.batches))
        if after := query.get("after"):
            names = names[names.index(after) + 1 :]
        limit = min(int(query.get("limit", 20)), 3)  # short pages, so that they are turned
        rows = [self.batches[name] for name in names[:limit]]
        return 200, {"object": "list", "data": rows, "has_more": len(names) > limit}

    def _look(self, name: str) -> tuple[int, Any]:
        batch = self.batches.get(name)
        if batch is None or batch["fate"] == "missing":
            return 404, {"error": {"message": "No batch found"}}
        batch["looks"] -= 1
        if batch["looks"] <= 0 and "output_file_id" not in batch:
            self._work(batch)
        elif batch["looks"] > 0:
            batch["status"] = "in_progress"
        return 200, batch

    def _work(self, batch: dict[str, Any]) -> None:
        fate, lines = batch["fate"], self.asked(batch)
        batch |= {"status": {"half": "completed", "late": "expired"}.get(fate, fate), "output_file_id": None}
        if fate == "failed":
            batch["errors"] = {"object": "list", "data": self.errors}
            return
        if fate in ("expired", "cancelled", "half"):
            lines = lines[::2]
        if fate == "late":
            lines = []
        good, bad = [], []
        for line in reversed(lines):  # in any order
            status, body = self.answer(line["body"])
            response = {"status_code": status, "request_id": "r", "body": body}
            row = {"id": "x", "custom_id": line["custom_id"], "response": response, "error": None}
            (good if status == 200 else bad).append(json.dumps(row))
        batch["request_counts"] |= {"completed": len(good), "failed": len(bad)}
        for field, rows in (("output_file_id", good), ("error_file_id", bad)):
            if rows:
                batch[field] = f"file-{field}-{batch['id']}"
                self.files[batch[field]] = "\n".join(rows).encode()


@pytest.fixture
def batch_server() -> Iterator[Callable[..., BatchServer]]:
    """Starts such servers, each in a thread of its own."""
    from aiohttp import web

    stops: list[Callable[[], None]] = []

    def start(answer: Callable[[dict[str, Any]], tuple[int, Any]]) -> BatchServer:
        server, loop = BatchServer(answer), asyncio.new_event_loop()
        up, stop = threading.Event(), asyncio.Event()

        async def serve() -> None:
            app = web.Application(client_max_size=2**26)
            app.router.add_route("*", "/{path:.*}", server.handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            up.set()
            await stop.wait()
            await runner.cleanup()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
        thread.start()
        assert up.wait(10)

        def end() -> None:
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)
            loop.close()

        stops.append(end)
        return server

    yield start
    for end in stops:
        end()
