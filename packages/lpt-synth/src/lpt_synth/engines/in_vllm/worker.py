"""The process that runs vLLM. It imports nothing of ours, so that any Python that has vLLM can run it.

    python worker.py FD        # FD: one end of a socket pair

What it is sent, pickled: ``("load", {...})`` once, then ``("ask", {...})``, ``("abort", number)`` and
``("stop",)``. What it sends is listed in ``lpt_synth.engines.in_vllm.host``.
"""

from __future__ import annotations

import base64
import dataclasses
import difflib
import io
import os
import re
import sys
import time
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

THINK = "<think>"
_STATS_EVERY_S = 2.0
_TAIL = 16
_MARKS = re.compile(r"(image|video|audio)_token_(id|index)")


class RefusedError(Exception):
    """This one request cannot be asked."""


def engine_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments for vLLM.

    Raises:
        RefusedError: It has none of such a name.
    """
    known = [field.name for field in dataclasses.fields(import_module("vllm.engine.arg_utils").EngineArgs)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3)
            hint = f"; near to it: {', '.join(near)}" if near else ""
            version = import_module("vllm").__version__
            raise RefusedError(f"options: vLLM {version} has no engine argument {name!r}{hint}")
    return {"limit_mm_per_prompt": {"image": 1, "video": 0}} | given


class Worker:
    """A model in vLLM, and what it is being asked.

    Args:
        connection: To the process that asks.
        arguments: Of vLLM's engine.
    """

    def __init__(self, connection: Connection, arguments: dict[str, Any]) -> None:
        self.connection = connection
        self.vllm: Any = import_module("vllm")
        self.llm: Any = self.vllm.LLM(**engine_arguments(arguments))
        self.engine: Any = self.llm.llm_engine
        config: Any = self.engine.model_config
        self.sees = bool(config.is_multimodal_model)
        self.length = int(config.max_model_len)
        self.tokenizer: Any = self.llm.get_tokenizer()
        self.template = self._template(config)
        self.marks = _marks(config.hf_config)
        self.defaults: Any = self.llm.get_default_sampling_params()
        self.asked: dict[str, dict[str, Any]] = {}
        self.stats: tuple[int, int] | None = None
        self.told = 0.0

    def _template(self, config: Any) -> str | None:
        if isinstance(self.tokenizer.chat_template, str) or not self.sees:
            return self.tokenizer.chat_template
        processor: Any = import_module("transformers").AutoProcessor.from_pretrained(
            config.model, revision=config.revision, trust_remote_code=config.trust_remote_code
        )
        return processor.chat_template

    # ---- the loop ------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Answer until told to stop. Whatever vLLM raises while it computes ends the process."""
        while True:
            busy = bool(self.engine.has_unfinished_requests())
            if not busy:
                self.tell_stats()
            while self.connection.poll(0 if busy else None):
                what, *rest = self.connection.recv()
                if what == "stop":
                    self.tell_stats()
                    return
                if what == "ask":
                    self.ask(*rest)
                else:
                    self.abort(*rest)
                busy = True
            # With nothing to do, a step would wait for ever.
            for output in self.engine.step() if self.engine.has_unfinished_requests() else ():
                if output.finished:
                    self.answer(output)
            if time.monotonic() - self.told > _STATS_EVERY_S:
                self.tell_stats()

    def ask(self, asked: dict[str, Any]) -> None:
        """Put a request into vLLM's queue; what it refuses is answered at once."""
        try:
            ids = self.prompt_ids(asked)
            prompt: dict[str, Any] = {"prompt_token_ids": ids}
            if asked["images"]:
                prompt["multi_modal_data"] = {"image": [_picture(url) for url in asked["images"]]}
            params = self.sampling(asked)
            self.engine.add_request(str(asked["number"]), prompt, params)
        except Exception as error:  # whatever one request holds must not stop the others
            if type(error).__name__ == "EngineDeadError":
                raise
            said = str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"
            self.connection.send(("refused", asked["number"], said[:500]))
            return
        # The pictures are vLLM's now.
        self.asked[str(asked["number"])] = {**asked, "ids": ids, "images": len(asked["images"])}

    def abort(self, number: int) -> None:
        """Nobody waits for this one any more."""
        asked = self.asked.pop(str(number), None)
        if asked is not None:
            self.engine.abort_request([str(number)])

    def answer(self, output: Any) -> None:
        """Send what came of a request."""
        asked = self.asked.pop(output.request_id, None)
        if asked is None:
            return
        prompt = list(output.prompt_token_ids or ())
        # Where there are images, vLLM puts their tokens in: what follows them is what must be the same.
        begin = -_TAIL if asked["images"] else None
        if prompt[begin:] != asked["ids"][begin:]:
            said = "vLLM read another prompt than it was given"
            self.connection.send(("refused", asked["number"], said))
            return
        outputs = sorted(output.outputs, key=lambda one: one.index)
        came = [(one.text, str(one.finish_reason or "stop"), len(one.token_ids)) for one in outputs]
        # Of greedy samples, which are all the same, only one is drawn.
        came += [(came[0][0], came[0][1], 0)] * (asked["n"] - len(came))
        ids = (prompt, [list(one.token_ids) for one in outputs]) if asked.get("ids_wanted") else None
        self.connection.send(("answer", asked["number"], came, len(prompt), ids))

    def tell_stats(self) -> None:
        """Tell how many tokens of prompts there were, and how many of them the prefix cache had."""
        self.told = time.monotonic()
        counts = dict.fromkeys(("vllm:prefix_cache_queries", "vllm:prefix_cache_hits"), 0)
        for metric in self.llm.get_metrics():
            if metric.name in counts:
                counts[metric.name] += int(metric.value)
        queries, hits = counts.values()
        if (queries, hits) != self.stats:
            self.stats = queries, hits
            self.connection.send(("stats", queries, hits))

    # ---- one request ---------------------------------------------------------------------------------

    def prompt_ids(self, asked: dict[str, Any]) -> list[int]:
        """The prompt as tokens: the chat template's text and the prefill, encoded as one text.

        Where the template opens a thought by itself, the thought that the prefill opens takes its place.

        Raises:
            RefusedError: It cannot be made, or cannot be asked.
        """
        if asked["images"] and not self.sees:
            raise RefusedError("the model reads no images")
        if not isinstance(self.template, str):
            raise RefusedError("the model has no chat template")
        turns = [
            {"role": role, "content": parts if self.sees else "".join(part.get("text", "") for part in parts)}
            for role, parts in asked["messages"]
        ]
        text = str(
            self.tokenizer.apply_chat_template(
                turns, chat_template=self.template, tokenize=False, add_generation_prompt=True
            )
        )
        prefill = asked["prefill"]
        opened = text.rstrip()
        if prefill.lstrip().startswith(THINK) and opened.endswith(THINK):
            text = opened.removesuffix(THINK)
        # Half a surrogate pair can stand in a string and in no text.
        text = (text + prefill).encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        # A mark without its image would bring the whole engine down.
        if sum(token in self.marks for token in ids) > len(asked["images"]):
            raise RefusedError("the text holds a mark that stands for an image")
        if len(ids) >= self.length:
            raise RefusedError(f"the prompt has {len(ids)} tokens, and the model takes {self.length}")
        return ids

    def sampling(self, asked: dict[str, Any]) -> Any:
        """How to draw: what the request leaves open comes from the model's generation_config."""
        given: dict[str, Any] = asked["sampling"]
        names = ("temperature", "top_p", "top_k", "repetition_penalty", "max_tokens")
        fields = {name: getattr(self.defaults, name) for name in names}
        if "max_tokens" not in given:
            fields["max_tokens"] = None
        fields |= given
        # vLLM draws one sample only where there is nothing to draw.
        fields |= {"n": asked["n"] if fields["temperature"] else 1, "seed": asked["seed"]}
        kinds: Any = import_module("vllm.sampling_params")
        if asked["schema"] is not None:
            fields["structured_outputs"] = kinds.StructuredOutputsParams(json=asked["schema"])
        return kinds.SamplingParams(**fields, output_kind=kinds.RequestOutputKind.FINAL_ONLY)


