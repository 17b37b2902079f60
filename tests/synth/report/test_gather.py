from __future__ import annotations

import base64
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lpt_core import BEHAVIOURS, ImageRef
from lpt_synth.config import SelectConfig
from lpt_synth.report import gather
from lpt_synth.report.columns import pack
from lpt_synth.report.figures import Lengths
from lpt_synth.select.selection import select
from lpt_synth.types import CaptionTree

Trees = Callable[..., list[CaptionTree]]


def thoughts(trees: list[CaptionTree]) -> tuple[int, int]:
    shorts = [short for tree in trees for node in tree.mcqs for short in node.shorts]
    return len(shorts), sum(len(short.longs) for short in shorts)


def test_every_thought_is_counted_once_and_has_one_row(make_trees: Trees) -> None:
    trees = make_trees(captions=3)
    made = gather(trees)
    shorts, longs = thoughts(trees)
    assert {kind: fates.total() for kind, fates in made.figures.fates.items()} == {
        "short": shorts,
        "long": longs,
    }
    assert {len(column) for column in made.gallery.traces.values()} == {shorts + longs}
    assert made.gallery.traces["parent"].count(-1) == shorts


def test_yields_of_the_types_add_up_to_those_of_the_verdicts(make_trees: Trees) -> None:
    trees = make_trees(captions=3)
    total = gather(trees).figures.total()
    longs = [
        (short, long) for tree in trees for node in tree.mcqs for short in node.shorts for long in short.longs
    ]
    assert total.long_right == sum(long.trace.verdict.correct for _, long in longs)
    wrong = [
        long
        for short, long in longs
        if not short.trace.verdict.correct and long.trace.verdict.status == "found"
    ]
    assert (total.wrong_continued, total.turned_right) == (
        len(wrong),
        sum(long.trace.verdict.correct for long in wrong),
    )


def test_lengths_and_behaviours_are_those_of_usable_thoughts(make_trees: Trees) -> None:
    figures = gather(make_trees(captions=3)).figures
    usable = {kind: fates["right"] + fates["wrong"] for kind, fates in figures.fates.items()}
    assert figures.lengths["short"].words.total() == figures.behaviours["short"].thoughts == usable["short"]
    for which in ("added", "final"):
        assert figures.lengths[which].words.total() == figures.behaviours[which].thoughts == usable["long"]


def test_a_final_thought_shows_what_its_parts_show(make_trees: Trees) -> None:
    (tree,) = make_trees(captions=1, questions=1, shorts=1, longs=1)
    short = tree.mcqs[0].shorts[0]
    (long,) = short.longs
    segment = short.trace.segments[0].model_copy(update={"text": "Step 1: I look for the cat."})
    said = long.trace.segments[2].model_copy(update={"text": " let me double-check."})
    verdict = long.trace.verdict.model_copy(update={"status": "found", "option": 0, "correct": False})
    short.trace = short.trace.model_copy(update={"segments": (segment,)})
    long.trace = long.trace.model_copy(
        update={"segments": (segment, long.trace.segments[1], said), "verdict": verdict}
    )
    long.dropped = None
    shown = gather([tree]).figures.behaviours["final"].having
    assert shown == dict.fromkeys(BEHAVIOURS, 0) | {"subgoals": 1, "verification": 1}


def test_a_cue_shows_nothing_by_itself(make_trees: Trees) -> None:
    (tree,) = make_trees(captions=1, questions=1, shorts=1, longs=1)
    (long,) = tree.mcqs[0].shorts[0].longs
    first, cue, added = long.trace.segments
    cue = cue.model_copy(update={"text": ".\nLet's double-check the details."})
    verdict = long.trace.verdict.model_copy(update={"status": "found", "option": 0, "correct": False})
    long.dropped = None
    counts = []
    for said in (" it is red.", " it is red. I look again."):
        segments = (first, cue, added.model_copy(update={"text": said}))
        long.trace = long.trace.model_copy(update={"segments": segments, "verdict": verdict})
        counts.append(gather([tree]).figures.behaviours["added"].places["verification"])
    assert counts == [0, 1]


