"""The two evaluations that are compared: lmms-eval as it is, and ``lpt-eval run``.

Importing this imports lmms-eval, which takes longer than all that is timed.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import eval_questions
from datasets import Dataset, DatasetDict, Features, Value, disable_progress_bars
from datasets import Image as ImageColumn
from eval_questions import GOLD, OPTIONS, SYSTEM, TOKENS
from lmms_eval.models import get_model
from lmms_eval.tasks import TaskManager
from loguru import logger

from lpt_eval.cli.running import Changes, run_command
from lpt_eval.folder import RunFolder
from lpt_eval.lmms import evaluator, task
from lpt_eval.models.options import Server

LETTERS = "ABCD"
MENU = "\n".join(f"({letter}) {option}" for letter, option in zip(LETTERS, OPTIONS, strict=True))

disable_progress_bars()
get_model("openai")
logger.disable("lmms_eval")
logging.getLogger("httpx").setLevel(logging.WARNING)
os.environ.setdefault("OPENAI_API_KEY", "none")


# ---- lmms-eval -----------------------------------------------------------------------------------------


def write_stock(folder: Path, n: int) -> None:
    """The questions as a dataset on disk."""
    rows = [
        {
            "question": f"{eval_questions.text(number)}\n{MENU}",
            "answer": LETTERS[GOLD],
            "image": {"bytes": eval_questions.picture(number)},
        }
        for number in range(n)
    ]
    features = Features({"question": Value("string"), "answer": Value("string"), "image": ImageColumn()})
    DatasetDict({"test": Dataset.from_list(rows, features=features)}).save_to_disk(str(folder))


def ask_stock(data: Path, url: str, concurrency: int) -> Any:
    """Its evaluator and its model ``openai``, with a task as anybody writes it; samples stay in memory."""
    stock = task.ConfigurableMessagesTask(
        config={
            "task": "stock",
            "dataset_path": str(data),
            "dataset_kwargs": {"load_from_disk": True},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "question",
            "doc_to_target": "answer",
            "doc_to_visual": lambda doc: [doc["image"]],
            "doc_to_messages": _messages,
            "process_results": _results,
            "generation_kwargs": {"max_new_tokens": TOKENS, "temperature": 0, "until": []},
            "metric_list": [{"metric": "correct", "aggregation": "mean", "higher_is_better": True}],
        }
    )
    with redirect_stderr(io.StringIO()):  # progress bars
        return evaluator.simple_evaluate(
            model="openai",
            model_args=f"model_version=stub,base_url={url},num_concurrent={concurrency}",
            tasks=[stock],
            task_manager=TaskManager("ERROR", include_defaults=False),
            bootstrap_iters=0,
            log_samples=True,
        )


def kept_stock(result: Any) -> int:
    """How many answers are there, and right."""
    return sum(sample["correct"] == 1.0 for sample in result["samples"]["stock"])


def _messages(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    user = [{"type": "image", "url": doc["image"].convert("RGB")}, {"type": "text", "text": doc["question"]}]
    system = {"role": "system", "content": [{"type": "text", "text": SYSTEM}]}
    return [system, {"role": "user", "content": user}]


def _results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    return {"correct": float(f"<answer>({doc['answer']})</answer>" in results[0])}


# ---- lpt-eval ------------------------------------------------------------------------------------------


def ask_lpt(data: Path, url: str, concurrency: int) -> RunFolder:
    """The command as a person calls it: reads the questions, asks, journals, scores, writes its folder."""
    out = data.with_name("run")
    with redirect_stdout(io.StringIO()):
        run_command(
            Server("stub", url, concurrency=concurrency),
            [f"mcq_file={data}"],
            Changes(pixels="none", max_tokens=TOKENS),
            out,
            max_failures=0.0,
            quiet=True,
        )
    return RunFolder(out)


def kept_lpt(folder: RunFolder) -> int:
    """How many answers are there, and right."""
    return sum(row.outcome == "correct" for row in folder.rows("mcq_file"))


SIDES = {
    "lmms-eval": (write_stock, ask_stock, kept_stock),
    "lpt-eval": (eval_questions.write, ask_lpt, kept_lpt),
}
"""By distribution: what writes the questions, what is timed, and what counts the answers."""
