"""A reply and another model's beside it, on its page: asked for, waited for, judged, gone on with."""

from __future__ import annotations

from typing import Any

import pytest
from played_events import LLAMA, QWEN, asked, delta, hello, message, queued, replied, streaming
from played_site import Site
from playwright.sync_api import Locator, Page, expect

QUESTION, REPLY = asked(1, "How does a loom work?"), replied(2, "It has a warp.", 1)
PHONE, WIDE = {"width": 390, "height": 844}, {"width": 1600, "height": 900}


def beside(**fields: Any) -> dict[str, Any]:
    """The comparison with the reply 2."""
    made = replied(3, "Threads cross other threads.", 1, model=QWEN, compared_with=2)
    return made | {"versions": {"index": 1, "count": 1, "ids": [3]}} | fields


def awaiting(**fields: Any) -> dict[str, Any]:
    return beside(status="awaiting", text="", html="", upto=0, model="", usage=None, **fields)


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def pressed(page: Page) -> list[str | None]:
    return [each.get_attribute("aria-pressed") for each in page.locator(".choices button").all()]


def test_another_model_is_asked_by_keyboard_and_it_may_be_cancelled(site: Site) -> None:
    page = site.open(first=hello(QUESTION, REPLY))
    compare = button(page, "Compare with another model")
    compare.focus()
    page.keyboard.press("Enter")
    assert site.sent("compare")[-1]["id"] == 2
    site.say(message(awaiting()))
    panel = page.get_by_role("region", name="Comparison")
    expect(panel).to_contain_text("Another model")
    expect(panel).to_contain_text("Begins when another model is ready")
    expect(compare).to_have_count(0)
    expect(button(page, "Send")).to_be_visible()  # and no Stop: nothing is being written
    button(panel, "Cancel").click()
    assert site.sent("stop")[-1]["id"] == 3
    site.say(message(awaiting(revision=2) | {"status": "stopped"}))
    expect(panel).to_have_count(0)
    expect(compare).to_be_visible()


def test_it_grows_beside_the_reply_while_the_conversation_goes_on(site: Site) -> None:
    page = site.open(first=hello(QUESTION, REPLY, awaiting()))
    panel = page.get_by_role("region", name="Comparison")
    site.say(message(queued(3, 1, compared_with=2, revision=2, queue_position=4)))
    expect(panel).to_contain_text("4")
    site.say(message(streaming(3, "", 1, compared_with=2, revision=3, model=QWEN)), delta(3, 0, "Threads"))
    expect(panel.locator(".tail")).to_have_text("Threads")
    expect(panel.get_by_role("heading")).to_have_text(QWEN)
    expect(button(panel, "Stop")).to_be_visible()
    site.say(message(asked(4, "And a shuttle?", 2)), message(queued(5, 4)))
    expect(page.locator(".messages > .msg")).to_have_count(4)
    site.say(delta(3, 7, " cross"))
    expect(panel.locator(".tail")).to_have_text("Threads cross")
    site.say(message(beside(revision=4)))
    expect(page.get_by_text("Which is better?")).to_be_visible()
    expect(panel.locator(".foot")).to_contain_text(QWEN)


def test_the_reader_says_which_is_better_and_takes_it_back(site: Site) -> None:
    page = site.open(first=hello(QUESTION, REPLY, beside()))
    choices = page.get_by_role("group", name="Which is better?")
    expect(choices.get_by_role("button")).to_have_text([LLAMA, "About the same", QWEN])
    assert pressed(page) == ["false"] * 3
    button(choices, QWEN).focus()
    page.keyboard.press("Enter")
    assert site.sent("judge")[-1] == {"type": "judge", "id": 3, "better": "second"}
    site.say(message(beside(better="second")))
    expect(button(choices, QWEN)).to_have_attribute("aria-pressed", "true")
    expect(button(choices, QWEN)).to_be_focused()
    assert pressed(page) == ["false", "false", "true"]
    button(choices, QWEN).click()
    assert site.sent("judge", 2)[-1] == {"type": "judge", "id": 3, "better": None}
    button(choices, "About the same").click()
    assert site.sent("judge", 3)[-1]["better"] == "same"


def test_the_other_reply_becomes_the_one_that_is_gone_on_with(site: Site) -> None:
    page = site.open(first=hello(QUESTION, REPLY, beside()))
    button(page, f"Go on with {QWEN}’s reply").click()
    assert site.sent("keep")[-1]["id"] == 3
    versions = {"versions": {"index": 2, "count": 2, "ids": [2, 3]}}
    site.say(hello(QUESTION, beside(compared_with=None, revision=2, **versions)))
    expect(page.get_by_role("region", name="Comparison")).to_have_count(0)
    expect(page.locator(".messages > .msg")).to_have_count(2)
    expect(page.locator(".reply")).to_contain_text("Threads cross other threads.")
    expect(page.get_by_role("group", name="Versions")).to_contain_text("2/2")


def test_one_that_failed_says_why_and_is_asked_for_again(site: Site) -> None:
    failed = awaiting() | {"status": "failed", "error": "The model broke off.", "model": QWEN}
    page = site.open(first=hello(QUESTION, REPLY, failed))
    panel = page.get_by_role("region", name="Comparison")
    expect(panel.get_by_role("alert")).to_contain_text("The model broke off.")
    expect(page.get_by_text("Which is better?")).to_have_count(0)
    button(panel, "Retry").click()
    assert site.sent("compare")[-1]["id"] == 2


def test_a_comparison_with_an_earlier_message_stays_beside_it(site: Site) -> None:
    path = "/api/conversations/11111111-2222-4333-8444-555555555555/messages?before=4"
    rest = asked(4, "And a shuttle?", 2), replied(5, "It carries the weft.", 4)
    site.served.answers["GET", path] = (200, {"messages": [QUESTION, REPLY, beside()], "earlier": False})
    page = site.open(first=hello(*rest, earlier=True))
    panel = page.get_by_role("region", name="Comparison")
    expect(panel).to_contain_text("Threads cross other threads.")
    expect(page.locator(".messages > .msg")).to_have_count(4)
    site.say(hello(*rest, earlier=True))  # as after a lost connection
    expect(panel).to_contain_text("Threads cross other threads.")


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_the_two_stand_beside_each_other_where_there_is_room(site: Site, size: Any) -> None:
    long = "word " * 200
    page = site.open(first=hello(QUESTION, REPLY | {"text": long, "html": f"<p>{long}</p>"}, beside()))
    page.set_viewport_size(size)
    own, other = page.locator(".reply .prose").first, page.get_by_role("region", name="Comparison")
    left, right = own.bounding_box(), other.bounding_box()
    assert left is not None
    assert right is not None
    if size is WIDE:
        assert right["x"] >= left["x"] + left["width"]
        assert abs(right["y"] - left["y"]) < 20
        assert left["width"] > 450
    else:
        assert right["y"] >= left["y"] + left["height"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
