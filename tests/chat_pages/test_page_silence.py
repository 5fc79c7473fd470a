"""A network that swallows packets closes nothing: the page looks for a sign of life, says what is so, and comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from played_events import HERE, TITLE, asked, hello, message, streaming
from played_server import Served
from played_site import Site
from playwright.sync_api import expect

SECOND = 1000
WOKEN = "window.dispatchEvent(new Event('online'))"


@pytest.fixture
def clocked(_window: Site, served: Served) -> Iterator[Site]:
    """A browser of its own, whose clock the test moves."""
    browser = _window.page.context.browser
    assert browser
    context = browser.new_context(viewport={"width": 1200, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    page.clock.install()
    site = Site(page, served)
    yield site
    served.heard_again.set()
    context.close()
    assert site.complaints == []


def test_a_quiet_connection_is_asked_for_a_sign_of_life(clocked: Site) -> None:
    page = clocked.open()
    expect(page.locator("#model")).to_have_attribute("data-state", "ready")
    page.clock.run_for(20 * SECOND)
    assert clocked.pings == 0
    page.clock.run_for(11 * SECOND)
    clocked.until(lambda: clocked.pings == 1, "a ping")
    page.clock.run_for(15 * SECOND)
    expect(page.locator("#banner")).to_be_hidden()
    assert clocked.pings == 1
    assert len(clocked.paths) == 1


@pytest.mark.parametrize("woken", [WOKEN, "document.dispatchEvent(new Event('visibilitychange'))"])
def test_a_page_that_is_looked_at_again_sees_that_its_connection_is_dead(clocked: Site, woken: str) -> None:
    page = clocked.open(first=hello(asked(1, "Why?"), streaming(2, "Well", 1)))
    expect(page.locator("#model")).to_have_attribute("data-state", "ready")
    clocked.silent = True
    page.evaluate(woken)
    clocked.until(lambda: clocked.pings == 1, "a ping")
    page.clock.run_for(5 * SECOND)
    expect(page.locator("#banner")).to_contain_text(
        "Not up to date: nothing has been heard from the server since"
    )
    clocked.silent = False
    clocked.hello = hello(asked(1, "Why?"), streaming(2, "Well, because", 1))
    page.clock.run_for(7 * SECOND)
    clocked.until(lambda: len(clocked.paths) == 2, "a second connection")
    expect(page.locator(".reply .prose")).to_have_text("Well, because")
    expect(page.locator("#banner")).to_be_hidden()


def test_a_machine_that_slept_looks_at_its_connection(clocked: Site) -> None:
    page = clocked.open()
    expect(page.locator("#model")).to_have_attribute("data-state", "ready")
    page.clock.fast_forward(2 * 60 * 60 * SECOND)  # timers fire once, late: as after sleep
    clocked.until(lambda: clocked.pings >= 1, "a ping")


def test_a_sign_of_life_ends_the_doubt(clocked: Site) -> None:
    page = clocked.open()
    expect(page.locator("#model")).to_have_attribute("data-state", "ready")
    clocked.silent = True
    page.locator("#composer-text").fill("Are you there?")
    page.keyboard.press("Enter")
    (frame,) = clocked.sent("send")
    expect(page.locator(".msg.pending .note")).to_have_text("Sending…")
    page.clock.run_for(5 * SECOND)
    expect(page.locator("#banner")).to_contain_text("Not up to date")
    expect(page.locator(".msg.pending .note")).to_contain_text("Not sent yet")
    clocked.silent = False
    clocked.say(message(asked(1, frame["text"], client_id=frame["client_id"])))
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator(".msg.user")).to_have_count(1)
    assert len(clocked.paths) == 1


def test_the_first_message_of_a_chat_says_what_is_so_and_goes_out_when_it_can(clocked: Site) -> None:
    page = clocked.open("/")
    expect(page.locator("#model")).to_have_attribute("data-state", "ready")
    clocked.silent = clocked.served.silent = True
    page.locator("#composer-text").fill("The first")
    page.keyboard.press("Enter")
    tried = clocked.asked("POST", "/api/conversations")
    expect(page.locator(".msg.pending .note")).to_have_text("Sending…")
    page.clock.run_for(5 * SECOND)
    expect(page.locator("#banner")).to_contain_text("Not up to date")
    expect(page.locator(".msg.pending .note")).to_contain_text("Not sent yet")

    clocked.served.answers["POST", "/api/conversations"] = (201, {"id": HERE, "title": TITLE})
    clocked.silent = clocked.served.silent = False
    clocked.hello = hello()
    page.clock.run_for(30 * SECOND)
    frame, *again = clocked.sent("send")
    assert frame["text"] == "The first"
    assert all(
        each == frame for each in again
    )  # it is sent again until it is acknowledged, which is harmless
    calls = [
        body
        for method, path, body in clocked.served.calls
        if (method, path) == ("POST", "/api/conversations")
    ]
    assert len(calls) > 1
    assert {each["id"] for each in calls} == {tried["id"]}  # whichever arrives, it is one conversation
    assert f"/ws/chat/{HERE}/" in clocked.paths
    clocked.say(message(asked(1, frame["text"], client_id=frame["client_id"])))
    expect(page.locator(".msg.pending")).to_have_count(0)


@pytest.mark.parametrize(("chance", "after"), [(0, 4), (1, 20)], ids=["15 s", "30 s"])
def test_a_page_that_sent_too_much_comes_back_later(clocked: Site, chance: int, after: int) -> None:
    page = clocked.open()
    expect(page.locator("#model")).to_have_attribute("data-state", "ready")
    # What chance decides is fixed, and so is the time: a slow machine's connection would be given up as one that hangs.
    page.evaluate(f"Math.random = () => {chance}")
    page.clock.pause_at(page.evaluate("Date.now()") / SECOND + 1)
    clocked.cut(4429)
    banner = page.locator("#banner")
    clocked.until(lambda: page.clock.run_for(SECOND // 4) or banner.is_visible(), "the banner")
    expect(banner).to_contain_text("This page sent too much at once.")
    page.clock.run_for(12 * SECOND)
    assert len(clocked.paths) == 1
    page.clock.run_for(after * SECOND)
    clocked.until(lambda: len(clocked.paths) == 2, "a second connection")
    expect(page.locator("#banner")).to_be_hidden()
