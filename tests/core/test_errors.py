"""Errors and problems speak to a person, are caught without knowing LPT, and cross processes whole."""

from __future__ import annotations

import pickle

import pytest

from lpt_core import (
    ConfigError,
    DataError,
    EndpointError,
    LptError,
    MissingExtraError,
    Problem,
    StoreError,
)

STANDARD: list[tuple[type[LptError], type[Exception]]] = [
    (ConfigError, ValueError),
    (DataError, ValueError),
    (StoreError, OSError),
    (EndpointError, ConnectionError),
    (MissingExtraError, ImportError),
]
every_error = pytest.mark.parametrize(("kind", "standard"), STANDARD, ids=[k.__name__ for k, _ in STANDARD])


@every_error
def test_an_error_is_ours_and_also_the_standard_one(kind: type[LptError], standard: type[Exception]) -> None:
    assert issubclass(kind, LptError)
    assert issubclass(kind, standard)


@every_error
def test_an_error_says_what_is_wrong_and_then_what_to_do(
    kind: type[LptError], standard: type[Exception]
) -> None:
    error = kind("x.yaml, line 3: no such key.", "remove it")
    assert str(error) == "x.yaml, line 3: no such key.\n  -> remove it"
    assert str(kind("All is said.")) == "All is said."
    assert (error.message, error.remedy) == ("x.yaml, line 3: no such key.", "remove it")


@every_error
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling(kind: type[LptError], standard: type[Exception], protocol: int) -> None:
    error = kind("What is wrong.", "what to do")
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is kind
    assert (again.message, again.remedy, str(again)) == (error.message, error.remedy, str(error))


def test_every_error_of_lpt_is_in_the_table() -> None:
    assert {kind for kind, _ in STANDARD} == set(LptError.__subclasses__())


def test_a_missing_extra_names_the_line_that_installs_it() -> None:
    error = MissingExtraError.of("lpt-synth", "parquet", "Reading Parquet files")
    assert str(error) == (
        "Reading Parquet files needs an optional dependency.\n  -> pip install 'lpt-synth[parquet]'"
    )


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("image_missing", "there is no a.jpg"), "there is no a.jpg"),
        (Problem("image_missing", "there is no a.jpg", "x.jsonl:3"), "x.jsonl:3: there is no a.jpg"),
        (Problem("k", "it is empty", "x:3", "remove the row"), "x:3: it is empty (remove the row)"),
        (Problem("k", "it is empty", remedy="remove it"), "it is empty (remove it)"),
    ],
)
def test_a_problem_says_where_what_and_what_to_do(problem: Problem, text: str) -> None:
    assert str(problem) == text
