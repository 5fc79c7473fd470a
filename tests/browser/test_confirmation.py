"""The dialog that asks before a switch, and the page with the same content that its form leads to."""

from __future__ import annotations

import re

from playwright.sync_api import expect
from support.people import Person
from support.tabby import Tabby
from windows import MODELS, Windows, ask_to_switch, model_is, say, status_is

ROOM = "e => e.closest('.gantry-field')?.querySelector('label').textContent ?? ''"


def test_each_error_stands_at_its_field_and_the_first_has_the_focus(
    tabby: Tabby, admin: Person, windows: Windows
) -> None:
    page = windows.open(admin, MODELS)
    dialog = ask_to_switch(page, "beta-8B-Q5")
    dialog.get_by_text("Load options for this once").click()
    dialog.get_by_label("Cache size").fill("1000")
    dialog.locator("#id_gpu_split").fill("20; x")
    dialog.get_by_role("button", name="Switch").click()
    first, second = page.get_by_label("Cache size"), page.locator("#id_gpu_split")
    expect(first).to_be_focused()
    for field, words in ((first, "multiple of 256"), (second, "numbers, one for each GPU")):
        expect(field).to_have_attribute("aria-invalid", "true")
        error = page.locator(".errorlist", has_text=words)
        described = (field.get_attribute("aria-describedby") or "").split()
        assert error.get_attribute("id") in described
        assert error.evaluate(ROOM) == page.locator(f"label[for={field.get_attribute('id')}]").inner_text()
    assert page.locator(".errorlist").count() == 2


def test_an_open_confirmation_follows_what_happens_meanwhile(
    tabby: Tabby, admin: Person, alice: Person, windows: Windows
) -> None:
    tabby.state(seconds_per_module={"beta-8B-Q5": 0.3})
    page = windows.open(admin, MODELS)
    dialog = ask_to_switch(page, "slow-13B")
    change, button = dialog.locator(".gantry-change"), dialog.get_by_role("button", name="Switch")
    expect(change).to_have_text(re.compile(r"alpha-7B\s*→\s*slow-13B"))
    expect(dialog).to_contain_text("no replies in flight")
    dialog.get_by_text("How this is estimated").click()
    dialog.get_by_label("Replies in flight may take").fill("7")
    chat = windows.open(alice, "/")
    model_is(chat, "ready")
    reply = say(chat, "[[tokens=300]]")
    expect(dialog).to_contain_text("1 reply in flight (1 person)")
    expect(dialog).to_contain_text("for the reply in flight")
    expect(dialog.get_by_text("GB = parameters")).to_be_visible()
    status_is(reply, "complete")
    expect(dialog).to_contain_text("no replies in flight")
    admin.start_switch("beta-8B-Q5")
    expect(dialog.get_by_role("alert")).to_contain_text("Another change is under way: a switch to beta-8B-Q5")
    expect(button).to_have_count(0)
    tabby.state(seconds_per_module={"beta-8B-Q5": 0.01})
    expect(change).to_have_text(re.compile(r"beta-8B-Q5\s*→\s*slow-13B"))
    expect(dialog.get_by_label("Replies in flight may take")).to_have_value("7")
    expect(button).to_be_visible()
    button.click()
    expect(page.locator("#gantry-banner")).to_contain_text("slow-13B is loaded")


def test_only_a_click_that_begins_and_ends_beside_it_closes_an_untouched_dialog(
    tabby: Tabby, admin: Person, windows: Windows
) -> None:
    page = windows.open(admin, MODELS)
    dialog = ask_to_switch(page, "slow-13B")
    box = dialog.bounding_box()
    assert box
    page.mouse.click(box["x"] + 5, box["y"] + 5)
    expect(dialog).to_be_visible()
    field = dialog.get_by_label("Replies in flight may take")
    field.hover()
    page.mouse.down()
    page.mouse.move(box["x"] - 40, box["y"] + 5)
    page.mouse.up()
    expect(dialog).to_be_visible()
    field.fill("7")
    page.mouse.click(box["x"] - 40, box["y"] + 5)
    expect(dialog).to_be_visible()
    expect(field).to_have_value("7")
    field.fill("")
    page.mouse.click(box["x"] - 40, box["y"] + 5)
    expect(dialog).to_be_hidden()
    ask_to_switch(page, "slow-13B").get_by_role("link", name="Cancel").click()
    expect(dialog).to_be_hidden()


def test_after_it_the_focus_is_where_it_was_though_the_button_is_another(
    tabby: Tabby, admin: Person, windows: Windows
) -> None:
    tabby.state(seconds_per_module={"slow-13B": 0.5})
    page = windows.open(admin, MODELS)
    dialog = ask_to_switch(page, "beta-8B-Q5")
    admin.start_switch("slow-13B")
    row = page.locator("#result_list tbody tr", has_text="beta-8B-Q5")
    expect(row.locator("[aria-disabled]")).to_be_attached()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(row.get_by_role("link").first).to_be_focused()
    tabby.state(seconds_per_module={"slow-13B": 0.01})
