"""For TRL and ``datasets``: JSON Lines beside one folder of images.

``datasets`` reads the directory with its image folder builder: the card's front matter names, per set,
the metadata file, whose ``file_names`` become the column ``images``. Rows refer to images by path, so that
each is stored once however many rows show it. TRL takes ``prompt`` and ``completion`` (or ``chosen`` and
``rejected``) as conversations with plain texts and puts the images before the first user's text itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lpt_core import PreferencePair, ResponseSegment, SFTExample
from lpt_synth.export.images import FOLDER, ImageFolder
from lpt_synth.export.records import (
    Contents,
    Format,
    dumps,
    message_rows,
    preference_pairs,
    response_text,
    sft_examples,
)

_NOTES = """\
`sft.jsonl` and `preference.jsonl` have one example a line; `images/` has every image once, named by the \
beginning of its SHA-256. `datasets` (4.0 or newer) loads both sets with the images decoded:

```python
from datasets import load_dataset

sft = load_dataset("path/to/this/directory", "sft", split="train")
preference = load_dataset("path/to/this/directory", "preference", split="train")
```

`prompt`, `completion`, `chosen` and `rejected` are conversations as TRL takes them, `images` the list of \
images that belong before the first user's text. `segments` (in `preference`: `chosen_segments` and \
`rejected_segments`) cut the response into pieces whose texts joined are the response; `loss` says which \
of them should bear loss. A wrong first thought never does. Stock TRL does not read `segments` and trains \
on the whole completion; a collator of your own, or lpt-train, can mask by them. In a pair, `loss` is \
about the SFT term that may be added to the preference loss: nothing of the rejected response bears it."""


def _write(sets: Path, folder: Path, images: ImageFolder) -> Contents:
    contents = Contents()
    with (folder / "sft.jsonl").open("wb") as file:
        for example in sft_examples(sets):
            file.write(dumps(_sft_row(example, images.add(example.image))) + b"\n")
            contents.sft[example.kind] += 1
    with (folder / "preference.jsonl").open("wb") as file:
        for pair in preference_pairs(sets):
            file.write(dumps(_pair_row(pair, images.add(pair.image))) + b"\n")
            contents.pairs[pair.kind] += 1
    contents.images = images.extensions
    return contents


def _sft_row(example: SFTExample, image: str) -> dict[str, Any]:
    return {
        "id": example.id,
        "kind": example.kind,
        "file_names": [image],
        "prompt": message_rows(example.prompt),
        "completion": _reply(example.response),
        "segments": _segments(example.response),
        "caption_id": example.caption_id,
        "mcq_id": example.mcq_id,
        "trace_id": example.trace_id,
    }


def _pair_row(pair: PreferencePair, image: str) -> dict[str, Any]:
    return {
        "id": pair.id,
        "kind": pair.kind,
        "file_names": [image],
        "prompt": message_rows(pair.prompt),
        "chosen": _reply(pair.chosen),
        "rejected": _reply(pair.rejected),
        "chosen_segments": _segments(pair.chosen),
        "rejected_segments": _segments(pair.rejected),
        "caption_id": pair.caption_id,
        "mcq_id": pair.mcq_id,
        "chosen_trace_id": pair.chosen_trace_id,
        "rejected_trace_id": pair.rejected_trace_id,
    }


def _reply(segments: tuple[ResponseSegment, ...]) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": response_text(segments)}]


def _segments(segments: tuple[ResponseSegment, ...]) -> list[dict[str, Any]]:
    return [{"kind": segment.kind, "text": segment.text, "loss": segment.loss} for segment in segments]


def _configs(contents: Contents) -> list[dict[str, Any]]:
    # `datasets` picks the builder by the commonest extension, and .jsonl wins a draw: where no extension
    # has two images, they are listed twice.
    images = [f"{FOLDER}/*"] * (1 if max(contents.images.values(), default=0) > 1 else 2)
    sets = (("sft", contents.sft), ("preference", contents.pairs))
    return [
        {
            "config_name": name,
            "data_files": [{"split": "train", "path": [f"{name}.jsonl", *images]}],
            "metadata_filenames": [f"{name}.jsonl"],
            "drop_labels": True,
        }
        for name, kinds in sets
        if kinds  # an empty file has no columns to load
    ]


TRL = Format("TRL", _write, _configs, _NOTES)
