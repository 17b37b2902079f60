"""The part of a model in vLLM that needs vLLM: loading, asking. It knows nothing of lmms-eval."""

# vLLM is an extra, and so large that the workspace goes without; what comes out of it is typed here.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lpt_core import DataError, EndpointError
from lpt_eval.journal import Answer
from lpt_eval.models.calls import DEFAULT_TOKENS, Call, chat_of

if TYPE_CHECKING:
    from PIL.Image import Image

_FINISHED = ("stop", "length")


@dataclass(frozen=True, slots=True)
class Engine:
    """A model that can answer.

    Attributes:
        llm: vLLM's ``LLM``.
        commit: The hub's commit; None for a folder.
    """

    llm: Any
    commit: str | None


def load(source: str, *, revision: str | None, dtype: str, options: Mapping[str, Any]) -> Engine:
    """Start vLLM with a model; takes a minute or more.

    vLLM's report of usage is off, and its log tells errors only, unless the environment says otherwise.

    Args:
        source: A folder, or a hub id.
        revision: Of the hub id.
        dtype: A name of torch's; "auto" for vLLM's choice.
        options: Further arguments of vLLM's ``LLM``.

    Raises:
        EndpointError: It does not start.
    """
    for name, value in (("VLLM_NO_USAGE_STATS", "1"), ("VLLM_LOGGING_LEVEL", "ERROR")):
        os.environ.setdefault(name, value)
    from vllm import LLM

    arguments: dict[str, Any] = {
        "model": source,
        "dtype": dtype,
        # Otherwise it keeps memory for videos, which nobody shows.
        "limit_mm_per_prompt": {"image": 1, "video": 0},
        **({"revision": revision} if revision else {}),
        **options,
    }
    try:
        llm: Any = LLM(**arguments)
    except Exception as error:  # of the files, the options or the device: as many kinds as there are readers
        said = " ".join(str(error).split())[:500]
        raise EndpointError(
            f"vLLM does not start with {source}: {type(error).__name__}: {said}",
            "its own options are given by --engine-arg NAME=VALUE; VLLM_LOGGING_LEVEL=INFO tells more",
        ) from error
    commit = getattr(llm.llm_engine.model_config.hf_config, "_commit_hash", None)
    return Engine(llm, commit)


def answers(engine: Engine, batch: Sequence[tuple[str, Call]]) -> list[Answer]:
    """Answer calls, all at once; one that cannot be asked is a failure of its own.

    Raises:
        EndpointError: vLLM has died.
    """
    found: dict[str, Answer] = {}
    ready: list[_Prepared] = []
    for key, call in batch:
        try:
            messages, size = chat_of(call, _part)
        except DataError as error:
            found[key] = Answer.failure(error.message)
            continue
        ready.append(_Prepared(key, call, messages, size))
    # A conversation goes on from a prefilled answer or begins one: vLLM is told which for all at once.
    for prefilled in (False, True):
        some = [one for one in ready if bool(one.call.settings.prefill) == prefilled]
        if some:
            found.update(zip((one.key for one in some), _asked(engine.llm, some, prefilled), strict=True))
    return [found[key] for key, _ in batch]


@dataclass(frozen=True, slots=True)
class _Prepared:
    key: str
    call: Call
    messages: list[dict[str, Any]]
    size: tuple[int, int] | None


def _part(picture: Image) -> dict[str, Any]:
    return {"type": "image_pil", "image_pil": picture}


def _asked(llm: Any, some: Sequence[_Prepared], prefilled: bool) -> list[Answer]:
    from vllm.v1.engine.exceptions import EngineDeadError

    began = time.perf_counter()
    try:
        outputs: list[Any] = llm.chat(
            [one.messages for one in some],
            [_sampling(one) for one in some],
            use_tqdm=False,
            add_generation_prompt=not prefilled,
            continue_final_message=prefilled,
        )
    except EngineDeadError as error:
        raise EndpointError(f"vLLM has died: {error}.", "run the same line again: it goes on") from error
    except Exception as error:  # one prompt that vLLM refuses (too long, say) makes it refuse them all
        if len(some) == 1:
            return [Answer.failure(f"{type(error).__name__}: {error}", image_size=some[0].size)]
        middle = len(some) // 2
        return [*_asked(llm, some[:middle], prefilled), *_asked(llm, some[middle:], prefilled)]
    seconds = round((time.perf_counter() - began) / len(some), 6)
    return [_answer(one, output, seconds) for one, output in zip(some, outputs, strict=True)]


def _sampling(one: _Prepared) -> Any:
    from vllm import SamplingParams

    settings = one.call.settings
    sampling = settings.sampling
    fields = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "repetition_penalty": sampling.repetition_penalty,
        "max_tokens": sampling.max_tokens or DEFAULT_TOKENS,
        "stop": list(sampling.stop) or None,
        "seed": None if settings.greedy else one.call.draw_seed(one.key),
    }
    return SamplingParams(**{name: value for name, value in fields.items() if value is not None})


def _answer(one: _Prepared, output: Any, seconds: float) -> Answer:
    said = output.outputs[0]
    known: dict[str, Any] = {
        "prompt_tokens": len(output.prompt_token_ids),
        "completion_tokens": len(said.token_ids),
        "seconds": seconds,
        "image_size": one.size,
    }
    if said.finish_reason not in _FINISHED:
        return Answer.failure(f"vLLM ended the answer with {said.finish_reason!r}", **known)
    return Answer(text=one.call.settings.prefill + said.text, finish_reason=said.finish_reason, **known)
