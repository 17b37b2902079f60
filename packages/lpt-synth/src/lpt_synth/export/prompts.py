"""Prompts for reinforcement learning: what is asked, and what verifies the answer. No responses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lpt_synth.export.images import ImageFolder
from lpt_synth.export.jsonl import moved
from lpt_synth.export.records import PROMPTS_FILE, Contents, Format, prompt_examples

_NOTES = """\
`prompts.jsonl` has one `PromptExample` of lpt-core a line, `images/` has every image once, and the paths in \
the records are relative to this directory. `prompt` is the conversation that SFT examples and preference \
pairs of the same question have, message by message. `mcq` has the question with its gold option, \
`presentation` says in which order its options stand in the prompt: with both, \
`lpt_core.verify(response, mcq, presentation)` reads an answer and judges it. `lpt-train grpo` does. Every \
question of the run is here, whether or not any thought about it was right."""


def _write(sets: Path, folder: Path, images: ImageFolder) -> Contents:
    contents = Contents()
    with (folder / PROMPTS_FILE).open("w", encoding="utf-8", newline="\n") as file:
        for example in prompt_examples(sets):
            file.write(moved(example, images).model_dump_json() + "\n")
            contents.prompts[example.mcq.kind or "other"] += 1
    contents.images = images.extensions
    return contents


def _configs(contents: Contents) -> list[dict[str, Any]]:
    files = [{"split": "train", "path": PROMPTS_FILE}]
    return [{"config_name": "prompts", "data_files": files}] if contents.prompts else []


PROMPTS = Format("prompts for GRPO", _write, _configs, _NOTES)
