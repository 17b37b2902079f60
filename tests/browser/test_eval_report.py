"""The report of lpt-eval in a real Chromium: it works, by keyboard too, and what models wrote stays text."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from lpt_core import MCQ, READER_VERSION, ImageRef, Presentation, Sampling
from lpt_eval.folder import RunFolder
from lpt_eval.protocol import Protocol
from lpt_eval.records import BenchmarkRun, Item, ModelIdentity, Response, RunInfo
from lpt_eval.report import write_report
from lpt_eval.scoring import score

HOSTILE = (
    "</script><script>window.owned=1</script><img src=x onerror='window.owned=1'>"
    '"><svg onload=window.owned=1>'
)
WORD = "W" * 300
"""A word that no line can hold."""

PROTOCOL = Protocol(
    name=f"paper {HOSTILE}",
    form="think",
    system=HOSTILE,
    template="{{ question }}",
    sampling=Sampling(temperature=0.0, max_tokens=64),
)


def items(benchmark: str, count: int) -> list[Item]:
    found = []
    for number in range(count):
        planted = {0: HOSTILE, 1: WORD}.get(number, "")
        mcq = MCQ.make(
            caption_id="",
            question=f"What colour has door {number}? {planted}",
            options=("red", f"blue {HOSTILE}", "green", WORD if number == 1 else "white"),
            gold=number % 4,
        )
        digest = sha256(f"{benchmark}{number}".encode()).hexdigest()
        found.append(
            Item.make(
                benchmark=benchmark,
                source_id=f"{benchmark}-{number} {HOSTILE if number == 0 else ''}",
                mcq=mcq,
                presentation=Presentation(
                    mcq_id=mcq.id, order=(0, 1, 2, 3), option_style="parens", answer_style="letter_parens"
                ),
                image=ImageRef(path="x.png", sha256=digest, width=640, height=480),
                category=f"category {number % 3}{HOSTILE if number % 3 == 0 else ''}",
            )
        )
    return found


def text(number: int, right: bool, gold: int) -> str:
    letter = "ABCD"[gold if right else (gold + 1) % 4]
    body = {0: HOSTILE, 1: WORD, 2: "I look at the door. " * 80}.get(
        number, "I look at the door once more. " * (number % 5)
    )
    return f"<think>{body} Needle{number}. So it is ({letter}).</think> <answer>({letter}) {HOSTILE}</answer>"


def run_folder(path: Path, skill: int) -> Path:
    folder, asked = RunFolder(path), {}
    for benchmark, count in (("vstar", 30), ("toy", 4)):
        questions = items(benchmark, count)
        asked[benchmark] = BenchmarkRun(protocol=PROTOCOL, items=count, data=HOSTILE)
        folder.write_items(benchmark, questions)
        rows = []
        for number, item in enumerate(questions):
            failed = number == 5
            response = Response(
                item_id=item.id,
                text="" if failed else text(number, number % 7 < skill, item.mcq.gold),
                finish_reason="error" if failed else "stop",
                error=HOSTILE if failed else None,
                completion_tokens=40 + number,
            )
            rows.append(score(item, response, PROTOCOL))
            if number < 20:  # the others' pictures are not there
                folder.images.mkdir(exist_ok=True)
                Image.new("RGB", (320, 240), (20 * skill, 8 * number, 90)).save(
                    folder.picture(item.image.sha256 if item.image else ""), "WEBP"
                )
        folder.write_rows(benchmark, rows)
    identity = ModelIdentity(kind="server", name=f"model {HOSTILE} {WORD}")
    folder.write_info(RunInfo(model=identity, benchmarks=asked, reader=READER_VERSION, versions={}))
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> str:
    """The address of a report of two runs, in whose every text something hostile is planted."""
    folder = tmp_path_factory.mktemp("report")
    hostile_name = "run <img src=x onerror='window.owned=1'>"
    runs = [run_folder(folder / name, skill) for name, skill in ((hostile_name, 4), ("second" + "x" * 80, 5))]
    write_report(runs, folder / "report.html", draws=100)
    return (folder / "report.html").as_uri()


@pytest.fixture
def page(report, open_page):
    return open_page(report, viewport={"width": 1280, "height": 900})


def overflowing(page) -> list[str]:
    """Elements that are wider than the window and are not in a box that scrolls."""
    return page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((one) => {
            if (one.closest(".scroll, nav, .skip, desc, title") || !one.getClientRects().length) return false;
            const box = one.getBoundingClientRect();
            return box.right > innerWidth + 1 || box.left < -1;
        }).map((one) => `${one.tagName}.${one.getAttribute("class")}: ${one.textContent.slice(0, 40)}`)"""
    )


