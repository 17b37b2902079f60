"""The public names, and what importing them costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import metadata

import lpt_core

PUBLIC = """
    BEHAVIOURS BEHAVIOURS_VERSION Behaviour Sign count_behaviours find_behaviours
    CHECKPOINT_FILE CheckpointRecord WeightDigests
    FINGERPRINT_VERSION LETTERS MAX_OPTIONS MCQ READER_VERSION SCHEMA_VERSION AnswerStatus AnswerStyle
    Caption Choice ConfigError DataError EndpointError ImagePart ImageRef LptError Message
    MissingExtraError OptionStyle PairKind ParsedAnswer ParsedOptions Part PixelPolicy PreferencePair
    Presentation
    Problem Prompt PromptExample Provenance Record ResponseSegment SFTExample SFTKind Sampling Segment
    SplitText StoreError TextPart Trace Verdict __version__ canonical_json check_options derived_int
    fingerprint json_schemas load_prompt load_prompt_file normal_text parse_answer parse_options
    parse_prompt prompt_names read_choice resized_size split_thought uniform verify
"""
HEAVY = ("torch", "numpy", "yaml", "aiohttp", "PIL", "rich", "typer", "transformers", "datasets", "pyarrow")


def test_the_public_names_are_the_ones_that_were_decided_on() -> None:
    assert sorted(lpt_core.__all__) == sorted(PUBLIC.split())


def test_every_public_name_is_there_and_the_list_is_in_order() -> None:
    assert all(hasattr(lpt_core, name) for name in lpt_core.__all__)
    assert len(lpt_core.__all__) == len(set(lpt_core.__all__))


def test_every_public_function_and_class_is_documented() -> None:
    named = {name: getattr(lpt_core, name) for name in lpt_core.__all__}
    written = {name for name, one in named.items() if inspect.isfunction(one) or inspect.isclass(one)}
    assert {name for name in written if not inspect.getdoc(named[name])} == set()
    assert len(written) > 40


def test_the_version_is_that_of_the_package() -> None:
    assert lpt_core.__version__ == metadata.version("lpt-core")


def test_importing_core_imports_nothing_heavy() -> None:
    code = f"import sys, lpt_core; print(*(name for name in {HEAVY} if name in sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []
