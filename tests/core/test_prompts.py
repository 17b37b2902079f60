"""Prompts: pinned by fingerprint, rendered strictly and literally, and refused with a clear message."""

# ruff: noqa: E501  (renderings stand here as they are)

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from lpt_core import ConfigError, load_prompt, load_prompt_file, parse_prompt, prompt_names

VALUES = {
    "caption": "A red door.\nIt is open.",
    "question": "Which colour has the door?",
    "options": "(A) Red\n(B) Blue",
    "answer_style": "letter_parens",
    "request": "THE REQUEST",
    "prefix": "It is red. Wait,",
    "gold": "(A) Red",
    "reflection": "The door is red.",
    "subject": "physics",
    "text": "1. Which colour? A) Red B) Blue. A",
}


def rendered(name: str, **changed: str) -> str:
    stem, version = name.split(".v")
    prompt = load_prompt(stem, int(version))
    return prompt.render(**{key: (VALUES | changed)[key] for key in prompt.variables})


def test_an_edited_prompt_becomes_another_version() -> None:
    marks = {f"{name}.v{version}": load_prompt(name, version).fingerprint for name, version in prompt_names()}
    # A prompt is part of what was paid for: leave a published file as it is and write name.v2.md beside it.
    assert marks == snapshot(
        {
            "ask.v1": "c4d0fd293a9f00f82ee7ded39a16373e",
            "ask_json.v1": "8248b6e57daafbb03cc5314d71913988",
            "direct_system.v1": "59d0e50d3022693d4d3c6e8618321da3",
            "expand.v1": "6b46b0a20055a28070c6935acaa220f6",
            "expand_instruct.v1": "e7845b67537df5a8d02126d44eae1aab",
            "judge.v1": "1d3d33aada40f28c1717d6414a5e0833",
            "mmlu_pro_direct.v1": "602f2a00d585b1044f0e55ea63678d50",
            "mmlu_pro_think.v1": "d95397a8e8d33e1a7db050cda6277f62",
            "question.v1": "d3886065579e6a486aab8951b4c05f65",
            "reformat.v1": "480a101e03acc0585f326355eb4c4257",
            "think_system.v1": "adf3506cc60367f2e33a55ba3dfedaca",
        }
    )


