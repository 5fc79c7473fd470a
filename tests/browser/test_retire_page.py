"""A model is retired and brought back in Chromium, narrow and wide, light and dark; a user's menu follows."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import expect
from support.people import Person
from test_accessibility import serious
from windows import MODELS, PHONE, WIDE, Windows

SIDEWAYS = "document.documentElement.scrollWidth > innerWidth"


@pytest.mark.usefixtures("tabby")
@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", PHONE)])
def test_a_retired_model_leaves_the_menu_of_users_and_comes_back(
    admin: Person, alice: Person, windows: Windows, scheme: Literal["light", "dark"], size: tuple[int, int]
) -> None:
    page = windows.open(admin, MODELS, size=size, scheme=scheme)
    page.get_by_role("link", name="beta-8B-Q5", exact=True).click()
    page.get_by_role("link", name="Retire…").click()
    expect(page.get_by_text("rm -r -- ")).to_be_visible()
    assert serious(page) == []
    assert not page.evaluate(SIDEWAYS)
    page.get_by_role("button", name="Retire").click()
    expect(page.get_by_text("Retired since")).to_be_visible()
    assert serious(page) == []
    assert not page.evaluate(SIDEWAYS)
    chat = windows.open(alice, "/")
    chat.locator("#model").click()
    expect(chat.locator("#models-list")).to_contain_text("slow-13B")
    expect(chat.locator("#models-list")).not_to_contain_text("beta-8B-Q5")
    page.get_by_role("button", name="Bring back").click()
    expect(page.get_by_text("“beta-8B-Q5” is back.")).to_be_visible()
    expect(chat.locator("#models-list")).to_contain_text("beta-8B-Q5")
    windows.complaints.clear()  # axe-core's own: the policy keeps it from reading imported styles
