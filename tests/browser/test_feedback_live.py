"""Feedback from a phone to the administrators: two pages of one person, two web processes, light and dark."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import expect
from support.people import Person
from test_accessibility import serious
from windows import PHONE, Windows, conversation, say, status_is

SIDEWAYS = "document.documentElement.scrollWidth > innerWidth"


@pytest.mark.usefixtures("tabby")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_somebody_rates_a_reply_by_touch_and_the_administrators_see_it(
    admin: Person, alice: Person, windows: Windows, second_url: str, scheme: Literal["light", "dark"]
) -> None:
    words = f"Well said, in {scheme}."
    page = windows.open(alice, "/", size=PHONE, scheme=scheme)
    status_is(say(page, "[[echo]]a loom has a warp"), "complete")
    other = windows.open(alice, conversation(page), url=second_url)
    expect(other.get_by_role("button", name="Good reply")).to_be_visible()
    page.get_by_role("button", name="Good reply").tap()
    page.get_by_label("What was good about it?").fill(words)
    page.get_by_label("Show the administrators").tap()
    expect(page.locator(".feedback-shown")).to_contain_text("a loom has a warp")
    assert serious(page) == []
    assert not page.evaluate(SIDEWAYS)
    page.get_by_role("button", name="Save").tap()
    expect(other.locator(".feedback .note")).to_contain_text(f"“{words}”")

    sees = windows.open(admin, "/admin/chat/feedback/", size=PHONE, scheme=scheme)
    expect(sees.get_by_role("row", name="alpha-7B").first).to_be_visible()
    assert not sees.evaluate(SIDEWAYS)
    assert serious(sees) == []
    row = sees.locator("#result_list tr", has_text=words)
    row.get_by_role("link").click()
    expect(sees.locator(".field-replied")).to_contain_text("a loom has a warp")
    assert not sees.evaluate(SIDEWAYS)

    other.get_by_role("button", name="Take back").focus()
    other.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Good reply")).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".feedback .note")).to_have_count(0)
    sees.goto("/admin/chat/feedback/")
    expect(sees.locator("#result_list tr", has_text=words)).to_have_count(0)
    windows.complaints.clear()  # axe-core's own: the policy keeps it from reading imported styles
