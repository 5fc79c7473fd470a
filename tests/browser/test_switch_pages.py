"""A switch as the pages show it: to those who come late or may not switch, and when it fails."""

from __future__ import annotations

import re

import pytest
from paths.test_permissions import made_staff
from playwright.sync_api import expect
from support.people import Person, add_user
from support.system import manage
from support.tabby import Tabby
from system.running import Gantry
from windows import MODELS, Windows, ask_to_switch, model_is, say, status_is

STEP_2 = re.compile(r"Step 2: Loading slow-13B… \d+%")


PROMOTE = """
from django.contrib.auth.models import Permission, User
User.objects.filter(username="onlooker").update(is_staff=True)
User.objects.get(username="onlooker").user_permissions.add(Permission.objects.get(codename="view_tabbymodel"))
"""


@pytest.fixture(scope="session")
def onlooker(gantry: Gantry, admin: Person) -> Person:
    """Somebody of the staff who may see the models, and not change them."""
    person = add_user(admin, "onlooker")
    manage(gantry, "shell", "-c", PROMOTE).check_returncode()
    return person


def test_a_page_opened_in_mid_switch_shows_where_it_stands(
    tabby: Tabby, admin: Person, windows: Windows
) -> None:
    tabby.state(seconds_per_module={"slow-13B": 0.5})
    first = windows.open(admin, MODELS)
    second = windows.open(admin, MODELS)
    ask_to_switch(first, "slow-13B").get_by_role("button", name="Switch").click()
    for page in (first, second):
        expect(page.locator("#gantry-banner")).to_contain_text(STEP_2)
    first.reload()
    expect(first.locator("#gantry-banner")).to_contain_text(STEP_2)
    expect(first.locator("#gantry-banner progress")).to_be_visible()
    expect(first.locator("#result_list").get_by_role("link", name="Switch")).to_have_count(0)
    tabby.state(seconds_per_module={"slow-13B": 0.01})
    for page in (first, second):
        expect(page.locator("#gantry-banner")).to_contain_text("✓ Model switched successfully!")
        expect(page.locator("#result_list tbody tr", has_text="slow-13B")).to_contain_text("✓ Active")


def test_without_the_permission_there_are_no_buttons(
    tabby: Tabby, onlooker: Person, windows: Windows
) -> None:
    page = windows.open(onlooker, MODELS)
    expect(page.locator("#result_list tbody tr", has_text="alpha-7B")).to_contain_text("✓ Active")
    for name in ("Switch", "Unload", "Refresh"):
        expect(page.locator("#content").get_by_role("link", name=name, exact=True)).to_have_count(0)
        expect(page.locator("#content").get_by_role("button", name=name, exact=True)).to_have_count(0)


def test_what_is_taken_away_vanishes_from_an_open_page(tabby: Tabby, admin: Person, windows: Windows) -> None:
    olaf = made_staff(admin, add_user(admin, "olaf"), "Model operators")
    page = windows.open(olaf, MODELS)
    buttons = page.locator("#content").get_by_role("link", name=re.compile("^(Switch|Unload|Load)"))
    expect(buttons.first).to_be_visible()
    tabby.state(seconds_per_module={"slow-13B": 0.2})
    admin.start_switch("slow-13B")
    cancel = page.get_by_role("button", name="Cancel")
    expect(cancel).to_be_visible()
    made_staff(admin, olaf)
    tabby.state(seconds_per_module={"slow-13B": 0.01})
    expect(page.locator("#gantry-banner")).to_contain_text("slow-13B is loaded")
    expect(buttons).to_have_count(0)
    expect(cancel).to_have_count(0)
    made_staff(admin, olaf, staff=False)
    admin.start_switch("beta-8B-Q5")
    expect(page.locator("#content")).to_contain_text("not authorized to access this page")


def test_an_unloaded_model_is_told_and_the_next_one_answers_what_waits(
    tabby: Tabby, admin: Person, alice: Person, windows: Windows
) -> None:
    chat = windows.open(alice, "/")
    model_is(chat, "ready")
    page = windows.open(admin, MODELS)
    page.locator("#result_list tbody tr", has_text="alpha-7B").get_by_role("link", name="Unload").click()
    page.locator("#gantry-dialog").get_by_role("button", name="Unload").click()
    expect(page.locator("#gantry-banner")).to_contain_text("✓ Model unloaded successfully")
    model_is(chat, "unloaded", "Model not available")
    reply = say(chat, "[[echo]]Still here.")
    status_is(reply, "queued")
    expect(reply).to_contain_text("Model not available: an administrator must load one")
    page.locator("#result_list tbody tr", has_text="beta-8B").locator("a[data-dialog]").click()
    page.locator("#gantry-dialog").get_by_role("button", name="Load").click()
    status_is(reply, "complete")
    expect(reply.locator(".prose")).to_have_text("Still here.")
    model_is(chat, "ready", "beta-8B-Q5")


def test_a_failed_switch_says_why_and_that_all_is_as_before(
    tabby: Tabby, admin: Person, alice: Person, windows: Windows
) -> None:
    chat = windows.open(alice, "/")
    model_is(chat, "ready", "alpha-7B")
    page = windows.open(admin, MODELS)
    ask_to_switch(page, "huge-70B").get_by_role("button", name="Switch").click()
    banner = page.locator("#gantry-banner")
    expect(banner).to_contain_text("CUDA out of memory")
    expect(banner).to_contain_text("Rolled back: alpha-7B is loaded again")
    expect(page.locator("#result_list tbody tr", has_text="alpha-7B")).to_contain_text("✓ Active")
    expect(chat.locator("#toasts")).to_contain_text("Switching to huge-70B failed")
    model_is(chat, "ready", "alpha-7B")