def test_what_models_wrote_is_inert(page) -> None:
    page.wait_for_selector("#list .example")
    assert page.evaluate("window.owned") is None
    assert page.locator("#list").get_by_text("</script>").count() > 0  # it is there, as text
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("script").count() == 2


def test_were_markup_to_slip_in_the_policy_would_stop_it(report, chromium) -> None:
    page = chromium.new_page()  # not by open_page, to which a refusal is an error
    page.goto(report)
    refused = page.evaluate(
        """() => new Promise((resolve) => {
            document.addEventListener("securitypolicyviolation", (event) => resolve(event.violatedDirective));
            const script = document.createElement("script");
            script.textContent = "window.owned = 2";
            document.body.append(script);
        })"""
    )
    assert refused.startswith("script-src")
    assert page.evaluate("window.owned") is None
    page.close()


def test_filters_search_and_pages(page) -> None:
    cards, count = page.locator("#list .example"), page.locator("#count")
    assert cards.count() == 12
    assert count.inner_text() == "34 of 34 examples, 1 to 12 shown"
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    assert cards.count() == 10
    page.locator("select[name=benchmark]").select_option("toy")
    assert count.inner_text() == "4 of 34 examples"
    page.locator("select[name=benchmark]").select_option("vstar")
    page.locator("select[name=outcome]").select_option("failed")
    assert count.inner_text() == "1 of 34 examples"
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("Search").fill("NEEDLE17")
    assert count.inner_text() == "1 of 34 examples"
    assert page.locator("mark").first.inner_text() == "Needle17"
    page.get_by_label("Search").fill("nothing of the kind")
    assert cards.count() == 0
    assert "Clear a filter" in count.inner_text()
    page.get_by_role("button", name="Clear filters").click()
    page.locator("select[name=behaviour]").select_option(label="verification")
    assert int(count.inner_text().split()[0]) < 34
    assert page.locator("#list u.sign[title=verification]").count() > 0


def test_gained_and_lost_lead_to_their_examples(page) -> None:
    # The second run knows one more of every seven; what failed in both is gained by neither.
    button = page.locator("button.jump.gained[data-benchmark=vstar]")
    expected = button.inner_text().split()[0]
    assert expected == "4"
    button.click()
    assert page.locator("#count").inner_text() == f"{expected} of 34 examples"
    assert page.locator("#list .meta .gained").count() == 4


def test_the_keyboard_goes_through_examples_and_pages(page) -> None:
    at = "[...document.querySelectorAll('#list .example')].indexOf(document.activeElement)"
    for press, expected in (("j", 0), ("j", 1), ("k", 0), ("k", 0)):
        page.keyboard.press(press)
        assert page.evaluate(at) == expected
    page.keyboard.press("ArrowRight")
    assert page.locator("#count").inner_text().endswith("13 to 24 shown")
    page.keyboard.press("k")
    assert page.evaluate(at) == 11
    assert page.locator("#count").inner_text().endswith("1 to 12 shown")
    page.keyboard.press("j")
    assert page.evaluate(at) == 0
    assert page.locator("#count").inner_text().endswith("13 to 24 shown")
    page.keyboard.press("/")
    page.keyboard.type("jk")
    assert page.get_by_label("Search").input_value() == "jk"


def test_a_long_thought_is_opened_by_a_button_and_lost_pictures_are_told(page) -> None:
    thought = page.locator("#list .example").nth(2).locator(".thought").first
    before = thought.bounding_box()["height"]
    page.locator("#list .example").nth(2).get_by_role("button", name="All of it").first.click()
    assert thought.bounding_box()["height"] > 2 * before
    assert page.locator("#list .picture img").count() == 12
    assert page.locator(".warnings").inner_text().count("10 have no small copy") == 1
    page.get_by_label("Search").fill("Needle25")
    assert page.locator("#list .picture .lost").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(report, open_page, scheme) -> None:
    page = open_page(report, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(19, 20, 22)") == (scheme == "dark")
    for width in (1280, 800, 420):
        page.set_viewport_size({"width": width, "height": 900})
        assert overflowing(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_chart_has_a_name_a_description_and_its_numbers(page) -> None:
    charts = page.locator("svg[role=img]")
    assert charts.count() > 10
    told = page.evaluate(
        """() => [...document.querySelectorAll("svg[role=img]")].map((chart) =>
            [chart.querySelector("title").textContent, chart.querySelector("desc").textContent,
             chart.closest("section").querySelector("table") !== null])"""
    )
    assert all(title and desc and table for title, desc, table in told)


def test_without_scripts_all_but_the_examples_is_there(report, open_page) -> None:
    page = open_page(report, java_script_enabled=False)
    assert page.locator("svg[role=img]").count() > 10
    assert "need JavaScript" in page.locator("noscript").inner_text()
    assert page.locator("[data-of=toy]").first.is_visible()
