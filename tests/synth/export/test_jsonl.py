from __future__ import annotations

import hashlib
from pathlib import Path

from lpt_core import ImagePart, PreferencePair, SFTExample
from lpt_synth.export import CardFacts, export


def test_records_are_whole_and_point_to_the_images_beside_them(
    sets: Path, tmp_path: Path, facts: CardFacts
) -> None:
    out = tmp_path / "out"
    export("jsonl", sets, out, facts)
    for name, record in (("sft.jsonl", SFTExample), ("pairs.jsonl", PreferencePair)):
        before, after = (
            [record.model_validate_json(line) for line in (folder / name).read_bytes().splitlines()]
            for folder in (sets, out)
        )
        assert [r.id for r in before] == [r.id for r in after]
        for old, new in zip(before, after, strict=True):
            images = [p.image for m in new.prompt for p in m.content if isinstance(p, ImagePart)]
            assert images == [new.image]
            assert hashlib.sha256((out / new.image.path).read_bytes()).hexdigest() == old.image.sha256
            assert [m.text for m in new.prompt] == [m.text for m in old.prompt]
            kept = {"image", "prompt"}
            assert new.model_dump(exclude=kept) == old.model_dump(exclude=kept)
