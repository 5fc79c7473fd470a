"""The machine's own Chromium, for the tests of pages and for the pictures in docs/.

A pytest plugin, named in tests/conftest.py: one Chromium serves all modules that look at pages, as long as they follow
one another.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from support.selection import WITH_BROWSER

PATIENCE = 120_000.0  # milliseconds; only a failure waits for it
HOW_TO_GET_IT = "There is no Chromium on the PATH: apt-get install chromium-headless-shell"
# The first is the same Chromium without its windows: it starts, and opens pages, in a third of the time.
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# It is to show pages, and nothing else: no sandbox (containers), no graphics card, no calls home.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_kept: list[Browser] = []
_open = ExitStack()


def executable() -> str | None:
    """Where Chromium is, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def launch(playwright: Playwright) -> Browser:
    """Start a browser without a window; raises FileNotFoundError where there is no Chromium."""
    found = executable()
    if found is None:
        raise FileNotFoundError(HOW_TO_GET_IT)
    return playwright.chromium.launch(executable_path=found, args=ARGUMENTS)


@pytest.fixture(scope="module")
def browser() -> Browser:
    """Chromium. Where there is none the tests are skipped, but under CI they fail."""
    if executable() is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(HOW_TO_GET_IT)
    if not _kept:
        expect.set_options(timeout=PATIENCE)
        _kept.append(launch(_open.enter_context(sync_playwright())))
    return _kept[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Iterator[None]:
    """End Chromium after the last module with pages: as long as Playwright runs, its loop is in the way of async tests."""
    try:
        return (yield)
    finally:
        if _kept and not (nextitem and WITH_BROWSER.search(nextitem.nodeid)):
            _kept.pop().close()
            _open.close()
