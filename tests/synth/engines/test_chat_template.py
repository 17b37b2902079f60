from __future__ import annotations

import json
from pathlib import Path

import pytest

from lpt_core import ConfigError, Message
from lpt_synth.engines.chat_template import load_chat_template

CHAT = (
    Message.of("system", "Be brief."),
    Message.of("user", "A <b> & {{ x }}?"),
)
TALK = (*CHAT, Message.of("assistant", "<think>t</think>No."), Message.of("user", "Why?"))
PREFILL = "<think> I see. Wait,"


def test_chatml():
    assert load_chat_template("chatml").render(TALK, PREFILL) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nA <b> & {{ x }}?<|im_end|>\n"
        "<|im_start|>assistant\n<think>t</think>No.<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n"
        "<|im_start|>assistant\n<think> I see. Wait,"
    )


def test_deepseek_r1_forgets_the_thoughts_of_earlier_turns():
    template = load_chat_template("deepseek-r1")
    assert template.render(TALK, PREFILL) == (
        "<｜begin▁of▁sentence｜>Be brief."
        "<｜User｜>A <b> & {{ x }}?"
        "<｜Assistant｜>No.<｜end▁of▁sentence｜>"
        "<｜User｜>Why?"
        "<｜Assistant｜><think> I see. Wait,"
    )
    assert template.bos == "<｜begin▁of▁sentence｜>"


NEWER_R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<U>' + m['content'] }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<A><think>\\n' }}{% endif %}"
)


def model_folder(tmp_path: Path, template: object, **more: object) -> Path:
    config = {"chat_template": template, "bos_token": "<s>", "eos_token": {"content": "</s>"}, **more}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return tmp_path


def test_a_thought_that_the_template_opens_itself_is_not_opened_twice(tmp_path):
    template = load_chat_template(str(model_folder(tmp_path, NEWER_R1)))
    assert template.render(CHAT[1:], PREFILL) == "<s><U>A <b> & {{ x }}?<A><think> I see. Wait,"
    assert template.render(CHAT[1:], "plain").endswith("<A><think>\nplain")


ECHO = "{{ bos_token }}|{{ eos_token }}|{{ messages[-1].content }}"


def test_a_model_s_folder_its_file_and_a_jinja_file_beside_it_all_serve(tmp_path):
    folder = model_folder(tmp_path, ECHO)
    for name in (folder, folder / "tokenizer_config.json"):
        assert load_chat_template(str(name)).render(CHAT, "") == "<s>|</s>|A <b> & {{ x }}?"
    (folder / "chat_template.jinja").write_text("jinja " + ECHO, encoding="utf-8")
    for name in (folder, folder / "chat_template.jinja"):
        assert load_chat_template(str(name)).render(CHAT, "").startswith("jinja <s>|</s>")
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "x.jinja").write_text(ECHO, encoding="utf-8")
    assert load_chat_template(str(alone / "x.jinja")).render(CHAT, "p") == "||A <b> & {{ x }}?p"


def test_of_several_templates_the_default_is_taken(tmp_path):
    several = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "yes "}, "odd"]
    assert load_chat_template(str(model_folder(tmp_path, several))).render(CHAT, "p") == "yes p"


def test_templates_have_what_transformers_gives_them(tmp_path):
    source = (
        "{%- for m in messages %}{% if loop.first %}{% continue %}{% endif %}"
        "{% generation %}{{ {'a': '<é>'} | tojson }}{{ [1] | tojson(indent=1) }}{% endgeneration %}"
        "{%- endfor %}{{ strftime_now('%Y') | length }}{{ tools is none }}{{ enable_thinking }}"
    )
    template = load_chat_template(str(model_folder(tmp_path, source)))
    assert template.render(CHAT, "", {"enable_thinking": False}) == '{"a": "<é>"}[\n 1\n]4TrueFalse'


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{% if %}", "is no Jinja template"),
        ("{% nonsense %}", "is no Jinja template"),
    ],
)
def test_a_source_that_is_no_template_is_refused_when_it_is_read(tmp_path, source, why):
    with pytest.raises(ConfigError, match=why):
        load_chat_template(str(model_folder(tmp_path, source)))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[9].content.x }}", "fails"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ messages.append(1) }}", "fails"),
        ("{{ ''.__class__.__mro__ }}", "fails"),
    ],
)
def test_a_template_that_fails_says_so_and_can_reach_nothing(tmp_path, source, why):
    template = load_chat_template(str(model_folder(tmp_path, source)))
    with pytest.raises(ConfigError, match=why):
        template.render(CHAT, "")


def test_what_cannot_be_read_is_told(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "tokenizer_config.json").write_text("{", encoding="utf-8")
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "tokenizer_config.json").write_text("[]", encoding="utf-8")
    (tmp_path / "binary.jinja").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "none").mkdir()
    (tmp_path / "empty").mkdir()
    model_folder(tmp_path / "empty", None)
    for name, why in (
        ("chatlm", "cannot be read.*\n.*chatml, deepseek-r1"),
        (str(tmp_path / "broken"), "not JSON"),
        (str(tmp_path / "list"), "not a JSON object"),
        (str(tmp_path / "binary.jinja"), "cannot be read"),
        (str(tmp_path / "none"), "cannot be read"),
        (str(tmp_path / "empty"), "has no chat_template"),
    ):
        with pytest.raises(ConfigError, match=why):
            load_chat_template(name)
