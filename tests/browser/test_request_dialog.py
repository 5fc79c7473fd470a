"""Somebody asks for a model in the chat; an administrator switches to it, or declines, with one click; the asker is told."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from support.people import Person
from support.tabby import Tabby
from windows import MODELS, PHONE, Windows, model_is

WANTED = "beta-8B-Q5"


def ask(page: Page, reason: str) -> None:
    page.locator("#model").click()
    dialog = page.get_by_role("dialog", name="Models")
    dialog.get_by_role("button", name=f"Ask for {WANTED}").click()
    dialog.get_by_label(f"Why {WANTED}?").fill(reason)
    dialog.get_by_role("button", name="Send request").click()
    expect(dialog).to_contain_text("The administrators see that you ask for")
    expect(dialog.get_by_role("button", name=f"Withdraw the request for {WANTED}")).to_be_visible()


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [each["id"] for each in found if each["impact"] in ("serious", "critical")]


def test_a_request_is_granted_with_one_click_and_the_asker_is_told(
    tabby: Tabby, admin: Person, alice: Person, windows: Windows
) -> None:
    models = windows.open(admin, MODELS)
    chat = windows.open(alice, "/")
    model_is(chat, "ready")
    ask(chat, "for <b>code</b> & tables")
    assert serious(chat) == []
    requests = models.locator("#gantry-requests")
    expect(requests).to_contain_text(f"alice asks for {WANTED}")
    expect(requests).to_contain_text("for <b>code</b> & tables")
    assert serious(models) == []
    requests.get_by_role("button", name=f"Switch to {WANTED}").click()
    expect(models.locator("#gantry-banner")).to_contain_text("✓ Model switched successfully!")
    expect(requests).not_to_contain_text("asks for")
    chat.get_by_role("dialog", name="Models").get_by_role("button", name="Close").click()
    notice = chat.locator("#notices")
    expect(notice).to_contain_text(f"{WANTED} is loaded, as you asked.")
    notice.get_by_role("button", name="Put away").click()
    expect(notice).not_to_contain_text("as you asked")
    again = windows.open(alice, "/")
    model_is(again, "ready", WANTED)
    expect(again.locator("#notices")).not_to_contain_text("as you asked")


def test_the_keyboard_stays_where_it_is_and_what_is_equal_stays_too(
    tabby: Tabby, admin: Person, alice: Person, bob: Person, windows: Windows
) -> None:
    def ask_for(person: Person, model: str) -> str:
        answer = person.call("POST", "/api/models/requests", {"model_id": model}).json()
        return f"/api/models/requests/{answer['request']['id']}"

    asked, other = ask_for(alice, WANTED), ask_for(bob, "slow-13B")
    models = windows.open(admin, MODELS)
    decline = models.get_by_role("link", name="Decline the request of bob for slow-13B")
    decline.focus()
    models.evaluate("document.querySelector('#gantry-state h2').stayed = true")
    alice.call("DELETE", asked)
    expect(models.locator("#gantry-requests")).not_to_contain_text("alice")
    expect(decline).to_be_focused()
    assert models.evaluate("document.querySelector('#gantry-state h2').stayed")
    bob.call("DELETE", other)
    expect(models.locator("#gantry-requests")).not_to_contain_text("bob")


def test_who_was_away_is_told_at_the_next_visit_why_it_was_declined(
    tabby: Tabby, admin: Person, alice: Person, windows: Windows
) -> None:
    chat = windows.open(alice, "/", size=PHONE)
    model_is(chat, "ready")
    ask(chat, "")
    chat.context.close()
    models = windows.open(admin, MODELS)
    models.get_by_role("link", name=f"Decline the request of alice for {WANTED}").click()
    dialog = models.locator("#gantry-dialog")
    dialog.get_by_label("Why").fill("Too slow for everybody else.")
    dialog.get_by_role("button", name="Decline").click()
    expect(models.locator(".messagelist")).to_contain_text("alice is told")
    back = windows.open(alice, "/", size=PHONE)
    notice = back.locator("#notices")
    expect(notice).to_contain_text("declined: “Too slow for everybody else.”")
    assert serious(back) == []
    notice.get_by_role("button", name="Put away").click()
    expect(notice).not_to_contain_text("declined")
