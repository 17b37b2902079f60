from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

QUIET = [
    # As root in a container there is no sandbox, and none of these pages comes from elsewhere.
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real Chromium without a window.

    Not for the whole session: while Playwright is there an event loop runs in this thread, and no other test
    could run one of its own.
    """
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium here: bash .ci/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages, each in a context of its own: ``open_page(url, color_scheme="dark")``.

    The test fails if a page asks anything of a network or writes an error to its console.
    """
    contexts = []
    faults: list[str] = []

    def open_one(url: str, **context: object) -> Page:
        contexts.append(chromium.new_context(**context))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.on(
            "request", lambda request: faults.append(request.url) if request.url.startswith("http") else None
        )
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert faults == []
