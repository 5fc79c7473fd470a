"""The chat page in Chromium, with everything around it played by the test: pages, API, socket.

The real page's HTML, styles and modules are served under the real Content-Security-Policy. What the socket says is
up to the test, which is how gaps, repeats, cuts and refusals are made at will.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from played_server import Served
from played_site import PATIENCE, Site
from playwright.sync_api import BrowserContext, sync_playwright


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as server:
        yield server


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    """The machine's Chromium. Where there is none the tests are skipped, but under CI they fail."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        words = "these tests need Chromium: apt-get install chromium"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(words)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1200, "height": 800}, reduced_motion="reduce")
        context.set_default_timeout(PATIENCE)
        yield context
        browser.close()


@pytest.fixture
def site(context: BrowserContext, served: Served) -> Iterator[Site]:
    """A signed-in user's browser. At the end the page must have had nothing to complain of."""
    served.forget()
    played = Site(context.new_page(), served)
    yield played
    played.page.goto(f"{served.url}/static/chat/favicon.svg")  # the page has left, and kept what it keeps
    played.page.evaluate("localStorage.clear()")
    played.page.close()
    assert played.complaints == []
