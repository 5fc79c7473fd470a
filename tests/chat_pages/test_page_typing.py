"""Typing with an input method: the keys of a composition are its own, in every field, and on the page around them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from played_events import HERE, TITLE, asked, details, hello, listed, replied, streaming
from played_server import OTHER
from played_site import Site
from playwright.sync_api import Page, expect

TALK = (asked(1, "First"), replied(2, "Reply", 1))
# Both ways in which browsers say that a key is a composition's; Safari's Enter that ends one is the second.
SAID = [{"isComposing": True}, {"keyCode": 229, "isComposing": False}]


def press(page: Page, key: str, said: dict[str, Any]) -> bool:
    """Have a composition's key reach whatever has the focus; whether the page let it have its own effect."""
    untouched: bool = page.evaluate(
        """([key, said]) => document.activeElement.dispatchEvent(
             new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true, ...said}))""",
        [key, said],
    )
    return untouched


@pytest.mark.parametrize("said", SAID)
def test_a_compositions_enter_does_not_send(site: Site, said: dict[str, Any]) -> None:
    page = site.open()
    box = page.locator("#composer-text")
    box.fill("にほ")
    assert press(page, "Enter", said)
    expect(box).to_have_value("にほ")
    page.keyboard.press("Enter")
    assert [frame["text"] for frame in site.sent("send")] == ["にほ"]


@pytest.mark.parametrize("said", SAID)
def test_a_compositions_escape_does_not_stop_a_reply(site: Site, said: dict[str, Any]) -> None:
    page = site.open(first=hello(asked(1, "First"), streaming(2, "Well", 1)))
    page.locator("#composer-text").fill("にほ")
    assert press(page, "Escape", said)
    page.keyboard.press("Escape")
    assert len(site.sent("stop")) == 1


@pytest.mark.parametrize("said", SAID)
def test_a_compositions_keys_neither_send_nor_lose_an_edit(site: Site, said: dict[str, Any]) -> None:
    page = site.open(first=hello(*TALK))
    page.locator(".msg.user").hover()
    page.get_by_role("button", name="Edit").click()
    editor = page.get_by_role("textbox", name="Edit your message")
    editor.fill("にほんご")
    assert press(page, "Enter", said)
    assert press(page, "Escape", said)
    expect(editor).to_have_value("にほんご")
    page.keyboard.press("Enter")
    assert [frame["text"] for frame in site.sent("edit")] == ["にほんご"]


@pytest.mark.parametrize("said", SAID)
def test_a_compositions_keys_do_not_end_renaming(site: Site, said: dict[str, Any]) -> None:
    path = f"/api/conversations/{HERE}"
    site.served.answers["PATCH", path] = (200, details(HERE, "日本"))
    page = site.open()
    page.get_by_role("button", name=f"Options for {TITLE}").click()
    page.get_by_role("menuitem", name="Rename").click()
    field = page.get_by_role("textbox", name="Title")
    field.fill("日本")
    assert press(page, "Enter", said)
    assert press(page, "Escape", said)
    expect(field).to_be_focused()
    page.keyboard.press("Enter")
    assert site.asked("PATCH", path) == {"title": "日本"}


@pytest.mark.parametrize("said", SAID)
def test_a_compositions_keys_do_not_choose_what_a_search_found(site: Site, said: dict[str, Any]) -> None:
    page = site.open()
    page.keyboard.press("Control+k")
    expect(page.locator(".result")).to_have_count(2)
    for key in ("ArrowDown", "Enter"):
        assert press(page, key, said)
    expect(page.locator(".result").first).to_have_attribute("aria-selected", "true")
    assert page.url.endswith(f"/c/{HERE}/")


def test_a_real_composition_is_finished_before_anything_is_sent(site: Site) -> None:
    page = site.open(first=hello(asked(1, "First"), streaming(2, "Well", 1)))
    page.locator("#composer-text").focus()
    composed = {"selectionStart": 2, "selectionEnd": 2, "text": "にほ"}
    session = page.context.new_cdp_session(page)
    session.send("Input.imeSetComposition", composed)
    page.keyboard.press("Escape")
    session.send("Input.imeSetComposition", composed)
    page.keyboard.press("Enter")
    session.send("Input.insertText", {"text": "日本"})
    expect(page.locator("#composer-text")).to_have_value(re.compile("日本"))
    assert site._of("send") + site._of("stop") == []


ARABIC = "مرحبا، كيف حالك؟"


def test_what_is_written_from_right_to_left_stands_so(site: Site) -> None:
    both = f"{ARABIC}\nEnglish"
    talk = (asked(1, both), streaming(2, f"{ARABIC}\n- {ARABIC}\n\nEnglish\n```\nprint()", 1))
    site.served.boot = {"list": {"conversations": [listed(HERE, TITLE), listed(OTHER, ARABIC)], "next": None}}
    page = site.open(first=hello(*talk))
    page.locator("#composer-text").fill(ARABIC)
    page.locator(".msg.user").hover()
    page.get_by_role("button", name="Edit").click()
    direction = "each => getComputedStyle(each).direction"
    places = (
        "#composer-text",
        ".editor textarea",
        f".row a:text('{ARABIC}')",
        ".tail ul",
        ".tail p",
    )
    for place in places:
        assert page.locator(place).first.evaluate(direction) == "rtl", place
    for place in (f".row a:text('{TITLE}')", ".tail p >> nth=1", ".tail code"):
        assert page.locator(place).evaluate(direction) == "ltr", place
    page.get_by_role("button", name="Cancel").first.click()
    page.get_by_role("button", name=f"Options for {ARABIC}").click()
    page.get_by_role("menuitem", name="Rename").click()
    assert page.get_by_role("textbox", name="Title").evaluate(direction) == "rtl"
    # each line of a message by itself: the first begins at the right, the second at the left
    starts = page.locator(".bubble").evaluate(
        """bubble => {
          const range = document.createRange(), text = bubble.firstChild, all = bubble.getBoundingClientRect();
          const ends = [[0, text.data.indexOf("\\n")], [text.data.indexOf("\\n") + 1, text.data.length]];
          return ends.map(([from, to]) => {
            range.setStart(text, from); range.setEnd(text, to);
            const line = range.getBoundingClientRect();
            return [line.left - all.left, all.right - line.right];
          });
        }"""
    )
    assert starts[0][1] <= starts[0][0]
    assert starts[1][0] < starts[1][1]
