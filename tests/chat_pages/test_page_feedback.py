"""Feedback on a reply, on its page: two thumbs, a form for words, and what the administrators would be shown."""

from __future__ import annotations

from typing import Any

from played_events import asked, hello, message, replied, streaming
from played_site import Site
from playwright.sync_api import Page, expect

QUESTION, REPLY = asked(1, "How does a loom work?"), replied(2, "It has a **warp**.", 1)
PATH = "/api/replies/2/feedback"


def given(thumb: str = "up", words: str = "", *, attached: bool = False) -> dict[str, Any]:
    return {"thumb": thumb, "words": words, "attached": attached}


def told(feedback: dict[str, Any] | None) -> dict[str, Any]:
    return {"type": "feedback", "id": 2, "feedback": feedback}


def opened(site: Site, **fields: Any) -> Page:
    return site.open(first=hello(QUESTION, REPLY | fields))


def pressed(page: Page) -> list[str | None]:
    """Whether “Good reply” and “Bad reply” are pressed."""
    return [
        page.get_by_role("button", name=name).get_attribute("aria-pressed")
        for name in ("Good reply", "Bad reply")
    ]


def test_a_thumb_is_kept_by_keyboard_and_said_aloud_and_pressing_again_takes_it_back(site: Site) -> None:
    page = opened(site)
    good = page.get_by_role("button", name="Good reply")
    assert pressed(page) == ["false", "false"]
    site.served.answers["PUT", PATH] = (200, given())
    good.focus()
    page.keyboard.press("Enter")
    expect(good).to_have_attribute("aria-pressed", "true")
    expect(good).to_be_focused()
    expect(page.get_by_role("status").filter(has_text="Thank you")).to_be_visible()
    assert site.asked("PUT", PATH) == {"thumb": "up", "words": "", "attach": False}
    expect(page.get_by_label("What was good about it?")).to_be_visible()
    site.served.answers["DELETE", PATH] = (204, None)
    page.keyboard.press("Enter")
    expect(good).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_label("What was good about it?")).to_have_count(0)


def test_words_are_written_and_what_is_attached_is_shown_before_it_is_sent(site: Site) -> None:
    page = opened(site, feedback=given("down"))
    page.get_by_role("button", name="Add words").click()
    words = page.get_by_label("What was wrong with it?")
    expect(words).to_be_focused()
    words.fill("Too short.")
    shown = page.locator(".feedback-shown")
    expect(shown).to_be_hidden()
    page.get_by_label("Show the administrators").check()
    expect(shown.locator("div")).to_have_text(["How does a loom work?", "It has a **warp**."])
    assert [call[0] for call in site.served.calls if call[1] == PATH] == []
    site.served.answers["PUT", PATH] = (200, given("down", "Too short.", attached=True))
    page.get_by_role("button", name="Save").click()
    assert site.asked("PUT", PATH) == {"thumb": "down", "words": "Too short.", "attach": True}
    expect(page.locator(".feedback .note")).to_contain_text("“Too short.”")
    expect(page.get_by_text("shown with this question and reply")).to_be_visible()
    expect(page.get_by_role("button", name="Bad reply")).to_be_focused()


def test_escape_closes_the_form_and_nothing_is_sent(site: Site) -> None:
    page = opened(site, feedback=given(words="Clear."))
    page.get_by_role("button", name="Change").click()
    page.get_by_label("What was good about it?").fill("No")
    page.keyboard.press("Escape")
    expect(page.locator(".feedback form")).to_have_count(0)
    expect(page.locator(".feedback .note")).to_contain_text("“Clear.”")
    expect(page.get_by_role("button", name="Good reply")).to_be_focused()
    assert [call for call in site.served.calls if call[1] == PATH] == []


def test_what_cannot_be_kept_is_said_and_the_form_stays(site: Site) -> None:
    page = opened(site, feedback=given())
    page.get_by_role("button", name="Add words").click()
    page.get_by_label("What was good about it?").fill("Clear.")
    site.served.answers["PUT", PATH] = (429, {"detail": "Wait a moment."})
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Wait a moment.")).to_be_visible()
    expect(page.get_by_label("What was good about it?")).to_have_value("Clear.")
    page.get_by_role("button", name="Bad reply").click()
    expect(page.get_by_text("Wait a moment.")).to_have_count(2)
    assert pressed(page) == ["true", "false"]


def test_another_page_of_the_same_person_shows_what_changes_and_keeps_what_is_being_written(
    site: Site,
) -> None:
    page = opened(site)
    site.say(told(given("down", "Slow.")))
    expect(page.locator(".feedback .note")).to_contain_text("“Slow.”")
    page.get_by_role("button", name="Change").click()
    page.get_by_label("What was wrong with it?").fill("Very slow.")
    site.say(told(given("up", "Slow.")), message(REPLY | {"feedback": given("up")}))
    expect(page.get_by_role("button", name="Good reply")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".feedback textarea")).to_have_value("Very slow.")
    site.say(told(None))
    expect(page.locator(".feedback form")).to_have_count(0)
    assert pressed(page) == ["false", "false"]


def test_a_reply_that_is_being_written_has_no_thumbs(site: Site) -> None:
    page = site.open(first=hello(QUESTION, streaming(2, "It has", 1)))
    expect(page.locator(".tail")).to_have_text("It has")
    expect(page.get_by_role("button", name="Good reply")).to_have_count(0)
    site.say(message(REPLY | {"revision": 2}))
    expect(page.get_by_role("button", name="Good reply")).to_be_visible()