def _marks(config: Any) -> frozenset[int]:
    """The tokens that stand for images and the like."""
    found = {name: getattr(config, name, None) for name in dir(config) if _MARKS.fullmatch(name)}
    return frozenset(value for value in found.values() if isinstance(value, int))


def _picture(url: str) -> Any:
    """The picture of a data URL: just what a server would have got."""
    image = import_module("PIL.Image").open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return image.convert("RGB")


def prepare_environment(environment: dict[str, str]) -> None:
    """Settings of vLLM that are read from the environment; no usage is reported to anybody."""
    os.environ |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", **environment}


def main(fd: int) -> None:
    """Load, serve, and tell how it ended."""
    connection = Connection(fd)
    # What vLLM prints belongs into the log; standard error is that.
    os.dup2(2, 1)
    _, job = connection.recv()
    prepare_environment(job["environment"])
    try:
        platform: Any = import_module("vllm.platforms").current_platform
        if platform.is_cpu() and job["arguments"].get("tensor_parallel_size", 1) == 1:
            # One process loads quicker than three, and there is no device that would wait for Python.
            os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        worker = Worker(connection, job["arguments"])
    except (Exception, SystemExit) as error:  # as many kinds as loading raises
        kind = "config" if isinstance(error, RefusedError) else "endpoint"
        said = str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"
        connection.send(("failed", kind, said))
        raise
    connection.send(("ready", worker.vllm.__version__, worker.sees))
    try:
        worker.serve()
        connection.close()
        worker.engine.engine_core.shutdown()
        os._exit(0)  # Python's own way out takes many seconds, and there is nothing left to be done
    except (EOFError, ConnectionError):
        return  # whoever asked is gone
    except BaseException as error:
        connection.send(("dead", f"{type(error).__name__}: {error}"))
        raise


if __name__ == "__main__":
    main(int(sys.argv[1]))
