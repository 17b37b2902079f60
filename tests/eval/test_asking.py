from __future__ import annotations

import pytest

from lpt_core import ConfigError, load_prompt
from lpt_eval.asking import prompt
from lpt_eval.presets import NAMES, preset


def test_the_words_are_those_of_the_training_sets(make_item) -> None:
    item = make_item()
    told = prompt(item, preset("lpt", "think", "mcq_file"))
    assert told.system == load_prompt("think_system").render()
    assert told.user == load_prompt("question").render(
        question=item.mcq.question,
        options=item.presentation.render_options(item.mcq),
        answer_style="letter_parens",
    )


def test_the_papers_words(make_item) -> None:
    told = prompt(make_item(), preset("paper", "direct", "vstar"))
    assert told.system.endswith("Format the answer with the letter of the correct option in parentheses.")
    assert told.user == (
        "Which colour has door 1?\nSelect from the following choices.\n"
        "(A) Red\n(B) Blue\n(C) Green\n(D) Yellow"
    )


def test_options_turn_with_the_shuffle(make_item) -> None:
    told = prompt(make_item(), preset("paper", "think", "vstar"), shuffle=1)
    assert "(A) Yellow\n(B) Red\n(C) Blue\n(D) Green" in told.user


def test_mmlu_pro_is_asked_by_subject_with_more_tokens_and_no_image(make_item) -> None:
    protocol = preset("paper", "think", "mmlu_pro")
    assert protocol.sampling.max_tokens == 2048
    assert protocol.pixels is None
    assert "question about law," in prompt(make_item(category="law"), protocol).system


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["think", "direct"])
def test_every_preset_of_the_forms_with_tags_renders(make_item, name, form) -> None:
    for benchmark in ("vstar", "mmlu_pro", "mcq_file"):
        told = prompt(make_item(category="law"), preset(name, form, benchmark))
        assert "<answer>" in told.system
        assert ("<think>" in told.system) == (form == "think")


def test_braces_of_a_question_stay_as_they_are(make_item) -> None:
    told = prompt(make_item("{{ 7 * 7 }}"), preset("paper", "think", "vstar"))
    assert "{{ 7 * 7 }}" in told.user


@pytest.mark.parametrize("template", ["{{ nothing }}", "{{ question", "{% for x in range(3) %}{% endfor %}"])
def test_a_template_that_fails_is_the_persons_to_mend(make_item, template) -> None:
    protocol = preset("lpt", "think", "mcq_file").model_copy(update={"template": template})
    with pytest.raises(ConfigError, match="template of the protocol"):
        prompt(make_item(), protocol)


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="no protocol"):
        preset("mine", "think", "vstar")
    with pytest.raises(ConfigError, match="no words of its own"):
        preset("paper", "native", "mcq_file")
    with pytest.raises(ConfigError, match="cannot be asked"):
        preset("paper", "aloud", "vstar")  # pyright: ignore[reportArgumentType] # as a person may
