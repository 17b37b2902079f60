"""lmms-eval's stock scorers: the functions of the version that is installed, made callable."""

# lmms-eval has no types; what goes in and out of it is typed here.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata, util
from pathlib import Path
from types import ModuleType
from typing import Any
from warnings import catch_warnings, simplefilter

from lpt_core import LETTERS, ConfigError
from lpt_eval.native import NATIVE

Menu = Sequence[str]
"""The texts of a question's options in the order shown."""

Letters = Callable[[Sequence[str], Sequence[Menu]], list[str]]
"""Gives the letters that a scorer reads in outputs, "" where it reads none."""

COVERED = frozenset(NATIVE)
"""The benchmarks that have a stock scorer."""

_TAGS = [["<think>", "</think>"], ["<analysis>", "</analysis>"]]
"""What lmms-eval's command line takes off an output before it is scored, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class StockScorer:
    """A scorer of lmms-eval's.

    Attributes:
        name: What to call it: the benchmark, and the filter where it has several.
        benchmark: Of which benchmark, by its name here.
        letters: Reads letters.
    """

    name: str
    benchmark: str
    letters: Letters

    def right(self, letter: str, gold: int) -> bool:
        """Whether a letter that it read counts as right.

        Args:
            letter: What ``letters`` gave.
            gold: The place of the right option as shown.
        """
        if self.benchmark == "mme_realworld_v":  # its aggregation looks for the one within the other
            return LETTERS[gold] in letter
        return letter == LETTERS[gold]


def version() -> str:
    """Of lmms-eval."""
    return metadata.version("lmms-eval")


def stripped(text: str) -> str:
    """An output as lmms-eval's command line gives it to a scorer."""
    return str(_module("lmms_eval.api.reasoning").strip_reasoning_tags(text, _TAGS))


@cache
def stock_scorers() -> tuple[StockScorer, ...]:
    """One for each of the paper's benchmarks, for MMLU-Pro one for each of two filters.

    Raises:
        ConfigError: lmms-eval is not installed, or another version than this was written for.
    """
    mmstar = _module("lmms_eval.tasks._task_utils.mcq_extract").extract_mcq_answer
    return (
        StockScorer("cv_bench", "cv_bench", _each(_task("cv_bench")._extract_answer_letter)),
        StockScorer("vstar", "vstar", _each(_task("vstar_bench").extract_answer_letter)),
        StockScorer("mmvp", "mmvp", _each(_task("mmvp")._extract_answer_letter)),
        StockScorer("mmstar", "mmstar_v", _each(lambda text: mmstar(text, choices=list("ABCD")))),
        StockScorer(
            "mme_realworld", "mme_realworld_v", _each(_task("mme_realworld").extract_characters_regex)
        ),
        StockScorer("mmlu_pro custom", "mmlu_pro", _filtered(_custom())),
        StockScorer("mmlu_pro flexible", "mmlu_pro", _filtered(_flexible())),
    )


def stock_prompt(benchmark: str, row: Mapping[str, Any]) -> str:
    """What lmms-eval's task tells a model about a row of a benchmark.

    Args:
        benchmark: Its name here.
        row: A row in its own schema.
    """
    if benchmark == "mmlu_pro":
        return str(_task("mmlu_pro").doc_to_text(row))
    folder, function = {
        "cv_bench": ("cv_bench", "cv_bench_doc_to_text"),
        "vstar": ("vstar_bench", "vstar_doc_to_text"),
        "mmvp": ("mmvp", "mmvp_doc_to_text"),
        "mmstar_v": ("mmstar", "mmstar_doc_to_text"),
        "mme_realworld_v": ("mme_realworld", "mme_realworld_doc_to_text"),
    }[benchmark]
    return str(getattr(_task(folder), function)(row, _words(folder)))


def _words(folder: str) -> dict[str, str]:
    """The words before and after a question that the task's YAML has."""
    name = "mme_realworld.yaml" if folder == "mme_realworld" else "_default_template_yaml"
    text = (_root() / "tasks" / folder / name).read_text(encoding="utf-8")
    block = text.partition("  default:\n")[2]
    found: dict[str, str] = {}
    for line in block.splitlines()[:2]:
        key, _, value = line.strip().partition(": ")
        found[key] = json.loads(value.partition('" #')[0] + '"' if '" #' in value else value)
    return found


def _each(read: Callable[[str], str | None]) -> Letters:
    """A function of one output, for many."""
    return lambda texts, _: [str(read(text) or "") for text in texts]


def _filtered(made: Any) -> Letters:
    """A filter of lmms-eval's, called once: each call of one of them takes a tenth of a second."""

    def letters(texts: Sequence[str], menus: Sequence[Menu]) -> list[str]:
        found = made.apply([[text] for text in texts], [{"options": list(menu)} for menu in menus])
        return [_plain(one[0]) for one in found]

    return letters


def _custom() -> Any:
    return _module("lmms_eval.filters.extraction").RegexFilter(r"answer is \(?([ABCDEFGHIJ])\)?")


def _flexible() -> Any:
    return _task("mmlu_pro").MultiChoiceRegexFilter(
        regex_pattern=r"(\([A-Z]\))", group_select=-1, ignore_case=True, ignore_punctuation=True
    )


def _plain(found: str) -> str:
    """As the metric compares it: without punctuation. What is no letter matches none."""
    bare = found.strip("().")
    return bare if len(bare) == 1 else ""


def _task(folder: str) -> ModuleType:
    return _module(f"lmms_eval.tasks.{folder}.utils", needs=("lmms_eval.filters.extraction",))


@cache
def _module(name: str, needs: tuple[str, ...] = ()) -> ModuleType:
    """A module of lmms-eval's by its file alone: by its name, it would bring torch and seconds of import.

    Args:
        name: The module's name.
        needs: Modules that it imports by their names, to be found there while it is loaded.
    """
    spec = util.spec_from_file_location(name, _root().parent / f"{name.replace('.', '/')}.py")
    if spec is None or spec.loader is None:
        raise ConfigError(f"this lmms-eval has no {name}.", "install lmms-eval 0.7.3")
    module = util.module_from_spec(spec)
    lent = {needed: _module(needed) for needed in needs if needed not in sys.modules}
    sys.modules.update(lent)
    try:
        with catch_warnings():
            simplefilter("ignore")  # theirs: a text with an escape that Python does not know
            spec.loader.exec_module(module)
    except FileNotFoundError as error:
        raise ConfigError(f"this lmms-eval has no {name}.", "install lmms-eval 0.7.3") from error
    finally:
        for needed in lent:
            del sys.modules[needed]
    return module


@cache
def _root() -> Path:
    spec = util.find_spec("lmms_eval")
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise ConfigError("lmms-eval is not installed.", "pip install lpt-eval")
    return Path(places[0])
