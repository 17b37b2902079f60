"""The report of a synthesis run, looked at in a real Chromium."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lpt_core import (
    MCQ,
    Caption,
    ImageRef,
    PreferencePair,
    Presentation,
    Segment,
    SFTExample,
    Trace,
    Verdict,
)
from lpt_synth.report import ReportFacts, gather, write_report
from lpt_synth.types import CaptionTree, LongNode, MCQNode, ShortNode

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><b>bold</b> {{7*7}} \u202e"
KINDS = ("Spatial", "Counting", "Recognition")
OPENS_IN_S, FILTERS_IN_S = 2.0, 0.2
WORDS = (
    *(
        "the roof",
        "a bird",
        "on the left",
        "on the right",
        "is darker than",
        "stands beside",
        "two",
        "a row of",
    ),
    *(
        "cups",
        "windows",
        "because",
        "so that",
        "it looks",
        "behind",
        "in front of",
        "the fence",
        "painted green",
    ),
)


def trace(
    node: MCQNode, place: str, segments: tuple[Segment, ...], *, right: bool, parent: str | None
) -> Trace:
    """A trace as the stages make one; not validated, since there are many."""
    return Trace.model_construct(
        id=f"{place:0>40}",
        caption_id=node.mcq.caption_id,
        mcq_id=node.mcq.id,
        presentation=node.presentation,
        segments=segments,
        answer="<answer> (A) </answer>",
        verdict=Verdict(status="found", option=node.mcq.gold if right else 1 - node.mcq.gold, correct=right),
        parent=parent,
    )


def said(draw: random.Random, words: int) -> str:
    return ". ".join(" ".join(draw.choices(WORDS, k=8)) for _ in range(words // 16))


def question(caption: Caption, number: int, shorts: int, longs: int, words: int) -> MCQNode:
    draw = random.Random(f"{caption.source_id}.{number}")
    mcq = MCQ.make(
        caption_id=caption.id,
        question=f"Question {number} about {caption.source_id}?",
        options=(f"red {number}", "blue"),
        gold=number % 2,
        kind=KINDS[number % 3],
    )
    node = MCQNode(mcq, Presentation.derive(mcq, 0), ())
    for first in range(shorts):
        thought = Segment.model_construct(
            kind="thought", text=f"I look at number {number}. {said(draw, words)}", provenance=None
        )
        place = f"{caption.source_id}.{number}.{first}"
        short = ShortNode(trace(node, place, (thought,), right=first % 2 == 0, parent=None))
        for second in range(longs):
            cue = Segment.model_construct(kind="cue", text=".\nWait,", provenance=None)
            more = f" let me double-check {place}.{second}. {said(draw, words)}"
            added = Segment.model_construct(kind="continuation", text=more, provenance=None)
            long = trace(
                node,
                f"{place}.{second}",
                (thought, cue, added),
                right=second % 3 > 0,
                parent=short.trace.id,
            )
            short.longs.append(LongNode(long, "banned_words" if second % 7 == 6 else None))
        node.shorts.append(short)
    return node


def trees(
    captions: int, questions: int, shorts: int, longs: int, *, words: int, images: list[ImageRef]
) -> Iterator[CaptionTree]:
    for number in range(captions):
        caption = Caption.make(
            text=f"Caption {number}.",
            image=images[number % len(images)],
            source="test",
            source_id=str(number),
        )
        tree = CaptionTree(caption)
        tree.mcqs = [question(caption, place, shorts, longs, words) for place in range(questions)]
        yield tree


def sets_of(made: list[CaptionTree]) -> tuple[list[SFTExample], list[PreferencePair]]:
    """An example and a pair for each question."""
    sft: list[SFTExample] = []
    pairs: list[PreferencePair] = []
    for node in (node for tree in made for node in tree.mcqs):
        short = node.shorts[1]
        turned = short.longs[1].trace.id
        sft.append(SFTExample.model_construct(kind="wrong_right", trace_id=turned))
        pairs.append(
            PreferencePair.model_construct(
                kind="turned_over_wrong", chosen_trace_id=turned, rejected_trace_id=short.trace.id
            )
        )
    return sft, pairs


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    from PIL import Image

    folder = tmp_path_factory.mktemp("images")
    made: list[ImageRef] = []
    for number in range(8):
        path = folder / f"{number}.png"
        Image.effect_noise((200, 150), 20 + 20 * number).save(path)
        made.append(ImageRef(path=str(path), sha256=f"{number:064x}", width=200, height=150))
    return made


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, images: list[ImageRef]) -> str:
    made = list(trees(6, 3, 2, 3, words=16, images=images))
    first = made[0].mcqs[0]
    first.mcq = first.mcq.model_copy(update={"question": HOSTILE, "options": (HOSTILE, "blue")})
    segment = Segment.model_construct(kind="thought", text=HOSTILE, provenance=None)
    first.shorts[0].trace = first.shorts[0].trace.model_copy(update={"segments": (segment,)})
    to = tmp_path_factory.mktemp("report") / "report.html"
    write_report(to, ReportFacts(name=f"small {HOSTILE}", sets="current"), gather(made, *sets_of(made)))
    return to.as_uri()


def ready(page: Page) -> Page:
    page.wait_for_selector("html[data-ready]")
    return page


def found(page: Page) -> str:
    return page.locator("#found").inner_text()


def wait_for_found(page: Page, text: str) -> None:
    page.wait_for_function("text => document.getElementById('found').textContent === text", arg=text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(open_page: Open, small: str, scheme: str) -> None:
    page = ready(open_page(small, color_scheme=scheme))
    page.locator(".row-item").nth(1).click()
    page.wait_for_selector(".reasoning")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    poor = page.evaluate(CONTRAST)
    assert poor == []


CONTRAST = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const found = channels(getComputedStyle(one).backgroundColor);
      if (found.length < 4 || found[3] > 0.99) return found;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !one.offsetParent || one.matches("script, style, noscript, option")) continue;
    const style = getComputedStyle(one);
    const [a, b] = [light(channels(style.color)), light(behind(one))].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24;
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) poor.push(`${one.tagName}.${one.className}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(poor)];
}"""


