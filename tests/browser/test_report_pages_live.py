"""The report on a model and the comparison in Chromium, from real replies."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import expect
from support.people import Person
from test_accessibility import serious
from windows import MODELS, Windows

SIDEWAYS = "document.documentElement.scrollWidth > innerWidth"


@pytest.mark.usefixtures("tabby")
@pytest.mark.parametrize("scheme", ["light"])
def test_models_are_reported_on_and_compared(
    admin: Person, alice: Person, windows: Windows, scheme: Literal["light", "dark"]
) -> None:
    with alice.page() as chat:
        chat.answered(chat.say("[[tokens=40]]"))
    page = windows.open(admin, MODELS, scheme=scheme)
    page.get_by_role("link", name="Report on alpha-7B").click()
    expect(page.get_by_role("rowheader", name="Replies", exact=True)).to_be_visible()
    expect(page.get_by_role("img", name="Replies that ended each day")).to_be_visible()
    assert serious(page) == []
    assert not page.evaluate(SIDEWAYS)
    page.goto(f"{admin.url}{MODELS}report/?model=alpha-7B&model=beta-8B-Q5&model={'n' * 40}")
    expect(page.get_by_role("alert")).to_contain_text("Nothing is known of a model")
    page.goto(f"{admin.url}{MODELS}")
    for name in ("alpha-7B", "beta-8B-Q5"):
        page.get_by_role("row", name=name).first.get_by_role("checkbox").check()
    page.get_by_role("combobox", name="Action").select_option("compare_selected")
    page.get_by_role("button", name="Go").click()
    expect(page.locator(".gantry-legend li")).to_have_count(2)
    assert serious(page) == []
    assert not page.evaluate(SIDEWAYS)
    windows.complaints.clear()  # axe-core's own: the policy keeps it from reading imported styles
