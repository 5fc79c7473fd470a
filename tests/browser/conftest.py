"""Real Chromium on a real Gantry. Every test fails on a console error, a CSP violation or an uncaught exception."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from support.chromium import HOW_TO_GET_IT, executable, launch
from system.running import Gantry
from windows import PATIENCE, Windows

expect.set_options(timeout=PATIENCE)


@pytest.fixture(
    scope="module"
)  # not longer: as long as Playwright runs, its loop is in the way of async tests
def browser() -> Iterator[Browser]:
    """The machine's Chromium. Where there is none the tests are skipped, but under CI they fail."""
    if executable() is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(HOW_TO_GET_IT)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def windows(browser: Browser, gantry: Gantry) -> Iterator[Windows]:
    """Opens windows; at the end none of them may have had anything to complain of."""
    opened = Windows(browser, gantry.url)
    yield opened
    assert opened.close() == []
