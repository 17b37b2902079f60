"""Benchmarks as tasks of lmms-eval, run by its evaluator.

Its own tasks, cache, logs and statistics are not used: by measurement, none of them fits models that think.
"""

# lmms-eval and datasets have no types; what goes in and out of them is typed here.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from lpt_eval.asking import prompt
from lpt_eval.benchmarks.data import Benchmark
from lpt_eval.models.calls import Settings
from lpt_eval.protocol import Protocol
from lpt_eval.records import Item, Response
from lpt_eval.scoring import score

if TYPE_CHECKING:
    from lpt_eval.models.recording import RecordingModel

PREFIX = "lpt_"
"""Of our tasks' names in lmms-eval: where a name is taken, its own task would win."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A benchmark and how it is asked.

    Attributes:
        benchmark: The benchmark.
        protocol: How.
        shuffles: Over how many orders of the options.
    """

    benchmark: Benchmark
    protocol: Protocol
    shuffles: int = 1

    @property
    def documents(self) -> list[tuple[Item, int]]:
        """lmms-eval's documents: each item in each order of its options."""
        return [(item, turn) for item in self.benchmark.items for turn in range(self.shuffles)]

    def document(self, number: int) -> tuple[Item, int]:
        """One of ``documents``, without making all of them."""
        return self.benchmark.items[number // self.shuffles], number % self.shuffles

    def messages(self, number: int) -> list[dict[str, Any]]:
        """What is told in a document, as lmms-eval has messages.

        Raises:
            ConfigError: A template of the protocol cannot be rendered.
        """
        item, turn = self.document(number)
        told, image = prompt(item, self.protocol, turn), self.benchmark.image(item)
        user: list[dict[str, Any]] = [{"type": "text", "text": told.user}]
        if image is not None:
            user.insert(0, {"type": "image", "url": str(image)})
        messages: list[dict[str, Any]] = [{"role": "user", "content": user}]
        if told.system:
            system = [{"type": "text", "text": told.system}]
            messages.insert(0, {"role": "system", "content": system})
        return messages


def evaluate(model: RecordingModel, asked: Sequence[Asked]) -> dict[str, list[Response]]:
    """Ask a model all that is asked, through lmms-eval.

    Args:
        model: The model.
        asked: Benchmarks, each once.

    Returns:
        The responses by the benchmark's name.

    Raises:
        LptError: The model cannot be used, or its journal not be written.
    """
    from lpt_eval.lmms import evaluator, quiet

    with quiet(), TemporaryDirectory(prefix="lpt-eval-") as folder:
        tasks = {f"{PREFIX}{one.benchmark.name}": _task(one, Path(folder)) for one in asked}
        model.task_dict = {name: task.dataset for name, task in tasks.items()}
        evaluator.evaluate(
            lm=model,
            task_dict=tasks,
            bootstrap_iters=0,
            log_samples=False,
            process_docs_parallel=1,
        )
    return {one.benchmark.name: _responses(model, one) for one in asked}


def _task(asked: Asked, folder: Path) -> Any:
    """The benchmark as a task of lmms-eval's."""
    from datasets import Dataset, DatasetDict

    from lpt_eval.lmms import task

    rows = [
        {
            "number": number,
            "item": item.id,
            "question": item.mcq.question,
            "target": item.mcq.gold_text,
        }
        for number, (item, _) in enumerate(asked.documents)
    ]
    name = f"{PREFIX}{asked.benchmark.name}"
    DatasetDict({"test": Dataset.from_list(rows)}).save_to_disk(str(folder / name))
    protocol = asked.protocol
    settings = Settings(protocol.sampling, protocol.seed, protocol.pixels, protocol.prefill)

    def doc_to_messages(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
        return asked.messages(int(doc["number"]))

    def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
        item, turn = asked.document(int(doc["number"]))
        said = Response(item_id=item.id, shuffle=turn, text=results[0], finish_reason="stop")
        row = score(item, said, protocol)
        return {"correct": float(row.outcome == "correct"), "answered": float(row.option is not None)}

    return task.ConfigurableMessagesTask(
        config={
            "task": name,
            "dataset_path": str(folder / name),
            "dataset_kwargs": {"load_from_disk": True},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "question",
            "doc_to_target": "target",
            "doc_to_messages": doc_to_messages,
            "process_results": process_results,
            "generation_kwargs": settings.to_kwargs(),
            "repeats": protocol.n,
            "num_fewshot": 0,
            "reasoning_tags": "none",
            "metric_list": [
                {"metric": metric, "aggregation": "mean", "higher_is_better": True}
                for metric in ("correct", "answered")
            ],
        }
    )


def _responses(model: RecordingModel, asked: Asked) -> list[Response]:
    name, found = f"{PREFIX}{asked.benchmark.name}", list[Response]()
    for number, (item, turn) in enumerate(asked.documents):
        for sample in range(asked.protocol.n):
            answer = model.answers[name, number, sample]
            found.append(Response(item_id=item.id, shuffle=turn, sample=sample, **answer.model_dump()))
    return found
