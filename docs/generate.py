"""Writes what of the reference is made from code: configuration, recipes, commands, the lab's student.

uv run python docs/generate.py            # write
uv run python docs/generate.py --check    # fail if a page is not current
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import types
import typing
from importlib import resources
from pathlib import Path

import architecture
import behaviours
import student
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from study import page as study

from lpt_core import Sampling
from lpt_eval import native, presets
from lpt_eval.cli import listing
from lpt_synth import config, endpoints
from lpt_train import config as train
from lpt_train import evaluate
from lpt_train.grpo import sections

REFERENCE = Path(__file__).parent / "reference"
SECTIONS: list[tuple[str, type[BaseModel]]] = [
    ("(top level)", config.RunConfig),
    ("source, kind: docci", config.DocciSource),
    ("source, kind: table", config.TableSource),
    ("source, kind: folder", config.FolderSource),
    ("source, kind: hub", config.HubSource),
    ("endpoints.asker, .thinker, .expander, .judge; engine: openai", config.OpenAIEndpoint),
    ("endpoints.*, engine: transformers", config.TransformersEndpoint),
    ("endpoints.*, engine: vllm", config.VLLMEndpoint),
    ("endpoints.*, engine: lab_teacher", config.LabTeacherEndpoint),
    ("endpoints.*, engine: ray", config.RayEndpoint),
    ("endpoints.*.resources", endpoints.RayResources),
    ("endpoints.*.batch", config.BatchSection),
    ("endpoints.*.price", config.Price),
    ("ask", config.AskConfig),
    ("think", config.ThinkConfig),
    ("think.pixels", config.PixelPolicy),
    ("expand", config.ExpandConfig),
    ("judge", config.JudgeConfig),
    ("select.sft", config.SFTMix),
    ("select.pairs", config.PairMix),
    ("select.pairs.*", config.PairQuota),
    ("*.sampling", Sampling),
]
TRAIN_SECTIONS: list[tuple[str, type[BaseModel]]] = [
    ("(top level)", train.TrainConfig),
    ("model", train.ModelConfig),
    ("model.lora", train.LoraSection),
    ("data", train.DataConfig),
    ("data.pixels", config.PixelPolicy),
    ("sft", train.SFTConfig),
    ("dpo", train.DPOConfig),
    ("grpo", train.GRPOConfig),
    ("grpo.rewards", sections.RewardSection),
    ("grpo.vllm", sections.VLLMSection),
    ("sft.evaluate, dpo.evaluate, grpo.evaluate", evaluate.EvaluateSection),
]
COMMANDS = (
    *("init", "run", "plan", "status", "report", "export", "demo", "lab-questions", "show-recipe"),
    *("merge", "slurm"),
)
TRAIN_COMMANDS = (
    *("sft", "dpo", "grpo", "lint", "preview", "estimate", "merge", "launch"),
    *("import-recipe", "show-recipe"),
)
EVAL_COMMANDS = ("run", "compare", "report", "rescore", "tasks", "conformance")


def pages() -> dict[str, str]:
    """Every generated page, by its file's name."""
    record = student.record()
    return {
        "configuration.md": configuration("Configuration", SECTIONS),
        "recipes.md": recipes("Recipes", "lpt_synth"),
        "commands.md": commands("lpt-synth", COMMANDS),
        "train-configuration.md": configuration("Configuration of a training", TRAIN_SECTIONS),
        "train-recipes.md": recipes("Recipes of lpt-train", "lpt_train"),
        "train-commands.md": commands("lpt-train", TRAIN_COMMANDS),
        "behaviours.md": behaviours.page(),
        "eval-commands.md": commands("lpt-eval", EVAL_COMMANDS),
        "eval-protocols.md": protocols(),
        "lab-student.md": student.page(record),
        "lab-student.svg": student.curve(record),
        "../explanation/architecture.svg": architecture.picture(),
        **{f"../explanation/{name}": text for name, text in study.pages(study.record()).items()},
    }


