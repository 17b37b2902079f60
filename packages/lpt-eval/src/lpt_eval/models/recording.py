"""The part of a model that all kinds share: calls in, answers kept as they arrive."""

# lmms-eval has no types; what goes in and out of it is typed here.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUntypedBaseClass=false, reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from lpt_core import ConfigError
from lpt_eval.journal import Answer, Journal
from lpt_eval.lmms import instance, model
from lpt_eval.models.calls import Call, Picture, Place, Settings, opened, turns_of
from lpt_eval.records import ModelIdentity

Keyed = tuple[str, Call]
Kept = Callable[[Sequence[tuple[str, Answer]]], None]
"""Is given answers with their keys, when they have arrived."""


class RecordingModel(model.lmms):
    """An lmms-eval model that journals its answers and remembers them whole.

    Args:
        journal: Where answers are kept; a temporary one without it.
        note: Is told what a person should know.
    """

    is_simple = False

    def __init__(self, journal: Journal | None = None, note: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self.answers: dict[Place, Answer] = {}
        if journal is None:
            journal = Journal(Path(mkdtemp(prefix="lpt-eval-")) / "journal.sqlite")
        self._journal = journal
        self._note = note
        self._digests: dict[Picture, str] = {}

    @property
    @abstractmethod
    def identity(self) -> ModelIdentity:
        """Which weights answer."""

    @abstractmethod
    def _ask(self, calls: Sequence[Keyed], missing: set[str], keep: Kept) -> None:
        """Answer the calls whose keys are missing, and hand each answer over when it has arrived.

        Args:
            calls: All calls, also those that the journal answers.
            missing: The keys of those to be answered.
            keep: Takes answers.
        """

    def generate_until(self, requests: list[Any]) -> list[Any]:
        """lmms-eval's interface: an answer for each request, in their order.

        A request that occurs several times (``repeats``) gets as many samples, numbered by occurrence.

        Raises:
            LptError: The model cannot be used, or the journal not be written.
        """
        calls = self._calls(requests)
        identity = self.identity.model_dump(mode="json", include={"kind", "name", "revision", "weights"})
        keyed = [(call.key(identity, self._digests_of(call)), call) for call in calls]
        known = {key: answer for key in {key for key, _ in keyed} if (answer := self._journal.get(key))}
        missing = {key for key, _ in keyed} - known.keys()
        if known:
            self.note(f"{len(known):,} of {len(known) + len(missing):,} answers are in the journal")

        def keep(arrived: Sequence[tuple[str, Answer]]) -> None:
            fresh = [(key, answer) for key, answer in arrived if key not in known]
            self._journal.put(fresh)
            known.update(fresh)

        if missing:
            self._ask(keyed, missing, keep)
        for key, call in keyed:
            self.answers[call.place] = known[key]
        return [_result(known[key]) for key, _ in keyed]

    def generate_until_multi_round(self, requests: list[Any]) -> list[Any]:
        """Not for these models.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("conversations of several rounds are not asked of this model.")

    def loglikelihood(self, requests: list[Any]) -> list[Any]:
        """Not for these models.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("this model gives answers and no likelihoods: choose tasks that generate.")

    def note(self, line: str) -> None:
        """Tell a line to whoever listens."""
        if self._note is not None:
            self._note(line)

    def _calls(self, requests: Sequence[Any]) -> list[Call]:
        seen: Counter[tuple[str, int]] = Counter()
        calls: list[Call] = []
        for request in requests:
            _, doc_to_messages, kwargs, doc_id, task, split = request.args
            messages = doc_to_messages(self.task_dict[task][split][doc_id])
            place = (str(task), int(doc_id))
            calls.append(Call((*place, seen[place]), turns_of(messages), Settings.from_kwargs(kwargs)))
            seen[place] += 1
        return calls

    def _digests_of(self, call: Call) -> dict[Picture, str]:
        for picture in call.images:
            if picture not in self._digests:
                self._digests[picture] = opened(picture).digest
        return self._digests


def _result(answer: Answer) -> Any:
    counts = instance.TokenCounts(input_tokens=answer.prompt_tokens, output_tokens=answer.completion_tokens)
    return instance.GenerationResult(answer.text, counts)
