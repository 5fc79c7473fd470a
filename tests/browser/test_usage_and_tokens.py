"""The page “API tokens” of the chat, and the page “Usage” of the admin site: narrow and wide, light and dark."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import expect
from support.api_calls import Caller
from support.people import Person
from support.tabby import Tabby
from test_accessibility import serious
from windows import PHONE, Windows

schemes = pytest.mark.parametrize("scheme", ["light", "dark"])
SIDEWAYS = "document.documentElement.scrollWidth > innerWidth"


@schemes
def test_somebody_makes_a_token_in_the_chat_uses_it_and_revokes_it(
    tabby: Tabby, alice: Person, windows: Windows, scheme: Literal["light", "dark"]
) -> None:
    page = windows.open(alice, "/", size=PHONE, scheme=scheme)
    page.get_by_role("button", name="Profile: alice").click()
    page.get_by_role("menuitem", name="API tokens").click()
    expect(page.get_by_text("You have none yet.")).to_be_visible()
    assert serious(page) == []
    page.get_by_label("What is it for?").fill("an editor")
    page.keyboard.press("Enter")
    token = page.get_by_label("Token", exact=True)
    caller = Caller(alice.url, token.input_value())
    assert serious(page) == []
    assert not page.evaluate(SIDEWAYS)
    assert caller.ask("[[tokens=1]]").status_code == 200
    page.get_by_role("link", name="Back to your tokens").click()
    expect(page.get_by_text("last used")).to_be_visible()
    assert serious(page) == []
    assert not page.evaluate(SIDEWAYS)
    page.get_by_role("button", name="Revoke an editor").click()
    expect(page.get_by_role("status")).to_contain_text("is revoked")
    assert caller.get("models").status_code == 401


@schemes
def test_the_usage_of_people_is_shown(
    tabby: Tabby, admin: Person, alice: Person, windows: Windows, scheme: Literal["light", "dark"]
) -> None:
    with alice.page() as chat:
        chat.answered(chat.say("[[tokens=5]]"))
    page = windows.open(admin, "/admin/models_admin/usage/", size=PHONE, scheme=scheme)
    expect(page.get_by_role("row", name="alice").first).to_be_visible()
    page.get_by_role("combobox", name="By").select_option("day")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("columnheader", name="Day")).to_be_visible()
    assert page.locator(".gantry-used g").count() == 30
    assert not page.evaluate(SIDEWAYS)
    assert serious(page) == []
    windows.complaints.clear()  # axe-core's own: the policy keeps it from reading imported styles
