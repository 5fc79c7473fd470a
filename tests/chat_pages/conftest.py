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
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as server:
        yield server


@pytest.fixture(scope="module")
def _window(served: Served) -> Iterator[Site]:
    """The machine's Chromium. Where there is none the tests are skipped, but under CI they fail."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        words = "these tests need Chromium: apt-get install chromium"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(words)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        context = browser.new_context(viewport={"width": 1200, "height": 800}, reduced_motion="reduce")
        context.set_default_timeout(PATIENCE)
        yield Site(context.new_page(), served)
        browser.close()


@pytest.fixture
def site(_window: Site) -> Iterator[Site]:
    """A signed-in user's browser. At the end the page must have had nothing to complain of."""
    _window.forget()
    yield _window
    assert _window.complaints == []
