"""People's browsers: windows on a running Gantry, which note whatever a page complains of."""

from __future__ import annotations

import re
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Locator, Page, expect
from support.chromium import PATIENCE
from support.people import Person

WIDE = (1280, 800)
PHONE = (390, 844)
MODELS = "/admin/models_admin/tabbymodel/"


class Windows:
    """All windows of one test. Each has a browser of its own: cookies and storage are not shared."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser = browser
        self.url = url
        self.contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def open(
        self,
        person: Person | None = None,
        path: str = "",
        *,
        url: str = "",
        size: tuple[int, int] = WIDE,
        scheme: Literal["light", "dark"] = "light",
    ) -> Page:
        """A new window, signed in as `person` (None: nobody), on `path` if one is given.

        url: of another web process than the first.
        """
        url = url or self.url
        context = self.browser.new_context(
            base_url=url,
            viewport={"width": size[0], "height": size[1]},
            has_touch=size == PHONE,
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        self.contexts.append(context)
        context.set_default_timeout(PATIENCE)
        if person is not None:
            context.add_cookies([{"name": "session_id", "value": person.cookie, "url": url}])
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("dialog", self._asked)
        if path:
            page.goto(path)
        return page

    def close(self) -> list[str]:
        """Close them all; return what their pages complained of."""
        for context in self.contexts:
            context.close()
        return self.complaints

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, dialog: Dialog) -> None:
        self.complaints.append(f"a script ran: {dialog.message}")
        dialog.dismiss()


def model_is(page: Page, state: str, name: str | re.Pattern[str] = "") -> None:
    """Wait until the chat page's header shows the model in this state."""
    expect(page.locator("#model")).to_have_attribute("data-state", state)
    if name:
        expect(page.locator("#model-name")).to_have_text(name)


def replies(page: Page) -> Locator:
    """The replies that the page shows, oldest first."""
    return page.locator("article.reply")


def say(page: Page, text: str) -> Locator:
    """Type a message and send it; return the reply, which may be queued still."""
    before = replies(page).count()
    page.locator("#composer-text").fill(text)
    page.locator("#send").click()
    reply = replies(page).nth(before)
    expect(reply).to_be_attached()
    return reply


def status_is(reply: Locator, status: str) -> None:
    """Wait until a reply has this status."""
    expect(reply).to_have_attribute("data-status", status)


def words_of(reply: Locator) -> list[str]:
    """What a reply says, word by word."""
    return reply.locator(".prose").inner_text().split()


def counted(tokens: int) -> list[str]:
    """The words of the reply to `[[tokens=N]]`."""
    return [f"w{number}" for number in range(1, tokens + 1)]


def has_word(reply: Locator, number: int) -> None:
    """Wait until the n-th of the counted words has come."""
    expect(reply.locator(".prose")).to_contain_text(f"w{number} ")


def conversation(page: Page) -> str:
    """Wait until the page's conversation exists; return its path."""
    page.wait_for_url(re.compile(r"/c/[0-9a-f-]{36}/"))
    return "/c/" + page.url.split("/c/")[1]


def ask_to_switch(page: Page, model: str) -> Locator:
    """On the Models page, press the model's Switch, and return the dialog that asks for confirmation."""
    page.wait_for_load_state()  # until its scripts run, the link leads to a page that asks
    row = page.locator("#result_list tbody tr", has_text=model)
    row.get_by_role("link", name="Switch").click()
    dialog = page.locator("#gantry-dialog")
    expect(dialog).to_be_visible()
    return dialog
