"""The form of an automation rule in a browser: it shows what the chosen trigger uses, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Page, expect
from support.people import Person
from support.tabby import Tabby
from test_accessibility import serious
from windows import PHONE, Windows

RULES = "/admin/models_admin/rule/"
FIELDS = ("what", "days", "at", "only_if_idle", "idle_minutes", "wait_minutes")


def shown(page: Page) -> list[str]:
    return [name for name in FIELDS if page.locator(f".form-row.field-{name}").is_visible()]


@pytest.fixture
def form(tabby: Tabby, admin: Person, windows: Windows) -> Page:
    return windows.open(admin, f"{RULES}add/")


@pytest.fixture
def _no_rules_left(admin: Person) -> Iterator[None]:
    yield
    for line in admin.get(RULES).text.split(f'<a href="{RULES}')[1:]:
        number = line.partition("/")[0]
        if number.isdigit():
            admin.post_form(f"{RULES}{number}/delete/", post="yes")


def test_each_trigger_has_its_fields(form: Page) -> None:
    trigger = form.get_by_label("When:")
    trigger.select_option("idle")
    assert shown(form) == ["idle_minutes"]
    trigger.select_option("start")
    assert shown(form) == ["what"]
    trigger.select_option("time")
    assert shown(form) == list(FIELDS)
    form.get_by_label("Only if idle").uncheck()
    assert shown(form) == ["what", "days", "at", "only_if_idle"]


@pytest.mark.usefixtures("_no_rules_left")
def test_what_is_hidden_does_not_keep_it_from_being_saved(form: Page) -> None:
    form.get_by_label("When:").select_option("time")
    form.locator("#id_wait_minutes").fill("5000")
    form.get_by_label("When:").select_option("start")
    form.get_by_role("button", name="Save", exact=True).click()
    expect(form.locator(".messagelist")).to_contain_text("At the start: load the last model")


@pytest.mark.usefixtures("_no_rules_left")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible_and_fit_a_phone(
    tabby: Tabby, admin: Person, windows: Windows, scheme: Literal["light", "dark"]
) -> None:
    page = windows.open(admin, f"{RULES}add/", scheme=scheme, size=PHONE)
    page.get_by_label("When:").select_option("time")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Choose the model to switch to, or Unload.")).to_be_visible()
    _is_accessible(page, windows)
    page.get_by_label("What:").select_option("unload")
    page.locator("#id_at").fill("08:00")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#result_list")).to_contain_text("Weekdays at 08:00: unload, if idle")
    _is_accessible(page, windows)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def _is_accessible(page: Page, windows: Windows) -> None:
    """What axe-core finds; not its own complaint that the policy keeps it from reading the admin site's imported styles."""
    assert windows.complaints == []
    assert serious(page) == []
    windows.complaints.clear()