def test_what_models_wrote_is_text_and_does_nothing(open_page: Open, small: str) -> None:
    page = ready(open_page(small))
    page.locator(".row-item").first.click()
    page.wait_for_selector(".reasoning")
    assert page.locator(".reasoning .segment.thought").text_content() == HOSTILE
    assert page.locator(".question").text_content() == HOSTILE
    assert page.locator("h1").text_content() == f"small {HOSTILE}"
    assert page.locator("img[src='x'], #detail b b, h1 b").count() == 0
    assert page.title() != "owned"


def test_segments_are_told_apart_by_colour(open_page: Open, small: str) -> None:
    page = ready(open_page(small))
    page.select_option("#filter-ended", "turned right")
    wait_for_found(page, "36 thoughts")
    page.locator(".row-item").last.click()
    page.wait_for_selector("#detail .reasoning .cue")
    kinds = ("thought", "cue", "continuation", "answer")
    parts = {kind: page.locator(f".reasoning .{kind}").text_content() for kind in kinds}
    assert parts["cue"] == ".\nWait,"
    assert (parts["continuation"] or "").startswith(" let me double-check")
    colours = {
        page.locator(f".reasoning .{kind}").evaluate("(one) => getComputedStyle(one).backgroundColor")
        for kind in kinds
    }
    assert len(colours) == len(kinds)


def test_filters_search_and_their_end(open_page: Open, small: str) -> None:
    page = ready(open_page(small))
    assert found(page) == "144 thoughts"
    page.select_option("#filter-kind", "short")
    wait_for_found(page, "36 thoughts")
    page.select_option("#filter-type", "Counting")
    wait_for_found(page, "12 thoughts")
    page.click("#clear")
    wait_for_found(page, "144 thoughts")
    page.fill("#search", "Double-Check 3.1.")
    wait_for_found(page, "6 thoughts")
    page.fill("#search", "nowhere to be found")
    wait_for_found(page, "No thoughts like that.")
    page.keyboard.press("Escape")
    wait_for_found(page, "144 thoughts")


