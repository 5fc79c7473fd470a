"""axe-core finds nothing serious on the main pages, in light and in dark."""

from __future__ import annotations

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from support.people import Person
from support.tabby import Tabby
from windows import MODELS, Windows, ask_to_switch, model_is, say, status_is

SERIOUS = ("serious", "critical")
Scheme = Literal["light", "dark"]
schemes = pytest.mark.parametrize("scheme", ["light", "dark"])


def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical, and where."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {', '.join(str(node['target']) for node in each['nodes'][:4])}"
        for each in found
        if each["impact"] in SERIOUS
    ]


@schemes
def test_the_sign_in_page(gantry: object, windows: Windows, scheme: Scheme) -> None:
    page = windows.open(None, "/", scheme=scheme)
    page.get_by_label("Username").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    assert serious(page) == []
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert serious(page) == []


@schemes
def test_the_chat_page(tabby: Tabby, alice: Person, windows: Windows, scheme: Scheme) -> None:
    page = windows.open(alice, "/", scheme=scheme)
    model_is(page, "ready")
    assert serious(page) == []
    reply = say(page, "Show me a list and some code")
    status_is(reply, "complete")
    expect(reply.locator(".meta")).to_be_visible()
    assert serious(page) == []


@schemes
def test_the_models_page(tabby: Tabby, admin: Person, windows: Windows, scheme: Scheme) -> None:
    page = windows.open(admin, MODELS, scheme=scheme)
    expect(page.locator("#gantry-banner")).to_contain_text("alpha-7B")
    assert serious(page) == []
    ask_to_switch(page, "beta-8B-Q5")
    assert serious(page) == []
