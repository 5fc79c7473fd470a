"""The chat page in use: versions, overflow, hostile text, a phone, a keyboard and nothing else."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect
from support.people import PASSWORD, Person
from support.tabby import Tabby, until
from windows import PHONE, Windows, conversation, has_word, model_is, replies, say, status_is

HOSTILE = (
    "<script>alert('script')</script>",
    "<img src=x onerror=\"alert('img')\">",
    "<svg onload=\"alert('svg')\"></svg>",
    "<a href=\"javascript:alert('a')\">link</a>",
    "[link](javascript:alert('markdown'))",
    "![image](x\" onerror=\"alert('alt'))",
    "<iframe srcdoc=\"<script>parent.alert('iframe')</script>\"></iframe>",
    "</article></div><style>body{display:none}</style>\"><script>alert('out')</script>",
    "```html\n<script>alert('fence')</script>\n```",
    "{{ constructor.constructor(\"alert('template')\")() }}",
)


def test_edits_and_regenerations_keep_the_earlier_versions(
    tabby: Tabby, alice: Person, windows: Windows
) -> None:
    page = windows.open(alice, "/")
    status_is(say(page, "[[echo]]first"), "complete")
    page.locator("article.user").hover()
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Edit your message").fill("[[echo]]second")
    page.keyboard.press("Enter")
    reply = replies(page).first
    expect(reply.locator(".prose")).to_have_text("second")
    status_is(reply, "complete")
    versions = page.locator("article.user .versions")
    expect(versions).to_contain_text("2/2")
    versions.get_by_role("button", name="Earlier version").click()
    expect(replies(page).first.locator(".prose")).to_have_text("first")
    expect(page.locator("article.user .versions")).to_contain_text("1/2")

    replies(page).first.get_by_role("button", name="Regenerate").click()
    again = replies(page).first
    expect(again.locator(".versions")).to_contain_text("2/2")
    status_is(again, "complete")
    page.reload()
    expect(replies(page).first.locator(".versions")).to_contain_text("2/2")


def test_an_overflowing_context_leaves_out_the_oldest_and_says_so(
    tabby: Tabby, alice: Person, windows: Windows
) -> None:
    page = windows.open(alice, "/")
    model_is(page, "ready", "alpha-7B")
    status_is(say(page, "[[echo rate=0]]" + "old words " * 600), "complete")
    reply = say(page, "[[echo rate=0]]short again" + " and more words" * 300)
    status_is(reply, "complete")
    expect(reply).to_contain_text(re.compile(r"left out|not given", re.IGNORECASE))


@pytest.mark.parametrize("where", ["prompt", "reply"])
def test_hostile_text_is_only_text(tabby: Tabby, alice: Person, windows: Windows, where: str) -> None:
    page = windows.open(alice, "/")
    text = "\n\n".join(HOSTILE)
    if where == "prompt":
        status_is(say(page, text), "complete")
        expect(page.locator("article.user .bubble")).to_contain_text("<script>alert('script')</script>")
    else:
        reply = say(page, "[[echo rate=400]]" + text)
        status_is(reply, "complete")
        expect(reply.locator(".prose")).to_contain_text("alert('fence')")
        assert reply.locator("script, iframe, style, svg:not(.icon), [onerror], [onload]").count() == 0
        assert reply.locator("a[href^='javascript' i]").count() == 0
    conversation(page)
    page.reload()
    expect(replies(page).last.locator(".prose")).not_to_be_empty()
    expect(page.locator("#composer-text")).to_be_visible()


def test_a_hostile_title_is_only_text(tabby: Tabby, alice: Person, windows: Windows) -> None:
    title = "<img src=x onerror=alert('title')></title><script>alert('head')</script>"
    number = alice.conversation()
    answer = alice.call("PATCH", f"/api/conversations/{number}", {"title": title})
    assert answer.status_code == 200, answer.text
    page = windows.open(alice, f"/c/{number}/")
    expect(page).to_have_title(f"{title} · Gantry")
    expect(page.locator("#conversations .row.current a")).to_have_text(title)
    page.keyboard.press("Control+k")
    page.get_by_label("Search titles and messages").fill("onerror")
    expect(page.locator("#search-results .result").first).to_contain_text("<img src=x")
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("Options for")).first.click()
    expect(page.get_by_role("menuitem", name="Rename")).to_be_visible()


def test_a_phone_needs_no_sideways_scrolling(tabby: Tabby, alice: Person, windows: Windows) -> None:
    page = windows.open(alice, "/", size=PHONE)
    wide = "wide" * 60
    table = (
        "| a | b | c | d | e | f | g | h |\n|---|---|---|---|---|---|---|---|\n" + "| some words " * 8 + "|"
    )
    reply = say(page, f"[[echo]]{wide}\n\n```python\n{'x = 1; ' * 40}\n```\n\n{table}\n")
    status_is(reply, "complete")
    assert _width(page) == PHONE[0]
    opener = page.get_by_role("button", name="Show conversations")
    opener.click()
    expect(page.locator("#sidebar")).to_be_in_viewport()
    expect(page.locator("#conversations .row.current")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.locator("#sidebar")).not_to_be_in_viewport()
    opener.click()
    page.get_by_role("link", name="New chat").click()
    expect(page.locator("#welcome")).to_be_visible()
    assert _width(page) == PHONE[0]


def _width(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth")
    return width


def test_everything_can_be_done_with_the_keyboard(tabby: Tabby, bob: Person, windows: Windows) -> None:
    page = windows.open()
    page.goto("/")
    expect(page.locator("#id_username")).to_be_focused()
    keys = page.keyboard
    keys.type("bob")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    expect(page.locator("#composer-text")).to_be_focused()
    model_is(page, "ready")

    keys.type("[[tokens=900 rate=30]]")
    keys.press("Shift+Enter")
    keys.type("second line")
    keys.press("Enter")
    reply = replies(page).first
    has_word(reply, 3)
    expect(page.locator("article.user .bubble")).to_have_text(re.compile(r"rate=30\]\]\s+second line"))
    keys.press("Escape")
    status_is(reply, "stopped")

    keys.press("ArrowUp")
    expect(page.get_by_label("Edit your message")).to_be_focused()
    keys.press("Control+a")
    keys.type("[[echo]]edited by key")
    keys.press("Enter")
    expect(replies(page).first.locator(".prose")).to_have_text("edited by key")

    keys.press("Control+k")
    expect(page.get_by_label("Search titles and messages")).to_be_focused()
    keys.type("edited by")
    expect(page.locator("#search-results .result[aria-selected=true]")).to_contain_text("edited by key")
    keys.press("Enter")
    page.wait_for_url(re.compile("/c/"))
    expect(replies(page).first).to_be_visible()

    page.locator("#composer-text").focus()
    for _ in range(40):
        if page.evaluate("document.activeElement.id") == "profile":
            break
        keys.press("Shift+Tab")
    expect(page.locator("#profile")).to_be_focused()
    keys.press("Enter")
    expect(page.locator("#profile-menu [role^=menuitem]").first).to_be_focused()
    keys.press("End")
    expect(page.get_by_role("menuitem", name="Sign out")).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_label("Username")).to_be_focused()


def test_a_draft_survives_a_reload(tabby: Tabby, alice: Person, windows: Windows) -> None:
    page = windows.open(alice, "/")
    page.locator("#composer-text").fill("Half a thou")
    page.reload()
    expect(page.locator("#composer-text")).to_have_value("Half a thou")


def test_what_is_typed_before_the_scripts_have_come_is_kept(
    tabby: Tabby, alice: Person, windows: Windows
) -> None:
    held: list[Route] = []
    page = windows.open(alice)

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/chat/composer.js", hold)
    page.goto("/", wait_until="commit")
    page.locator("#composer-text").fill("I am quick")
    until(lambda: bool(held) or page.evaluate("false"), "the request for the script")
    held[0].continue_()
    model_is(page, "ready")
    expect(page.locator("#composer-text")).to_have_value("I am quick")
    expect(page.locator("#send")).to_be_enabled()
