"""The end stays in sight while text comes, until the reader wants to go up; and again from when he is at the very end."""

from __future__ import annotations

import pytest
from played_events import asked, delta, hello, replied, streaming
from played_site import Site
from playwright.sync_api import Page, expect

GAP = "(({scrollHeight, scrollTop, clientHeight}) => scrollHeight - scrollTop - clientHeight)(scroller)"
LONG = "\n\n".join(f"Paragraph {each}." for each in range(40))


class Stream:
    """A reply that grows by short lines, as fast as a model writes."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.length = self.lines = 0
        first = hello(asked(1, "Why?"), replied(2, LONG, 1), asked(3, "More", 2), streaming(4, "", 3))
        self.page = site.open(first=first)
        expect(self.page.locator(".reply")).to_have_count(2)
        self.page.mouse.move(600, 400)
        self.grow(10)
        expect(self.page.locator(".tail p", has_text="Line 9.")).to_be_in_viewport()

    def grow(self, lines: int) -> None:
        """Let so many lines come, and wait until they are there."""
        for _ in range(lines):
            words = f"Line {self.lines}.\n\n"
            self.site.say(delta(4, self.length, words))
            self.length += len(words)
            self.lines += 1
        expect(self.page.locator(".tail p", has_text=f"Line {self.lines - 1}.")).to_be_attached()


def gap(page: Page) -> float:
    found: float = page.evaluate(GAP)
    return found


@pytest.mark.parametrize("step", [4, 8, 15])
def test_a_small_step_up_lets_go_at_once_while_text_comes(site: Site, step: int) -> None:
    stream = Stream(site)
    page = stream.page
    assert gap(page) <= 1
    page.evaluate("scroller.addEventListener('scroll', () => (window.moved = true), {once: true})")
    page.mouse.wheel(0, -step)
    stream.grow(3)
    site.until(lambda: page.evaluate("window.moved"))
    before = page.evaluate("scroller.scrollTop")
    stream.grow(30)
    assert page.evaluate("scroller.scrollTop") == before
    expect(page.locator("#jump")).to_be_visible()


@pytest.mark.parametrize("key", ["ArrowUp", "PageUp", "Home"])
def test_a_key_up_lets_go(site: Site, key: str) -> None:
    stream = Stream(site)
    page = stream.page
    page.locator("#scroller").focus()
    page.evaluate("scroller.addEventListener('scroll', () => (window.moved = true), {once: true})")
    page.keyboard.press(key)
    site.until(lambda: page.evaluate("window.moved"))
    stream.grow(30)
    assert gap(page) > 160
    expect(page.locator("#jump")).to_be_visible()


def test_a_finger_that_pulls_down_lets_go(site: Site) -> None:
    stream = Stream(site)
    page = stream.page
    session = page.context.new_cdp_session(page)
    touch = {"id": 1, "x": 600}
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{**touch, "y": 400}]})
    for y in (420, 430, 440):
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{**touch, "y": y}]})
        stream.grow(1)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    stream.grow(30)
    expect(page.locator("#jump")).to_be_visible()


def test_the_end_is_taken_up_again_only_at_the_very_end(site: Site) -> None:
    stream = Stream(site)
    page = stream.page
    page.mouse.wheel(0, -200)
    site.until(lambda: gap(page) > 190)
    page.mouse.wheel(0, gap(page) - 10)
    site.until(lambda: gap(page) < 12)
    stream.grow(10)
    assert gap(page) > 100

    page.mouse.wheel(0, 5_000)
    site.until(lambda: gap(page) <= 1)
    stream.grow(10)
    assert gap(page) <= 1


def test_a_wheel_without_a_way_up_lets_go_of_nothing(site: Site) -> None:
    page = site.open(first=hello(asked(1, "Why?"), streaming(2, "", 1)))
    expect(page.locator(".reply")).to_have_count(1)
    page.mouse.move(600, 400)
    page.mouse.wheel(0, -100)
    site.say(delta(2, 0, LONG))
    expect(page.locator(".tail p", has_text="Paragraph 39.")).to_be_in_viewport()
