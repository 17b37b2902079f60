from __future__ import annotations

from pathlib import Path

import pytest

from lpt_core import StoreError
from lpt_eval.journal import Answer, Journal, answer_key

SAID = Answer(text="<answer>(A)</answer>", finish_reason="stop", completion_tokens=4, image_size=(84, 84))


def test_answers_survive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "run" / "journal.sqlite"
    Journal(path).put([("a", SAID), ("b", SAID)])  # never closed, as in a process that was killed
    with Journal(path) as journal:
        assert journal.get("a") == SAID
        assert journal.get("c") is None
        assert len(journal) == 2


def test_a_failure_is_kept_and_asked_again(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.put([("a", Answer.failure("503"))])
        assert journal.get("a") is None
        assert len(journal) == 1
        journal.put([("a", SAID)])
        assert journal.get("a") == SAID


def test_a_failure_never_takes_the_place_of_an_answer(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.put([("a", SAID)])
        journal.put([("a", Answer.failure("503"))])
        assert journal.get("a") == SAID


def test_text_that_no_file_can_hold_is_kept(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.put([("a", Answer(text="half \ud83d", finish_reason="stop"))])
        answer = journal.get("a")
    assert answer is not None
    assert answer.text.startswith("half ")


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(StoreError, match="cannot be used"):
        Journal(path)


def test_a_key_depends_on_everything_in_the_request() -> None:
    request = {"messages": [["user", [["text", "Q"]]]], "sample": 0}
    assert answer_key(request) == answer_key(dict(reversed(request.items())))
    assert answer_key(request) != answer_key({**request, "sample": 1})
