"""The pictures of a report: bars and histograms without text; numbers stand beside them and in tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lpt_core import BEHAVIOURS
from lpt_synth.report.figures import WHICH, Figures, Lengths
from lpt_synth.report.html import Markup, bar, behind, joined, share, table, tag, text

WHICH_NAMES = {"short": "short thought", "added": "what was added", "final": "final thought"}
BEHAVIOUR_NAMES = {
    "verification": ("Verification", "checks what was said"),
    "backtracking": ("Backtracking", "gives up what was said"),
    "subgoals": ("Sub-goals", "splits the task, or announces a step"),
    "backward_chaining": ("Backward chaining", "from an answer to what would be seen"),
}
_REASONS = {
    "missing": "no answer",
    "ambiguous": "several answers",
    "off_menu": "an answer that was not offered",
    "truncated": "cut off",
    "duplicate": "said before",
    "banned_words": "banned words",
    "no_thought": "no thought",
    "tags_in_thought": "tags inside the thought",
    "not_continued": "did not go on from the thought",
    "empty_continuation": "nothing added",
    "option_count": "too few or too many options",
    "options_duplicate": "two options are the same",
    "gold_off_menu": "the answer is no option",
    "failed": "given up on",
    "absent": "not asked yet",
}


def reason(key: str) -> str:
    """What took something, for people."""
    return _REASONS.get(key, key.replace("_", " "))


# ---- the funnel ------------------------------------------------------------------------------------


def funnel(tally: Mapping[str, int], figures: Figures, taken: Mapping[str, int]) -> Markup:
    """The funnel: stage by stage what came in, what each filter took, what was left."""
    rejected = _ends(tally, "mcq.rejected.")
    blocks = [
        _block("Ask", "questions", tally.get("mcq.kept", 0) + rejected.total(), rejected, None),
        _thoughts(tally, figures, "Think", "short thoughts", "think", "short"),
        _thoughts(tally, figures, "Think harder", "continuations", "expand", "long"),
    ]
    usable = sum(figures.fates[kind][end] for kind in ("short", "long") for end in ("right", "wrong"))
    if taken:
        rows = joined(
            _row(name, count, [("kept", count)], max(usable, *taken.values()))
            for name, count in taken.items()
        )
        blocks.append(tag("div", _title("Select", f"from {usable:,} usable thoughts"), rows, class_="stage"))
    return tag("div", *blocks, class_="funnel")


def _thoughts(
    tally: Mapping[str, int], figures: Figures, title: str, what: str, stage: str, kind: str
) -> Markup:
    asked, answered = tally.get(f"{stage}.requested", 0), tally.get(f"{stage}.answered", 0)
    failed = tally.get(f"{stage}.failed", 0)
    fates = figures.fates[kind]
    lost = Counter({"absent": asked - answered - failed, "failed": failed})
    lost.update({name: count for name, count in fates.items() if name not in ("right", "wrong")})
    return _block(title, what, asked, lost, (fates["right"], fates["wrong"]))


def _block(title: str, what: str, asked: int, lost: Counter[str], ends: tuple[int, int] | None) -> Markup:
    """A stage: all that was asked for, one line for each reason of loss, and what is left."""
    left = asked - lost.total()
    rows = [_row(f"{what} asked for" if ends else f"{what} written", asked, [("all", asked)], asked)]
    above = asked
    for name, count in lost.most_common():
        if count > 0:
            above -= count
            rows.append(_row(reason(name), -count, [("none", above), ("lost", count)], asked, lost=True))
    if ends:
        rows.append(_row("usable", left, [("right", ends[0]), ("wrong", ends[1])], asked))
        right = f"{ends[0]:,} right ({share(ends[0], left)}), {ends[1]:,} wrong"
        rows.append(tag("p", tag("span", right), class_="below"))
    else:
        rows.append(_row("kept", left, [("kept", left)], asked))
    kept = f"{share(left, asked)} left" if asked else "nothing yet"
    return tag("div", _title(title, kept), *rows, class_="stage")


def _title(title: str, said: str) -> Markup:
    return tag("h3", title, tag("small", said))


def _row(
    name: str, count: int, parts: Sequence[tuple[str, float]], whole: float, *, lost: bool = False
) -> Markup:
    number = f"−{-count:,}" if count < 0 else f"{count:,}"
    return tag(
        "div",
        tag("span", name, class_="what"),
        bar(parts, whole),
        tag("span", number, class_="count"),
        class_="row took" if lost else "row",
    )


def _ends(tally: Mapping[str, int], stem: str) -> Counter[str]:
    return Counter({key.removeprefix(stem): n for key, n in tally.items() if key.startswith(stem)})


# ---- distributions ---------------------------------------------------------------------------------


def lengths(figures: Figures) -> Markup:
    """How long thoughts are: a histogram each, on one axis."""
    most = max((one.quantile(0.99) for one in figures.lengths.values()), default=0)
    if not most:
        return tag("p", "No thought can be used yet.")
    width = next(step for step in (1, 2, 5, 10, 20, 25, 50, 100, 250, 1000, 10**9) if most / step <= 48)
    bins = most // width + 1
    rows = joined(_histogram(which, figures.lengths[which], width, bins) for which in WHICH)
    axis = joined(tag("span", f"{round(width * bins * part / 4):,}") for part in range(5))
    summary = [
        (
            WHICH_NAMES[which],
            one.words.total(),
            one.mean,
            *(one.quantile(part) for part in (0.1, 0.5, 0.9)),
            max(one.words, default=0),
        )
        for which, one in figures.lengths.items()
    ]
    head = ("thoughts that can be used", "number", "mean", "10 %", "median", "90 %", "longest")
    return joined(
        [
            tag(
                "div",
                rows,
                tag("div", tag("span"), tag("div", axis, class_="ticks"), class_="axis"),
                class_="lengths",
            ),
            tag("p", "Words. The longest hundredth lies beyond the right edge; the line marks the median."),
            behind("The numbers", table(head, summary, "Lengths in words")),
        ]
    )


def _histogram(which: str, one: Lengths, width: int, bins: int) -> Markup:
    counts = Counter[int]()
    for length, number in one.words.items():
        counts[length // width] += number
    top = max((counts[place] for place in range(bins)), default=0) or 1
    bars = "".join(
        f'<rect x="{place + 0.06:.2f}" width="0.88" y="{100 - 100 * counts[place] / top:.1f}" '
        f'height="{100 * counts[place] / top:.1f}"/>'
        for place in range(bins)
        if counts[place]
    )
    median = one.quantile(0.5)
    at = (median + 0.5) / width
    mark = f'<line x1="{at:.2f}" x2="{at:.2f}" y1="0" y2="100"/>' if one.words else ""
    picture = Markup(
        f'<svg class="histogram {which}" viewBox="0 0 {bins} 100" preserveAspectRatio="none" '
        f'aria-hidden="true">{bars}{mark}</svg>'
    )
    name = tag("span", WHICH_NAMES[which], class_="what")
    return tag("div", name, picture, tag("span", f"median {median:,}", class_="count"), class_="row")


def passes(figures: Figures) -> Markup:
    """How hard the questions are for the thinker: its pass rates."""
    if not figures.passes:
        return tag("p", "No question has been thought about yet.")
    edges = ("none right", "up to ¼", "up to ½", "up to ¾", "more, not all", "all right")
    counts = Counter[int]()
    for (right, answered), number in figures.passes.items():
        counts[5 if right == answered else -(-4 * right // answered)] += number
    whole, most = counts.total(), max(counts.values())
    rows = [
        tag(
            "div",
            tag("span", name, class_="what"),
            bar([("right" if place else "wrong", counts[place])], most),
            tag("span", f"{counts[place]:,} ", tag("small", share(counts[place], whole)), class_="count"),
            class_="row",
        )
        for place, name in enumerate(edges)
    ]
    return tag("div", *rows, class_="rows")


def behaviours(figures: Figures) -> Markup:
    """Which share of thoughts shows each behaviour."""
    shown = figures.behaviours
    blocks = [
        tag(
            "div",
            tag("h3", BEHAVIOUR_NAMES[name][0], tag("small", BEHAVIOUR_NAMES[name][1])),
            *(
                tag(
                    "div",
                    tag("span", WHICH_NAMES[which], class_="what"),
                    bar([(which, shown[which].having[name])], shown[which].thoughts),
                    tag("span", share(shown[which].having[name], shown[which].thoughts), class_="count"),
                    class_="row",
                )
                for which in WHICH
            ),
            class_="stage",
        )
        for name in BEHAVIOURS
    ]
    rows = [
        (
            f"{BEHAVIOUR_NAMES[name][0]}, {WHICH_NAMES[which]}",
            shown[which].thoughts,
            shown[which].having[name],
            share(shown[which].having[name], shown[which].thoughts),
            f"{shown[which].places[name] / max(shown[which].thoughts, 1):.2f}",
        )
        for name in BEHAVIOURS
        for which in WHICH
    ]
    head = ("behaviour", "thoughts", "showing it", "share", "places per thought")
    note = text(
        "Told by words alone, in English: good for comparing many thoughts, too coarse to judge one. How "
        "well it agrees with labels stands in docs/reference/behaviours.md."
    )
    return joined(
        [
            tag("div", *blocks, class_="quarters"),
            tag("p", note),
            behind("The numbers", table(head, rows, "Cognitive behaviours")),
        ]
    )
