"""The chat page in Chromium, with everything around it played by the test: pages, API, socket.

The real page's HTML, styles and modules are served under the real Content-Security-Policy. What the socket says is
up to the test, which is how gaps, repeats, cuts and refusals are made at will.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from played_server import Served
from played_site import SIZE, Site
from playwright.sync_api import Browser
from support.chromium import PATIENCE


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as server:
        yield server


@pytest.fixture(scope="module")
def _window(browser: Browser, served: Served) -> Iterator[Site]:
    context = browser.new_context(viewport=SIZE, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    yield Site(context.new_page(), served)
    context.close()


@pytest.fixture
def site(_window: Site) -> Iterator[Site]:
    """A signed-in user's browser. At the end the page must have had nothing to complain of."""
    _window.forget()
    yield _window
    _window.check()
