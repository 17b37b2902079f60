from __future__ import annotations

from importlib.util import find_spec

import pytest

from lpt_core import ConfigError, MissingExtraError
from lpt_eval.models import options
from lpt_eval.models.options import Local, Server, Vllm, engine_arguments, reached


def test_a_model_is_in_transformers_unless_said_otherwise() -> None:
    assert reached("m") == Local("m")
    assert reached("m", engine="transformers", batch_size=3, dtype="float16") == Local(
        "m", batch_size=3, dtype="float16"
    )
    assert reached("m", server="http://a/v1", concurrency=2) == Server("m", "http://a/v1", concurrency=2)


def test_a_model_in_vllm_gets_the_options_that_are_vllms(monkeypatch) -> None:
    monkeypatch.setattr(options, "find_spec", lambda name: name)
    texts = ("tensor-parallel-size=2", "enforce_eager=true", "quantization=fp8")
    way = reached("m", engine="vllm", engine_args=texts)
    assert isinstance(way, Vllm)
    assert way.batch_size == 256
    assert way.engine == {"tensor_parallel_size": 2, "enforce_eager": True, "quantization": "fp8"}


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_the_extra_is_named_where_vllm_is_not_installed() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'lpt-eval\[vllm\]'"):
        reached("m", engine="vllm")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"server": "http://a/v1", "engine": "vllm"}, "give one"),
        ({"engine_args": ["a=1"]}, "--engine vllm"),
        ({"server": "http://a/v1", "engine_args": ["a=1"]}, "--engine vllm"),
    ],
)
def test_options_that_contradict_each_other_are_refused(given: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        reached("m", **given)


@pytest.mark.parametrize("text", ["max_model_len", "=3", "a b=3", "model=x", "batch-size=3"])
def test_an_argument_for_vllm_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--engine-arg"):
        engine_arguments([text])
