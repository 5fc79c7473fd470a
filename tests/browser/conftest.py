"""Real Chromium on a real Gantry. Every test fails on a console error, a CSP violation or an uncaught exception."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from system.running import Gantry
from windows import Windows


@pytest.fixture
def windows(browser: Browser, gantry: Gantry) -> Iterator[Windows]:
    """Opens windows; at the end none of them may have had anything to complain of."""
    opened = Windows(browser, gantry.url)
    yield opened
    assert opened.close() == []