def test_what_each_prompt_says() -> None:
    said = {f"{name}.v{version}": rendered(f"{name}.v{version}") for name, version in prompt_names()}
    assert said == snapshot(
        {
            "ask.v1": """\
You write questions that test how closely somebody looks at a picture. You cannot see the picture; below stands a detailed description of it, which you may trust. Whoever answers will see the picture and not the description.

Write multiple-choice questions that

- can only be answered by looking closely: texture, small or half-hidden things, colour and its gradients, light and shadow, number, pose, and how things stand to each other in space;
- together cover everything the description tells, each asking about another part of it;
- ask about what is visible, never about what was written, and cannot be answered from general knowledge or from the wording of the question;
- have exactly four options, (A) to (D), of which the description makes exactly one right; the other three are plausible in this scene and of the same kind and length;
- have a short right answer, repeated word for word from its option.

Name for each the capability that it tests: Recognition, Spatial, Counting, Causal, Analogical, or Other.

Write nothing but the numbered questions, each on one line in exactly this form:

1. <question> … </question> <choices> (A) … (B) … (C) … (D) … </choices> <answer> … </answer> <type> … </type>

The description:

A red door.
It is open.\
""",
            "ask_json.v1": """\
You write questions that test how closely somebody looks at a picture. You cannot see the picture; below stands a detailed description of it, which you may trust. Whoever answers will see the picture and not the description.

Write multiple-choice questions that

- can only be answered by looking closely: texture, small or half-hidden things, colour and its gradients, light and shadow, number, pose, and how things stand to each other in space;
- together cover everything the description tells, each asking about another part of it;
- ask about what is visible, never about what was written, and cannot be answered from general knowledge or from the wording of the question;
- have exactly four options, of which the description makes exactly one right; the other three are plausible in this scene and of the same kind and length;
- have a short right answer, repeated word for word from its option.

Name for each the capability that it tests: Recognition, Spatial, Counting, Causal, Analogical, or Other.

Answer with one JSON object: {"questions": [{"question": …, "choices": [four texts, without letters], "answer": the text of the right choice, "type": …}, …]}

The description:

A red door.
It is open.\
""",
            "direct_system.v1": "A conversation between a user and an assistant. The user asks a question about an image, and the assistant answers it at once, without an explanation. The answer stands between <answer> and </answer>, like this: <answer> the answer </answer>",
            "expand.v1": """\
Somebody looks at an image and answers a question about it. Be that person: picture the scene that the following text tells you about as if it were before your eyes, and reason from what is seen there, from where things are and how they stand to each other. Never mention the text or that you were told anything about the image; speak only of what you see.

The scene:
A red door.
It is open.

The question:
Which colour has the door?
Select from the following choices.
(A) Red
(B) Blue
Format the answer with the letter of the correct option in parentheses, like (X).

Think between <think> and </think>. If your first impression may be wrong, look again before you decide. Then give the answer once, between <answer> and </answer>.\
""",
            "expand_instruct.v1": """\
THE REQUEST

The thought has already begun. Go on from exactly where it stops: do not repeat any of it, do not start again, and do not greet. Write only what follows, close the thought with </think>, and give the answer between <answer> and </answer>. The thought so far:

It is red. Wait,\
""",
            "judge.v1": """\
A question was put about an image, and somebody wrote a reflection on it. Decide whether the reflection itself, by what it says it sees and concludes, supports the reference answer. A reflection that argues for another answer, that contradicts itself at the end, or that names the reference answer without any support from what is seen, does not.

The question:
Which colour has the door?
(A) Red
(B) Blue

The reference answer:
(A) Red

The reflection:
The door is red.

Say in one sentence why. Then end with exactly <verdict>yes</verdict> or <verdict>no</verdict>.\
""",
            "mmlu_pro_direct.v1": "A conversation between a user and an assistant. The user asks a multiple-choice question about physics, and the assistant answers it at once, without an explanation. The answer stands between <answer> and </answer>, like this: <answer> the answer </answer> Format the answer with the letter of the correct option in parentheses.",
            "mmlu_pro_think.v1": "A conversation between a user and an assistant. The user asks a multiple-choice question about physics, and the assistant answers it. The assistant first thinks about the question step by step and then gives the answer. The thought stands between <think> and </think>, the answer between <answer> and </answer>, like this: <think> the thought </think> <answer> the answer </answer> Format the answer with the letter of the correct option in parentheses.",
            "question.v1": """\
Which colour has the door?
Select from the following choices.
(A) Red
(B) Blue
Format the answer with the letter of the correct option in parentheses, like (X).\
""",
            "reformat.v1": """\
Below stand multiple-choice questions that are not in the form that a program expects. Bring them into this form and change nothing else: no word of a question, an option or an answer, and not their order. Leave out whatever is no question. If an answer is given as a letter, write the text of its option instead.

1. <question> … </question> <choices> (A) … (B) … (C) … (D) … </choices> <answer> … </answer> <type> … </type>

Write nothing but the numbered questions, each on one line.

The questions:

1. Which colour? A) Red B) Blue. A\
""",
            "think_system.v1": "A conversation between a user and an assistant. The user asks a question about an image, and the assistant answers it. The assistant first thinks about the question, looking at the image, and then gives the answer. The thought stands between <think> and </think>, the answer between <answer> and </answer>, like this: <think> the thought </think> <answer> the answer </answer>",
        }
    )


@pytest.mark.parametrize("name", ["question.v1", "expand.v1"])
@pytest.mark.parametrize(
    ("style", "wanted"),
    [
        ("letter_parens", "letter of the correct option in parentheses, like (X)."),
        ("letter_dot", "letter of the correct option and a full stop, like X."),
        ("text", "full text of the correct option."),
    ],
)
def test_a_question_says_how_it_is_to_be_answered(name: str, style: str, wanted: str) -> None:
    text = rendered(name, answer_style=style)
    assert text.count("Format the answer with the") == 1
    assert f"Format the answer with the {wanted}" in text


def test_every_prompt_is_named_as_its_file_is() -> None:
    for name, version in prompt_names():
        prompt = load_prompt(name, version)
        assert (prompt.name, prompt.version) == (name, version)
        assert prompt.label == f"{name}.v{version} ({prompt.fingerprint[:6]})"


# ---- rendering -------------------------------------------------------------------------------------


@pytest.mark.parametrize("caption", ["{{ 7 * 7 }}", "{% raw %}", "{# no #}", "<b>&amp;'\"", "{{ caption }}"])
def test_jinja_in_a_caption_is_rendered_literally(caption: str) -> None:
    assert rendered("ask.v1", caption=caption).endswith(f"The description:\n\n{caption}")


@given(st.text())
def test_any_text_is_rendered_whole(text: str) -> None:
    assert rendered("reformat.v1", text=f"<{text}>").endswith(f"<{text}>")


def test_variables_must_be_the_prompts_own_no_more_and_no_less() -> None:
    prompt = load_prompt("ask")
    with pytest.raises(ConfigError, match=r"ask\.v1 \(\w{6}\): missing variables: caption; unknown: none\."):
        prompt.render()
    with pytest.raises(ConfigError, match="missing variables: caption; unknown: Caption, x"):
        prompt.render(Caption="a", x="b")