def test_it_can_be_used_without_a_mouse(open_page: Open, small: str) -> None:
    page = ready(open_page(small))
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("jk/p")  # letters, while one types
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "list"
    wait_for_found(page, "144 thoughts")
    for key in ("j", "j", "ArrowDown", "k"):
        page.keyboard.press(key)
    assert page.locator("[aria-selected=true]").get_attribute("aria-posinset") == "3"
    assert page.locator("#list").get_attribute("aria-activedescendant") == "row-2"
    page.keyboard.press("End")
    assert page.locator("[aria-selected=true]").get_attribute("aria-posinset") == "144"
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'detail'")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "list"
    outline = page.locator("[aria-selected=true]").evaluate("(one) => getComputedStyle(one).outlineStyle")
    assert outline == "solid"


def test_a_pair_stands_side_by_side_and_leads_to_its_thoughts(open_page: Open, small: str) -> None:
    page = ready(open_page(small))
    page.keyboard.press("p")
    wait_for_found(page, "18 pairs")
    page.wait_for_selector(".pair .side-chosen")
    boxes = [page.locator(f".side-{side}").bounding_box() for side in ("chosen", "rejected")]
    assert boxes[0]
    assert boxes[1]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] < boxes[1]["x"]
    page.locator(".side-chosen .link").click()
    wait_for_found(page, "144 thoughts")
    page.wait_for_selector(".uses")
    assert "chosen: turned over wrong" in page.locator(".uses").inner_text()
    page.locator(".uses .link").click()
    wait_for_found(page, "18 pairs")


def test_on_a_telephone_nothing_sticks_out_and_a_thought_takes_the_screen(
    open_page: Open, small: str
) -> None:
    page = ready(open_page(small, viewport={"width": 390, "height": 800}))
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert not page.locator("#detail").is_visible()
    page.locator(".row-item").nth(1).click()
    page.wait_for_selector("#detail .reasoning")
    box = page.locator("#detail").bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (390, 800)
    page.click(".back")
    assert not page.locator("#detail").is_visible()


def test_regions_have_names_and_pictures_numbers(open_page: Open, small: str) -> None:
    page = ready(open_page(small))
    names = page.locator("main > section").evaluate_all(
        "(all) => all.map((one) => document.getElementById(one.getAttribute('aria-labelledby'))?.textContent)"
    )
    assert None not in names
    assert len(set(names)) == len(names) == 8
    assert page.locator("svg:not([aria-hidden=true])").count() == 0
    assert page.locator("#lengths details table tbody tr").count() == 3
    unnamed = page.locator("select, input").evaluate_all(
        "(all) => all.filter((one) => !one.labels.length).length"
    )
    assert unnamed == 0


class Work:
    """The processor time that a page takes, in seconds: what other processes hold up is not the page's."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable")

    def seconds(self) -> float:
        """Since the page's process began."""
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "ProcessTime")


@pytest.mark.slow
def test_thirty_thousand_thoughts_open_at_once_and_filters_answer_at_once(
    open_page: Open, tmp_path: Path, images: list[ImageRef]
) -> None:
    made = list(trees(300, 10, 2, 4, words=96, images=images))
    to = tmp_path / "report.html"
    began = time.process_time()
    write_report(to, ReportFacts(name="large", sets="current"), gather(made, *sets_of(made)))
    assert time.process_time() - began < 40
    page = ready(open_page(to.as_uri()))
    work = Work(page)
    assert found(page) == "30,000 thoughts"
    assert work.seconds() < OPENS_IN_S
    before = work.seconds()
    page.select_option("#filter-ended", "turned right")
    wait_for_found(page, "6,000 thoughts")
    assert work.seconds() - before < FILTERS_IN_S
    page.fill("#search", "double-check 299.9.")
    wait_for_found(page, "2 thoughts")  # all texts were unpacked for this, once
    before = work.seconds()
    page.fill("#search", "double-check 29")
    wait_for_found(page, "220 thoughts")
    assert work.seconds() - before < FILTERS_IN_S
    assert page.locator(".row-item").count() < 40
