"""LPT's own records, unchanged but for the images' paths, with the images beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lpt_core import ImagePart, ImageRef, Message
from lpt_synth.export.images import ImageFolder
from lpt_synth.export.records import (
    PAIRS_FILE,
    SFT_FILE,
    Contents,
    Format,
    RecordT,
    preference_pairs,
    sft_examples,
)

_NOTES = """\
`sft.jsonl` has one `SFTExample` of lpt-core a line, `pairs.jsonl` one `PreferencePair`; `images/` has every \
image once, and the paths in the records are relative to this directory. Read a line with \
`SFTExample.model_validate_json(line)`; `lpt_core.json_schemas()` has the JSON Schema of both. `response`, \
`chosen` and `rejected` are in segments, and `loss` says which of them may bear (SFT) loss: a wrong first \
thought never does, nor does anything of a rejected response."""


def _write(sets: Path, folder: Path, images: ImageFolder) -> Contents:
    contents = Contents()
    with (folder / SFT_FILE).open("w", encoding="utf-8", newline="\n") as file:
        for example in sft_examples(sets):
            file.write(moved(example, images).model_dump_json() + "\n")
            contents.sft[example.kind] += 1
    with (folder / PAIRS_FILE).open("w", encoding="utf-8", newline="\n") as file:
        for pair in preference_pairs(sets):
            file.write(moved(pair, images).model_dump_json() + "\n")
            contents.pairs[pair.kind] += 1
    contents.images = images.extensions
    return contents


def moved(record: RecordT, images: ImageFolder) -> RecordT:
    """The record with its image where the export has it."""

    def there(image: ImageRef) -> ImageRef:
        return image.model_copy(update={"path": images.add(image)})

    def message(old: Message) -> Message:
        content = tuple(
            ImagePart(image=there(part.image)) if isinstance(part, ImagePart) else part
            for part in old.content
        )
        return old.model_copy(update={"content": content})

    return record.model_copy(
        update={"image": there(record.image), "prompt": tuple(map(message, record.prompt))}
    )


def _configs(contents: Contents) -> list[dict[str, Any]]:
    sets = (("sft", SFT_FILE, contents.sft), ("pairs", PAIRS_FILE, contents.pairs))
    return [
        {"config_name": name, "data_files": [{"split": "train", "path": file}]}
        for name, file, kinds in sets
        if kinds
    ]


JSONL = Format("LPT records", _write, _configs, _NOTES)
