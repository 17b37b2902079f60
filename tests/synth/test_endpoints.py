"""Which engine a configuration chooses, and by what name and revision its model is known."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lpt_core import ConfigError
from lpt_synth import model_folder
from lpt_synth.config import LabTeacherEndpoint, OpenAIEndpoint, RunConfig, TransformersEndpoint
from lpt_synth.export import card_facts
from lpt_synth.flow import Flow
from lpt_synth.model_folder import folder_digest
from lpt_synth.settings import dump_config, parse_config

TEXT = """\
recipe: paper
source: {kind: table, captions: captions.jsonl}
endpoints:
  asker: {engine: lab_teacher, lapse: 0.5}
  thinker: {engine: transformers, model: models/student}
  expander: {base_url: "http://localhost:8000/v1", model: c}
"""


@pytest.fixture
def student(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "student"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights" * 100)
    return folder


def read(tmp_path: Path, text: str = TEXT) -> RunConfig:
    return parse_config(text, tmp_path / "c.yaml")


def test_one_line_chooses_the_engine_and_its_absence_is_http(tmp_path: Path, student: Path) -> None:
    ends = read(tmp_path).endpoints
    assert isinstance(ends.asker, LabTeacherEndpoint)
    assert isinstance(ends.thinker, TransformersEndpoint)
    assert isinstance(ends.expander, OpenAIEndpoint)
    assert ends.thinker.folder == student
    assert (ends.asker.lapse, ends.asker.malformed, ends.asker.model) == (0.5, 0.05, "lab-teacher-v1")


def test_what_a_recipe_says_of_a_model_is_not_said_of_another(tmp_path: Path, student: Path) -> None:
    ends = read(tmp_path).endpoints
    assert ends.thinker.licence is None  # the recipe's is that of Qwen2.5-VL
    assert ends.expander.licence is None
    same = TEXT.replace(", model: models/student", "").replace(", model: c", "")
    ends = read(tmp_path, same).endpoints
    assert (ends.thinker.model, ends.thinker.licence) == ("Qwen/Qwen2.5-VL-7B-Instruct", "Apache-2.0")
    assert ends.expander.licence == "MIT"


def test_a_dump_reads_as_the_same_from_anywhere(tmp_path: Path, student: Path) -> None:
    config = read(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    assert parse_config(dump_config(config), tmp_path / "elsewhere" / "d.yaml") == config


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("engine: transformers", "engine: vlm", r"c\.yaml:5: endpoints\.thinker\.engine: none of openai, tr"),
        ("engine: transformers", "engine: [x]", r"c\.yaml:5: endpoints\.thinker\.engine: none of"),
        ("models/student", "models/student, base_url: x", r"thinker\.base_url: there is no such field"),
        ("lapse: 0.5", "lapse: 1.5", r"c\.yaml:4: endpoints\.asker\.lapse: .*less than or equal to 1"),
        ("lapse: 0.5", "concurrency: 3", r"c\.yaml:4: endpoints\.asker\.concurrency: there is no such"),
        (
            "model: c}",
            "model: c, dtype: float32}",
            r"c\.yaml:6: endpoints\.expander\.dtype: there is no such",
        ),
        ("models/student", "models/student, dtype: int4", r"c\.yaml:5: endpoints\.thinker\.dtype"),
        ("models/student", "models/student, device: tpu", r"c\.yaml:5: endpoints\.thinker\.device"),
        ("models/student", "models/student, batch_size: 0", r"c\.yaml:5: endpoints\.thinker\.batch_size"),
        ("models/student", "./models/other", r"c\.yaml:5: endpoints\.thinker: model: there is no folder"),
        ("models/student", "models", r"c\.yaml:5: endpoints\.thinker: model: .* has no config\.json"),
        ("{engine: lab_teacher, lapse: 0.5}", "lab_teacher", r"c\.yaml:4: endpoints\.asker: "),
        ('"http://localhost:8000/v1"', "[x]", r"c\.yaml:6: endpoints\.expander\.base_url: .*not an http"),
        ('"http://localhost:8000/v1"', "{a: b}", r"c\.yaml:6: endpoints\.expander\.base_url: .*list of URLs"),
        ("model: c}", "model: c, batch: 5}", r"c\.yaml:6: endpoints\.expander\.batch: "),
        (
            "model: c}",
            "model: c, batch: {polls: 5}}",
            r"c\.yaml:6: endpoints\.expander\.batch\.polls: there is no such",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, student: Path, old: str, new: str, words: str
) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, TEXT.replace(old, new))
    assert re.search(words, str(caught.value)), str(caught.value)


def test_servers_and_batches_survive_a_dump(tmp_path: Path, student: Path) -> None:
    text = TEXT.replace('"http://localhost:8000/v1"', '["http://a:8000/v1", "http://b:8000/v1/"]')
    text = text.replace(
        "{engine: lab_teacher, lapse: 0.5}", '{base_url: "http://c/v1", model: a, batch: {poll_s: 9}}'
    )
    config = read(tmp_path, text)
    ends = parse_config(dump_config(config), tmp_path / "d.yaml").endpoints
    assert ends == config.endpoints
    assert isinstance(ends.expander, OpenAIEndpoint)
    assert isinstance(ends.asker, OpenAIEndpoint)
    assert ends.expander.urls == ("http://a:8000/v1", "http://b:8000/v1")
    assert ends.asker.batch is not None
    assert ends.asker.batch.poll_s == 9


def test_an_adapter_alone_is_no_model(tmp_path: Path, student: Path) -> None:
    (student / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="must be merged"):
        read(tmp_path)


def test_a_folder_is_known_by_its_name_and_by_what_it_holds(tmp_path: Path, student: Path) -> None:
    def identity(folder: Path) -> tuple[str, str | None, str]:
        model = TransformersEndpoint(engine="transformers", model=str(folder)).identity
        return model.name, model.revision, model.engine

    first = identity(student)
    assert first[0] == "student"
    assert first[2] == "transformers"
    elsewhere = tmp_path / "copy" / "student"
    shutil.copytree(student, elsewhere)
    (elsewhere / "README.md").write_text("no part of the model")
    (elsewhere / "optimizer.pt").write_text("nor this")
    assert identity(elsewhere) == first
    for name in ("config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja"):
        changed = tmp_path / name / "student"
        shutil.copytree(student, changed)
        before = (changed / name).read_bytes() if (changed / name).exists() else b"w"
        (changed / name).write_bytes(before[:-1] + b"!")
        assert identity(changed)[1] != first[1]


def test_a_run_s_copy_knows_the_model_when_its_folder_is_gone(tmp_path: Path, student: Path) -> None:
    config = read(tmp_path).pinned()
    assert config.endpoints.thinker.identity == read(tmp_path).endpoints.thinker.identity
    copy = dump_config(config)
    shutil.rmtree(student)
    again = parse_config(copy, tmp_path / "run.yaml")
    assert again.endpoints.thinker.identity == config.endpoints.thinker.identity
    assert Flow(again).plan == Flow(config).plan


def write_tensors(path: Path, names: list[str], size: int, changed: str = "") -> None:
    import json

    offsets = {n: {"dtype": "U8", "shape": [size], "data_offsets": [i * size, (i + 1) * size]}
               for i, n in enumerate(names)}  # fmt: skip
    header = json.dumps(offsets).encode()
    data = b"".join((b"y" if name == changed else b"x") * size for name in names)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


def test_of_large_weights_every_changed_tensor_is_seen(
    student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_folder, "_WHOLE", 1000)
    names, seen = [f"layer.{i}" for i in range(20)], set()
    for changed in ("", *names):
        write_tensors(student / "model.safetensors", names, 10_000, changed)
        seen.add(folder_digest(student))
        model_folder._digest.cache_clear()
    assert len(seen) == 21


@pytest.mark.parametrize("data", [b"\xff" * 2000, b"\x05\0\0\0\0\0\0\0[1,2]" + b"x" * 2000, b"q" * 2000])
def test_large_files_of_another_kind_have_a_digest_too(
    student: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(model_folder, "_WHOLE", 1000)
    (student / "model.safetensors").write_bytes(data)
    first = folder_digest(student)
    (student / "model.safetensors").write_bytes(data[:-1] + b"?")
    assert folder_digest(student) != first


def test_the_lab_teacher_s_settings_are_its_revision() -> None:
    def revision(**fields: object) -> str | None:
        return LabTeacherEndpoint.model_validate({"engine": "lab_teacher", **fields}).identity.revision

    made = {revision(), revision(seed=1), revision(lapse=0.1), revision(malformed=0), revision(breaks_off=1)}
    assert len(made) == 5
    assert revision(price={"input": 1, "output": 1}, licence="MIT") == revision()


def test_the_card_says_what_the_models_are(tmp_path: Path, student: Path) -> None:
    text = TEXT.replace("models/student", "models/student, licence: MIT")
    models = card_facts(read(tmp_path, text), source="x", prompts=[], funnel=[]).models
    assert [(m.role, m.name, m.licence) for m in models] == [
        ("asker", "lab-teacher-v1 (simulated teacher)", "Apache-2.0"),
        ("thinker", "student", "MIT"),
        ("expander", "c", None),
    ]
    assert models[1].revision == folder_digest(student)
