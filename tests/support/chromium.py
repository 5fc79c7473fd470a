"""The machine's own Chromium, for the tests of pages and for the pictures in docs/."""

from __future__ import annotations

import shutil

from playwright.sync_api import Browser, Playwright

HOW_TO_GET_IT = "There is no Chromium on the PATH: apt-get install chromium"
# It is to show pages, and nothing else: no sandbox (containers), no graphics card, no calls home.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def executable() -> str | None:
    """Where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def launch(playwright: Playwright) -> Browser:
    """Start a browser without a window; raises FileNotFoundError where there is no Chromium."""
    found = executable()
    if found is None:
        raise FileNotFoundError(HOW_TO_GET_IT)
    return playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
