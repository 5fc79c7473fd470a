"""The dialog that asks before a switch, and the page with the same content that its form leads to."""

from __future__ import annotations

from playwright.sync_api import expect
from support.people import Person
from support.tabby import Tabby
from windows import MODELS, Windows, ask_to_switch

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
    for field, words in ((first, "multiple of 256"), (second, "numbers with commas")):
        expect(field).to_have_attribute("aria-invalid", "true")
        error = page.locator(".errorlist", has_text=words)
        described = (field.get_attribute("aria-describedby") or "").split()
        assert error.get_attribute("id") in described
        assert error.evaluate(ROOM) == page.locator(f"label[for={field.get_attribute('id')}]").inner_text()
    assert page.locator(".errorlist").count() == 2
