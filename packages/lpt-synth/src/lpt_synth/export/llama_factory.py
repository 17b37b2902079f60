"""For LLaMA-Factory: ShareGPT JSON with ``dataset_info.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lpt_core import Message, PreferencePair, SFTExample
from lpt_synth.export.images import ImageFolder
from lpt_synth.export.records import (
    Contents,
    Format,
    dumps,
    preference_pairs,
    response_text,
    sft_examples,
)

_PLACEHOLDER = re.compile(r"<(image|video|audio)>")
_TAGS = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}
_COLUMNS = {"messages": "conversations", "system": "system", "images": "images"}

_NOTES = """\
`sft.json` and `preference.json` are in ShareGPT form, described in `dataset_info.json` as `lpt_sft` and \
`lpt_preference`. Train with `dataset_dir` set to this directory; image paths are relative to it. `<image>` \
stands before the question, once per image. Where a text itself held `<image>`, `<video>` or `<audio>`, \
which LLaMA-Factory would count as media, it reads `[image]`, `[video]` or `[audio]` here.

**LLaMA-Factory trains on wrong first thoughts.** In examples of the kind `wrong_right` (and on the chosen \
side of `turned_over_wrong`) the response begins with a thought that led to a wrong answer, which should \
bear no loss. LLaMA-Factory cannot leave out a part of a turn and drops columns that it does not know; the \
authors' own recipe had the same effect. To train without it, use the TRL export, whose `segments` say \
what bears loss, or leave `wrong_right` out of `select.sft.kinds`."""


class _Neutral:
    """Makes media placeholders in texts harmless, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, text: str) -> str:
        text, found = _PLACEHOLDER.subn(r"[\1]", text)
        self.count += found
        return text


def _write(sets: Path, folder: Path, images: ImageFolder) -> Contents:
    contents, neutral = Contents(), _Neutral()

    def sft_rows() -> Iterator[dict[str, Any]]:
        for example in sft_examples(sets):
            contents.sft[example.kind] += 1
            yield _sft_row(example, images.add(example.image), neutral)

    def pair_rows() -> Iterator[dict[str, Any]]:
        for pair in preference_pairs(sets):
            contents.pairs[pair.kind] += 1
            yield _pair_row(pair, images.add(pair.image), neutral)

    _write_array(folder / "sft.json", sft_rows())
    _write_array(folder / "preference.json", pair_rows())
    info = json.dumps(_dataset_info(contents), indent=2) + "\n"
    (folder / "dataset_info.json").write_text(info, encoding="utf-8", newline="\n")
    contents.images, contents.neutralised = images.extensions, neutral.count
    return contents


def _write_array(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """A JSON array, a row a line, with never more than one row in memory."""
    with path.open("wb") as file:
        before = b"[\n"
        for row in rows:
            file.write(before + dumps(row))
            before = b",\n"
        file.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _sft_row(example: SFTExample, image: str, neutral: _Neutral) -> dict[str, Any]:
    row = _head(example.id, example.kind, example.prompt, image, neutral)
    row["conversations"].append(_turn("gpt", neutral(response_text(example.response))))
    return row


def _pair_row(pair: PreferencePair, image: str, neutral: _Neutral) -> dict[str, Any]:
    row = _head(pair.id, pair.kind, pair.prompt, image, neutral)
    row["chosen"] = _turn("gpt", neutral(response_text(pair.chosen)))
    row["rejected"] = _turn("gpt", neutral(response_text(pair.rejected)))
    return row


def _head(
    ident: str, kind: str, prompt: tuple[Message, ...], image: str, neutral: _Neutral
) -> dict[str, Any]:
    system = "\n".join(neutral(message.text) for message in prompt if message.role == "system")
    human = "\n".join(neutral(message.text) for message in prompt if message.role == "user")
    return {
        "id": ident,
        "kind": kind,
        "system": system,
        "images": [image],
        "conversations": [_turn("human", f"<image>{human}")],
    }


def _turn(who: str, text: str) -> dict[str, str]:
    return {"from": who, "value": text}


def _dataset_info(contents: Contents) -> dict[str, Any]:
    info: dict[str, Any] = {}
    if contents.sft:
        info["lpt_sft"] = {
            "file_name": "sft.json",
            "formatting": "sharegpt",
            "columns": _COLUMNS,
            "tags": _TAGS,
        }
    if contents.pairs:
        info["lpt_preference"] = {
            "file_name": "preference.json",
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {**_COLUMNS, "chosen": "chosen", "rejected": "rejected"},
            "tags": _TAGS,
        }
    return info


def _configs(contents: Contents) -> list[dict[str, Any]]:
    sets = (("sft", contents.sft), ("preference", contents.pairs))
    return [
        {"config_name": name, "data_files": [{"split": "train", "path": f"{name}.json"}]}
        for name, kinds in sets
        if kinds
    ]


LLAMA_FACTORY = Format("LLaMA-Factory", _write, _configs, _NOTES)