def test_examples_and_pairs_find_their_thoughts(make_trees: Trees) -> None:
    trees = make_trees(captions=4)
    selection = select(lambda: iter(trees), SelectConfig(), 0)
    sft, pairs = list(selection.sft()), list(selection.pairs())
    made = gather(trees, sft, pairs)
    assert sft
    assert pairs
    assert not made.strays
    assert made.sft == Counter(one.kind for one in sft)
    assert made.figures.total().pairs == len(made.gallery.pairs["kind"]) == len(pairs)
    ids = made.gallery.traces["id"]
    assert [ids[place] for place in made.gallery.pairs["chosen"]] == [
        one.chosen_trace_id[:12] for one in pairs
    ]


def test_sets_of_another_run_are_counted_as_strays(make_trees: Trees) -> None:
    trees = make_trees(captions=4)
    sft = list(select(lambda: iter(trees), SelectConfig(), 0).sft())
    assert gather(make_trees(seed=9), sft).strays == len(sft) > 0


def test_texts_come_back_from_their_pieces_in_the_order_of_the_rows(
    make_trees: Trees, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lpt_synth.report.columns._PIECE", 500)
    trees = make_trees(captions=6)
    gallery = gather(trees).gallery
    index = gallery.index()
    assert len(index["pieces"]) == len(gallery.pieces) > 2
    rows = [row for piece in gallery.pieces for row in unpacked(piece)["traces"]]
    said = [
        thought.trace.segments[-1].text
        for tree in trees
        for node in tree.mcqs
        for short in node.shorts
        for thought in (short, *short.longs)
    ]
    assert [row[0] if len(row) == 3 else row[1] for row in rows] == said
    starts = index["pieces"]
    sizes = [len(unpacked(piece)["traces"]) for piece in gallery.pieces]
    assert starts == [sum(sizes[:place]) for place in range(len(sizes))]


def unpacked(piece: bytes) -> dict[str, list[list[object]]]:
    return json.loads(gzip.decompress(base64.b64decode(piece)))


def test_nothing_at_all_is_no_error() -> None:
    made = gather([])
    assert made.gallery.index()["pieces"] == []
    assert made.figures.total().questions == 0


def test_a_lone_surrogate_is_packed() -> None:
    assert unpacked(pack(["a\ud800b"])) == ["a?b"]


def test_each_picture_is_there_once_and_what_is_too_much_is_counted(
    make_trees: Trees, tmp_path: Path
) -> None:
    trees: list[CaptionTree] = []
    for number in range(3):
        path = tmp_path / f"{number}.jpg"
        Image.effect_noise((700, 500), 90 + number).convert("RGB").save(path)
        image = ImageRef(path=str(path), sha256=f"{number:064x}", width=700, height=500)
        trees += make_trees(seed=number, captions=2, image=image)
    small = gather(trees).thumbnails
    assert (len(small.images), small.total, small.left_out) == (3, 3, 0)
    few = gather(trees, image_bytes=len(small.images[0]) + 10).thumbnails
    assert (len(few.images), few.left_out) == (1, 2)
    assert max(Image.open(io.BytesIO(small.images[0])).size) == 320


def test_a_picture_that_is_gone_or_broken_is_counted(make_trees: Trees, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno")
    image = ImageRef(path=str(broken), sha256="0" * 64, width=4, height=3)
    made = gather([*make_trees(captions=1), *make_trees(seed=1, captions=1, image=image)])
    assert (made.thumbnails.images, made.thumbnails.unreadable) == ([], 1)
    assert set(made.gallery.questions["image"]) == {-1}


def test_quantiles_are_lengths_that_occur() -> None:
    one = Lengths(Counter({1: 1, 5: 8, 100: 1}))
    assert [one.quantile(part) for part in (0.0, 0.1, 0.5, 0.9, 1.0)] == [1, 1, 5, 5, 100]
    assert Lengths().quantile(0.5) == 0
