"""The protocols that ship, by what makes each of them itself."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from lpt_core import LETTERS, PixelPolicy
from lpt_eval.asking import prompt
from lpt_eval.benchmarks.schemas import Question, cv_bench, mme_realworld_v, mmlu_pro, mmstar_v, mmvp, vstar
from lpt_eval.conformance.stock import stock_prompt
from lpt_eval.native import NATIVE
from lpt_eval.presets import FORMS, NAMES, preset

HINT = "Answer with the option's letter from the given choices directly."
ROWS = {
    "cv_bench": (
        cv_bench,
        {
            "idx": 1, "type": "2D", "task": "Count", "source": "ADE20K", "answer": "(B)", "image": None,
            "question": "How many doors are in the image?", "choices": ["3", "2", "1", "0"],
            "prompt": "How many doors are in the image? Select from the following choices.\n"
            "(A) 3\n(B) 2\n(C) 1\n(D) 0",
        },
    ),
    "vstar": (
        vstar,
        {
            "question_id": 1, "category": "direct_attributes", "label": "A", "image": None,
            "text": "What is the color of the glove?\n(A) rose\n(B) white\n(C) black\n(D) yellow",
        },
    ),
    "mmvp": (
        mmvp,
        {
            "Index": 1, "Question": "Are the butterfly's wings closer to being open or closed?",
            "Options": "(a) Open (b) Closed", "Correct Answer": "(a)", "image": None,
        },
    ),
    "mmstar_v": (
        mmstar_v,
        {
            "index": 0, "answer": "A", "category": "coarse perception", "l2_category": "image emotion",
            "question": "Which option suits the image?\nOptions: A: joy, B: calm, C: fear, D: awe",
            "image": None,
        },
    ),
    "mme_realworld_v": (
        mme_realworld_v,
        {
            "index": "1", "category": "Perception/Monitoring", "l2-category": "vehicle/color", "answer": "B",
            "question": "What is the color of the car?", "bytes": "",
            "multi-choice options": ["(A) red", "(B) blue", "(C) grey", "(D) white", "(E) not in the image"],
        },
    ),
    "mmlu_pro": (
        mmlu_pro,
        {
            "question_id": 1, "category": "law", "answer": "B", "cot_content": "",
            "question": "What is due?", "options": ["Nothing", "Half", "All"],
        },
    ),
}  # fmt: skip


def item_of(make_item, benchmark: str):
    read, row = ROWS[benchmark]
    question = read(row)
    assert isinstance(question, Question)
    item = make_item(
        benchmark=benchmark, options=question.options, gold=question.gold, category=question.category
    )
    mcq = item.mcq.model_copy(update={"question": question.text})
    return item.model_copy(update={"mcq": mcq}), row


@pytest.mark.parametrize("benchmark", sorted(NATIVE))
def test_native_words_are_those_of_lmms_evals_stock_task(make_item, benchmark) -> None:
    item, row = item_of(make_item, benchmark)
    told = prompt(item, preset("paper", "native", benchmark))
    stock = stock_prompt(benchmark, row).strip()
    assert told.system == ""
    if benchmark == "mmlu_pro":
        assert "questions (with answers) about law. Think step by step" in told.user
        assert told.user.endswith(stock)
    else:
        assert told.user == stock


def test_native_words_follow_the_order_shown(make_item) -> None:
    told = prompt(item_of(make_item, "mmvp")[0], preset("paper", "native", "mmvp"), shuffle=1)
    assert "\nA. Closed\nB. Open\n" in told.user


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("benchmark", sorted(NATIVE))
def test_every_form_is_another_protocol(name, benchmark) -> None:
    protocols = [preset(name, form, benchmark) for form in FORMS]
    assert len({protocol.fingerprint for protocol in protocols}) == len(FORMS)
    assert [protocol.form for protocol in protocols] == list(FORMS)
    settings = {
        protocol.model_copy(update=dict(system="", template="", form="think", reading="tail")).fingerprint
        for protocol in protocols
    }
    assert len(settings) == 1, "forms differ in words and in where the answer stands, in nothing else"


@pytest.mark.parametrize("benchmark", sorted(NATIVE))
def test_every_name_is_another_protocol(benchmark) -> None:
    """Except on MMLU-Pro, of which LPT has no training set and asks as the paper does."""
    for form, (one, other) in product(FORMS, combinations(NAMES, 2)):
        same = preset(one, form, benchmark).fingerprint == preset(other, form, benchmark).fingerprint
        assert same == (benchmark == "mmlu_pro" and {one, other} == {"lpt", "paper"})


def test_what_the_authors_code_did(make_item) -> None:
    protocol = preset("released", "think", "vstar")
    drawn = protocol.sampling
    assert (drawn.temperature, drawn.top_p, drawn.top_k, drawn.repetition_penalty) == (0.7, 0.8, -1, 1.05)
    assert drawn.max_tokens == 2048
    assert protocol.pixels == PixelPolicy(rule="area", limit=512)
    assert (protocol.reading, protocol.seed, protocol.n) == ("tail", 0, 1)
    told = prompt(make_item(), protocol)
    assert told.system.endswith(
        "</answer> Please provide your answer as (X), where X is the letter of the correct option."
    )
    assert told.user.startswith(
        "Which colour has door 1? Select the correct answer from the following options:\n(A) Red\n"
    )


def test_released_tells_mmlu_pro_how_to_answer_once() -> None:
    system = preset("released", "direct", "mmlu_pro").system
    assert "Please provide your answer as (X)" in system
    assert "Format the answer" not in system


@pytest.mark.parametrize("name", ["lpt", "paper"])
@pytest.mark.parametrize(("benchmark", "tokens"), [("vstar", 1024), ("mmlu_pro", 2048)])
def test_greedy_is_greedy_on_every_server(name, benchmark, tokens) -> None:
    """vLLM fills fields that are left open from the model's own defaults, which penalise repetition."""
    drawn = preset(name, "think", benchmark).sampling
    assert (drawn.temperature, drawn.top_p, drawn.top_k, drawn.repetition_penalty) == (0.0, 1.0, -1, 1.0)
    assert drawn.max_tokens == tokens


def test_letters_suffice_for_every_benchmark(make_item) -> None:
    item = make_item(options=[f"word {letter}" for letter in LETTERS])
    assert "\nJ. word J\n" in prompt(item, preset("lpt", "native", "mmlu_pro")).user