HEADER = "---\nname: mine\nversion: 1\nvariables: x\n---\n"


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "unix.md").write_bytes((HEADER + "Say {{ x }}\nnow.").encode())
    (tmp_path / "windows.md").write_bytes(
        ("\ufeff" + HEADER + "Say {{ x }}\nnow.").replace("\n", "\r\n").encode()
    )
    unix, windows = (load_prompt_file(tmp_path / name) for name in ("unix.md", "windows.md"))
    assert unix == windows
    assert windows.render(x="it") == "Say it\nnow."
    assert parse_prompt((HEADER + "Say {{ x }}\nnow.").replace("\n", "\r\n"), "f") == unix


def test_any_edit_makes_another_fingerprint() -> None:
    marks = [
        parse_prompt(HEADER + text, "f").fingerprint for text in ("{{ x }}", "{{ x }}\n", " {{ x }}", "{{x}}")
    ]
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize(
    "body",
    [
        "{{ x / 0 }}",
        "{{ x.nowhere }}",
        "{{ x.__class__.__mro__ }}",
        "{{ x + 1 }}",
        "{{ x() }}",
        "{% include x %}",
        "{{ '%d' | format(x) }}",
    ],
)
def test_a_template_that_fails_says_which_it_is(body: str) -> None:
    with pytest.raises(ConfigError, match=r"prompt mine\.v1 \(\w{6}\) cannot be rendered: "):
        parse_prompt(HEADER + body, "mine.md").render(x="it")


# ---- files that are no prompts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with a header between two lines of '---'"),
        ("Just text {{ x }}", "begins with a header"),
        ("---\nname: mine\n", "begins with a header"),
        ("\n" + HEADER + "{{ x }}", "begins with a header"),
        ("---\nname: mine\nvariables: x\n---\n{{ x }}", "the header lacks version"),
        ("---\nversion: 1\n---\n", "the header lacks name, variables"),
        (
            "---\nname: mine\nversion: 1\nvariable: x\n---\n",
            "line 4: 'variable: x' is not one of name, version",
        ),
        ("---\nname: mine\nversion 1\nvariables:\n---\n", "line 3: 'version 1' is not one of"),
        (
            "---\nname: a\nname: b\nversion: 1\nvariables:\n---\n",
            "line 3: 'name: b' is not one of .*, once each",
        ),
        ("---\nname: mine\n\nversion: 1\nvariables:\n---\n", "line 3: '' is not one of"),
        ("---\nname:\nversion: 1\nvariables:\n---\n", "name is letters, digits and _, not ''"),
        ("---\nname: ../x\nversion: 1\nvariables:\n---\n", r"not '\.\./x'"),
        ("---\nname: a\nversion: one\nvariables:\n---\n", "version is a whole number from 1, not 'one'"),
        ("---\nname: a\nversion: ²\nvariables:\n---\n", "not '²'"),
        ("---\nname: a\nversion: 0\nvariables:\n---\n", "not '0'"),
        (f"---\nname: a\nversion: {'9' * 5000}\nvariables:\n---\n", "version is a whole number"),
        (HEADER + "no variable", r"declares the variables \['x'\], the text uses \[\]"),
        (HEADER + "{{ x }} {{ y }}", r"the text uses \['x', 'y'\]"),
        (HEADER + "{{ x }} {{ lipsum() }}", r"the text uses \['lipsum', 'x'\]"),
        (HEADER + "{{ x", "not a Jinja template: "),
        (HEADER + "{% if x %}", "not a Jinja template: .*end of template"),
        (HEADER + "{{ x | random }}", "not a Jinja template: No filter named 'random'"),
        (HEADER + "{{" + "(" * 5_000 + "x" + ")" * 5_000 + "}}", "not a Jinja template: "),
    ],
)
def test_a_file_that_is_no_prompt_says_where_and_why(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^mine\.md(, |: ).*{message}"):
        parse_prompt(text, "mine.md")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.md").write_bytes(HEADER.encode() + b"\xe9 {{ x }}")
    for name, reason in (("none.md", "No such file"), ("latin.md", "can't decode"), (".", "Is a directory")):
        with pytest.raises(ConfigError, match=f"cannot be read: .*{reason}"):
            load_prompt_file(tmp_path / name)


@pytest.mark.parametrize(("name", "version"), [("aks", 1), ("ask", 99), ("../prompts/ask", 1), ("", 1)])
def test_an_unknown_prompt_names_the_known_ones(name: str, version: int) -> None:
    with pytest.raises(ConfigError, match=r"there is no prompt .*\n  -> one of: ask\.v1, ask_json\.v1, "):
        load_prompt(name, version)


def test_a_prompt_crosses_the_border_of_a_process() -> None:
    prompt = load_prompt("expand_instruct")
    again = pickle.loads(pickle.dumps(prompt))
    assert again == prompt
    assert again.render(request="r", prefix="p") == prompt.render(request="r", prefix="p")
