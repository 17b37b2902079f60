"""A run through real lmms-eval whose rows are lost is made again from its journal, with no model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from lpt_eval.benchmarks import load
from lpt_eval.conformance.of_run import count_run
from lpt_eval.folder import RunFolder
from lpt_eval.journal import Answer, Journal
from lpt_eval.presets import preset
from lpt_eval.records import ModelIdentity
from lpt_eval.rescoring import rescore
from lpt_synth.lab.world import World, write_held_out

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Four questions in two orders, two samples each, of a model that answers by the number of the call."""
    from lpt_eval.harness import Asked
    from lpt_eval.models.recording import Kept, Keyed, RecordingModel
    from lpt_eval.run import run

    class Played(RecordingModel):
        @property
        def identity(self) -> ModelIdentity:
            return ModelIdentity(kind="server", name="played", revision="1")

        def _ask(self, calls: Sequence[Keyed], missing: set[str], keep: Kept) -> None:
            for number, (key, call) in enumerate(calls):
                if key in missing:
                    text = f"<think>I look.</think> <answer>({'ABCD'[(number + call.place[2]) % 4]})</answer>"
                    keep([(key, Answer(text=text, finish_reason="stop", completion_tokens=9))])

    questions = tmp_path_factory.mktemp("lab")
    write_held_out(questions, World(split="test"), 2, per_scene=2)
    protocol = preset("released", "think", "mcq_file").model_copy(update={"n": 2})
    folder = RunFolder(tmp_path_factory.mktemp("run") / "run")
    with Journal(folder.journal) as journal:
        run(Played(journal=journal), [Asked(load(f"mcq_file={questions}"), protocol, 2)], folder)
    shutil.rmtree(questions)  # nothing below needs the pictures
    return folder


def test_the_journal_has_all_that_the_rows_had(run_folder: RunFolder, tmp_path: Path) -> None:
    rows = run_folder.rows("mcq_file")
    assert len(rows) == 16
    shutil.copytree(run_folder.path, tmp_path / "killed")
    killed = RunFolder(tmp_path / "killed")
    killed.write_rows("mcq_file", rows[:5])
    (told,) = rescore(killed.path)
    assert (told.recovered, told.missing, told.changes) == (11, 0, ())
    assert killed.rows("mcq_file") == rows


def test_the_authors_scorer_agrees_where_answers_are_plain_letters(run_folder: RunFolder) -> None:
    (counted,) = count_run(run_folder.path)
    assert (counted.scorer, counted.rows, counted.right) == ("authors", 16, counted.ours)
    assert counted.kinds == {}
