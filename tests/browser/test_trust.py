"""What people must be able to trust: their drafts are theirs, and a page knows whether it is up to date."""

from __future__ import annotations

from held_sockets import held_sockets
from playwright.sync_api import Page, expect
from support.people import PASSWORD, Person
from support.system import PASSWORD as ADMINS
from support.tabby import Tabby
from windows import MODELS, Windows, conversation, replies, say, status_is


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#composer-text")).to_be_visible()


def kept(page: Page) -> str:
    """All that is in the browser's storage, but how pages look."""
    words: str = page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    return words


def test_a_draft_is_gone_after_signing_out(
    tabby: Tabby, alice: Person, bob: Person, windows: Windows
) -> None:
    page = windows.open()
    page.goto("/")
    sign_in(page, alice.name)
    say(page, "[[echo]]A chat")
    there = conversation(page)
    page.locator("#composer-text").fill("Half a secret")
    page.reload()
    expect(page.locator("#composer-text")).to_have_value("Half a secret")
    other = page.context.new_page()
    other.goto(there)
    expect(other.locator("#composer-text")).to_have_value("Half a secret")
    other.goto("/")
    other.locator("#composer-text").fill("Another secret")
    other.goto("/")
    expect(other.locator("#composer-text")).to_have_value("Another secret")

    page.get_by_role("button", name="Profile").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("status")).to_contain_text("You have signed out.")
    expect(other.get_by_label("Username")).to_be_visible()  # the other window has been told
    page.wait_for_load_state()
    assert "secret" not in kept(page)

    sign_in(page, bob.name)
    expect(page.locator("#composer-text")).to_have_value("")
    assert "secret" not in kept(page)
    page.get_by_role("button", name="Profile").click()
    page.get_by_role("menuitem", name="Sign out").click()
    sign_in(page, alice.name)
    page.goto(there)
    expect(page.locator("#composer-text")).to_have_value("")


def test_signing_out_of_the_admin_site_counts_too(tabby: Tabby, admin: Person, windows: Windows) -> None:
    page = windows.open(Person(admin.url, admin.name, ADMINS), "/")  # with a session of its own
    page.locator("#composer-text").fill("Half a secret")
    page.goto("/admin/")
    assert "secret" in kept(page)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("status")).to_contain_text("You have signed out.")
    page.wait_for_load_state()  # its scripts have run
    assert "secret" not in kept(page)


def test_a_session_that_ends_otherwise_leaves_nothing_for_the_next(
    tabby: Tabby, alice: Person, bob: Person, windows: Windows
) -> None:
    page = windows.open(alice, "/")
    page.locator("#composer-text").fill("Half a secret")
    page.reload()
    expect(page.locator("#composer-text")).to_have_value("Half a secret")
    page.context.clear_cookies()
    page.goto("/")
    assert "secret" in kept(page)  # it may be its owner who comes back
    sign_in(page, bob.name)
    expect(page.locator("#composer-text")).to_have_value("")
    assert "secret" not in kept(page)


def test_a_page_left_open_sends_nothing_in_the_next_persons_name(
    tabby: Tabby, alice: Person, bob: Person, windows: Windows
) -> None:
    page = windows.open(alice, "/")
    expect(page.locator("#model")).to_have_attribute("data-state", "ready")
    page.context.add_cookies([{"name": "session_id", "value": bob.cookie, "url": windows.url}])
    page.locator("#composer-text").fill("In whose name?")
    page.locator("#send").click()
    expect(page.locator(".note.bad")).to_contain_text("Somebody else has signed in in this browser")
    windows.complaints.clear()  # the browser reports the status, too
    assert bob.call("GET", "/api/conversations/search?q=whose").json()["results"] == []


def test_pages_notice_a_network_that_swallows_everything(
    tabby: Tabby, admin: Person, windows: Windows
) -> None:
    with held_sockets(windows.url) as way:
        way.let_go()
        page = windows.open(admin, "/", url=way.url)
        models = windows.open(admin, MODELS, url=way.url)
        say(page, "[[echo]]one")
        status_is(replies(page).first, "complete")
        expect(models.locator("#gantry-link")).to_have_text("")
        way.swallow()
        for each in (page, models):
            each.evaluate("window.dispatchEvent(new Event('online'))")
        expect(page.locator("#banner")).to_contain_text("Not up to date")
        expect(models.locator("#gantry-link")).to_contain_text("Not up to date")
        page.locator("#composer-text").fill("[[echo]]two")
        page.locator("#send").click()
        expect(page.locator(".msg.pending .note")).to_contain_text("Not sent yet")
        expect(page.locator("#banner")).to_contain_text("Connection lost.")
        expect(models.locator("#gantry-link")).to_contain_text("Not live")
        way.pass_on()
        for each in (page, models):
            each.evaluate("window.dispatchEvent(new Event('online'))")
        expect(page.locator("#banner")).to_be_hidden()
        expect(models.locator("#gantry-link")).to_have_text("")
        status_is(replies(page).nth(1), "complete")
        expect(replies(page).nth(1).locator(".prose")).to_have_text("two")
        for each in (page, models):
            each.goto("about:blank")
    windows.complaints.clear()  # of the browser, about handshakes that were given up
