"""One pass over a run, and what a report takes from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lpt_core import PreferencePair, SFTExample
from lpt_synth.report.columns import Gallery
from lpt_synth.report.figures import Figures
from lpt_synth.report.thumbnails import Thumbnails
from lpt_synth.types import CaptionTree, MCQNode

IMAGE_BYTES = 16_000_000
"""What all thumbnails of a report may take, unless told otherwise."""


@dataclass(slots=True)
class Gathered:
    """What a pass over a run leaves: counts, and texts that are compressed already.

    Attributes:
        tally: As ``lpt_synth status`` counts, without what the source's reader adds.
        incomplete: Captions of which something is missing.
        strays: Examples and pairs of the sets whose thoughts are not in the run.
    """

    figures: Figures
    gallery: Gallery
    thumbnails: Thumbnails
    tally: Counter[str] = field(default_factory=Counter[str])
    sft: Counter[str] = field(default_factory=Counter[str])
    pairs: Counter[str] = field(default_factory=Counter[str])
    captions: int = 0
    incomplete: int = 0
    strays: int = 0


def gather(
    trees: Iterable[CaptionTree],
    sft: Iterable[SFTExample] = (),
    pairs: Iterable[PreferencePair] = (),
    *,
    image_bytes: int = IMAGE_BYTES,
) -> Gathered:
    """Go through a run once. One caption is in memory at a time; what stays of it is small.

    Args:
        trees: The captions with all that was made of them.
        sft: The SFT examples that were selected.
        pairs: The preference pairs that were.
        image_bytes: What all thumbnails may take together.
    """
    made = Gathered(Figures(), Gallery(), Thumbnails(image_bytes))
    for tree in trees:
        made.captions += 1
        made.incomplete += not tree.complete
        made.tally.update(tree.tally)
        made.gallery.begin_caption()
        image = made.thumbnails.add(tree.caption.image) if tree.mcqs else -1
        for node in tree.mcqs:
            _add(made, tree, node, image)
    for example in sft:
        kind = made.gallery.use(example.trace_id, example.kind)
        made.sft[example.kind] += 1
        if kind is None:
            made.strays += 1
        else:
            made.figures.add_example(kind)
    for pair in pairs:
        kind = made.gallery.add_pair(pair.kind, pair.chosen_trace_id, pair.rejected_trace_id)
        made.pairs[pair.kind] += 1
        if kind is None:
            made.strays += 1
        else:
            made.figures.add_pair(kind)
    return made


def _add(made: Gathered, tree: CaptionTree, node: MCQNode, image: int) -> None:
    figures, gallery = made.figures, made.gallery
    figures.add_question(node)
    question = gallery.add_question(tree, node, image)
    for short in node.shorts:
        before = figures.add_short(node, short)
        place = gallery.add_short(question, short, before)
        for long in short.longs:
            gallery.add_long(question, place, long, figures.add_long(node, short, long, before))