def configuration(title: str, sections: list[tuple[str, type[BaseModel]]]) -> str:
    """A table for each section of the configuration."""
    lines = [
        f"# {title}",
        "",
        "A YAML file; every section refuses fields that it does not know. What is not given comes from the",
        "recipe that `recipe:` names, and then from the defaults below. Relative paths are relative to the",
        "file. Made from the code.",
    ]
    for name, section in sections:
        summary = (section.__doc__ or "").strip().split("\n")[0]
        lines += ["", f"## {name}", "", summary, "", "| field | type | default | |", "|---|---|---|---|"]
        for field, info in section.model_fields.items():
            cells = (f"`{field}`", kind(info.annotation), default(info), info.description or "")
            lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def kind(annotation: object) -> str:
    """A type for people."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return kind(args[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(kind(arg) for arg in args))
    if origin is typing.Literal:
        return ", ".join(f"`{arg!r}`".replace("'", "") if arg.strip() else f"`{arg!r}`" for arg in args)
    if origin is tuple:
        return f"list of {kind(args[0])}"
    if annotation is types.NoneType:
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    if isinstance(annotation, type):
        known = {
            "str": "text",
            "int": "whole number",
            "float": "number",
            "bool": "true or false",
            "Path": "path",
        }
        return known.get(annotation.__name__, annotation.__name__)
    return "mapping" if origin is dict else str(annotation)


def default(info: FieldInfo) -> str:
    """A default value for people."""
    if info.is_required():
        return "*required*"
    value = info.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        given = value.model_dump(mode="json", exclude_defaults=True)
        return f"`{given}`" if given else "see below"
    if value is None:
        return "null"
    return f"`{value!r}`"


def recipes(title: str, package: str) -> str:
    """The recipes, whole."""
    lines = [f"# {title}", "", "What `recipe:` fills in, as it ships. Made from the files."]
    for file in sorted(resources.files(f"{package}.recipes").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            text = file.read_text(encoding="utf-8").rstrip()
            lines += ["", f"## {file.name.removesuffix('.yaml')}", "", "```yaml", text, "```"]
    return "\n".join(lines) + "\n"


def commands(program: str, verbs: tuple[str, ...]) -> str:
    """What ``--help`` says."""
    title = "Commands" if program == "lpt-synth" else f"Commands of {program}"
    lines = [f"# {title}", "", "Exit status: 0 done, 1 incomplete, 2 misuse. Made from `--help`."]
    for verb in verbs:
        command = [sys.executable, "-m", program.replace("-", "_"), verb, "--help"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env={"COLUMNS": "100"})
        lines += ["", f"## {program} {verb}", "", "```text", said.stdout.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def protocols() -> str:
    """Every protocol that ships, and its words."""
    lines = [
        "# Protocols",
        "",
        "A protocol is all that makes two numbers comparable: the words, how answers are drawn, how",
        "images are made smaller, and where an answer may stand. `--protocol` and `--form` choose one. Each",
        "row below is another protocol with another fingerprint, and `compare` refuses runs under unlike",
        "ones. Made from the code; `lpt-eval tasks NAME --protocol P --form F` shows the same of one task.",
        "",
        "The system prompts are LPT's own, which its training sets have. Of the authors' words those are",
        "kept that their paper and code add to each question: how to answer, and what precedes the options.",
        "",
        *(f"- `{name}`: {summary}." for name, summary in presets.NAMES.items()),
        *(f"- `{form}`: {summary}." for form, summary in presets.FORMS.items()),
        "",
        "| protocol | form | sampling | images | the answer is what stands |",
        "|---|---|---|---|---|",
    ]
    for name in presets.NAMES:
        for form in presets.FORMS:
            one = presets.preset(name, form, "vstar")
            images = "" if one.pixels is None else one.pixels.label
            cells = (f"`{name}`", f"`{form}`", listing.sampling(one), images, listing.READINGS[one.reading])
            lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "MMLU-Pro has no images, 2048 tokens in every protocol, and in its native form "
        f"the answer is what stands {listing.READINGS['phrase']}.",
        "",
        "## Words of the forms with tags",
    ]
    for name, form in itertools.product(presets.NAMES, ("think", "direct")):
        for benchmark, title in (("vstar", "images"), ("mmlu_pro", "MMLU-Pro")):
            one = presets.preset(name, form, benchmark)
            lines += ["", f"### {name}, {form}, {title}", "", *_words(one.system, one.template)]
    lines += ["", "## Native words", "", "Without a system prompt. MMLU-Pro's are without its five examples."]
    for benchmark, words in native.NATIVE.items():
        lines += ["", f"### {benchmark}", "", *_words(words.template)]
    return "\n".join(lines) + "\n"


def _words(*texts: str) -> list[str]:
    return ["```text", *"\n\n".join(texts).splitlines(), "```"]


def main() -> int:
    """Write the pages, or tell which are not current."""
    stale = [
        name
        for name, text in pages().items()
        if not (REFERENCE / name).is_file() or (REFERENCE / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        print(f"not current: {', '.join(stale)}; run `just generate`" if stale else "current")
        return 1 if stale else 0
    made = pages()
    for name in stale:
        (REFERENCE / name).write_text(made[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
