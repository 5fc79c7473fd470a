"""Keys, drafts, editing, the sidebar, the menus, search and settings."""

from __future__ import annotations

import pytest
from played_events import (
    HERE,
    LLAMA,
    QWEN,
    READY,
    TITLE,
    UNLOADED,
    asked,
    details,
    hello,
    listed,
    models_hello,
    queued,
    replied,
    streaming,
    switching,
)
from played_server import OTHER
from played_site import Site
from playwright.sync_api import Page, expect

TALK = (asked(1, "First"), replied(2, "Reply", 1))


def box(page: Page) -> str:
    return page.locator("#composer-text").input_value()


def test_enter_sends_and_shift_enter_makes_a_line(site: Site) -> None:
    page = site.open()
    page.locator("#composer-text").focus()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    assert box(page) == "one\ntwo"
    page.keyboard.press("Enter")
    assert site.sent("send")[0]["text"] == "one\ntwo"
    assert box(page) == ""


def test_nothing_is_sent_of_nothing(site: Site) -> None:
    page = site.open()
    expect(page.locator("#send")).to_be_disabled()
    page.locator("#composer-text").fill("  \n ")
    page.keyboard.press("Enter")
    expect(page.locator("#send")).to_be_disabled()
    assert site._of("send") == []


def test_a_message_that_is_too_long_is_counted_and_not_sent(site: Site) -> None:
    page = site.open()
    page.locator("#composer-text").fill("🧵" * 1001)
    expect(page.locator("#hint")).to_have_text("1,001 of 1,000 characters")
    expect(page.locator("#send")).to_be_disabled()
    page.locator("#composer-text").fill("🧵" * 1000)
    expect(page.locator("#send")).to_be_enabled()


def test_a_draft_survives_a_reload_and_belongs_to_its_conversation(site: Site) -> None:
    page = site.open()
    page.locator("#composer-text").fill("Half a thought")
    page.reload()
    expect(page.locator("#composer-text")).to_have_value("Half a thought")
    site.open(f"/c/{OTHER}/x", first=hello())
    site.open("/")
    expect(page.locator("#composer-text")).to_have_value("")


def test_stop_and_escape_stop_the_reply(site: Site) -> None:
    page = site.open(
        first=hello(*TALK, asked(3, "Again", 2), streaming(4, "Well", 3), asked(5, "And", 4), queued(6, 5))
    )
    page.get_by_role("button", name="Stop the reply").click()
    assert site.sent("stop") == [{"type": "stop", "id": 4}]
    page.keyboard.press("Escape")
    assert site.sent("stop", 2)[1] == {"type": "stop", "id": 4}
    page.get_by_role("button", name="Cancel").click()
    assert site.sent("stop", 3)[2] == {"type": "stop", "id": 6}
    site.say(hello(*TALK))
    expect(page.get_by_role("button", name="Stop the reply")).to_be_hidden()


def test_the_arrow_up_edits_the_last_message(site: Site) -> None:
    page = site.open(first=hello(*TALK, asked(3, "Second", 2), replied(4, "Other", 3)))
    expect(page.locator(".reply")).to_have_count(2)
    page.locator("#composer-text").focus()
    page.keyboard.press("ArrowUp")
    editor = page.get_by_role("textbox", name="Edit your message")
    expect(editor).to_have_value("Second")
    page.keyboard.press("Escape")
    expect(editor).to_have_count(0)

    page.locator("#composer-text").focus()
    page.keyboard.press("ArrowUp")
    editor.fill("Second thoughts")
    page.keyboard.press("Enter")
    (frame,) = site.sent("edit")
    assert (frame["id"], frame["text"], len(frame["client_id"])) == (3, "Second thoughts", 36)


def test_an_edit_is_sent_again_until_it_is_acknowledged(site: Site) -> None:
    page = site.open(first=hello(*TALK))
    page.locator(".msg.user").hover()
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("textbox", name="Edit your message").fill("Better")
    page.get_by_role("button", name="Send", exact=True).first.click()
    (frame,) = site.sent("edit")
    site.cut()
    assert site.sent("edit", 2)[1] == frame
    versions = {"index": 2, "count": 2, "ids": [1, 3]}
    site.say(hello(asked(3, "Better", client_id=frame["client_id"], versions=versions), queued(4, 3)))
    expect(page.locator(".bubble")).to_have_text("Better")
    page.reload()
    expect(page.locator(".bubble")).to_have_text("First")
    assert len(site._of("edit")) == 2


def test_events_do_not_disturb_an_edit(site: Site) -> None:
    page = site.open(first=hello(*TALK))
    page.locator(".msg.user").hover()
    page.get_by_role("button", name="Edit").click()
    editor = page.get_by_role("textbox", name="Edit your message")
    editor.fill("Being written")
    site.say(hello(*TALK, state=UNLOADED))
    expect(page.locator("#model-name")).to_have_text("Model not available")
    expect(editor).to_have_value("Being written")
    expect(editor).to_be_focused()


def test_a_suggestion_fills_the_box(site: Site) -> None:
    page = site.open("/")
    page.get_by_role("button", name="Write some code").click()
    assert "Python script" in box(page)
    expect(page.locator("#composer-text")).to_be_focused()


def test_typing_anywhere_is_typing_a_message(site: Site) -> None:
    page = site.open(first=hello(*TALK))
    expect(page.locator(".reply")).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.type("hi")
    assert box(page) == "hi"


def test_the_profile_menu_works_by_keyboard(site: Site) -> None:
    page = site.open()
    profile = page.get_by_role("button", name="Profile: Ada Lovelace")
    profile.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Admin Dashboard")).to_be_focused()
    assert page.get_by_role("menuitem", name="Admin Dashboard").get_attribute("href") == "/admin/"
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("menuitem", name="Sign out")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#profile-menu")).to_be_hidden()
    expect(profile).to_be_focused()
    assert site._of("stop") == []


def test_the_theme_is_chosen_and_kept(site: Site) -> None:
    page = site.open()
    page.locator("#profile").click()
    page.get_by_role("menuitemradio", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.locator("#profile").click()
    expect(page.get_by_role("menuitemradio", name="Dark")).to_have_attribute("aria-checked", "true")
    page.get_by_role("menuitemradio", name="System").click()
    assert page.evaluate("document.documentElement.dataset.theme") is None
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_conversations_are_grouped_by_day(site: Site) -> None:
    rows = [
        listed(HERE, "Pinned one", pinned=True, updated_at="2020-01-01T12:00:00+00:00"),
        listed(OTHER, "Fresh one"),
        listed("3" + HERE[1:], "Old one", updated_at="2020-03-05T12:00:00+00:00"),
    ]
    site.served.boot = {"list": {"conversations": rows, "next": None}}
    page = site.open("/")
    expect(page.locator("#conversations h2")).to_have_text(["Pinned", "Today", "March 2020"])


def test_a_conversation_is_renamed_in_its_place(site: Site) -> None:
    path = f"/api/conversations/{HERE}"
    site.served.answers["PATCH", path] = (200, details(HERE, "Better name"))
    page = site.open()
    page.get_by_role("button", name=f"Options for {TITLE}").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_role("textbox", name="Title").fill("Better name")
    page.keyboard.press("Enter")
    expect(page.locator(".row.current a")).to_have_text("Better name")
    expect(page).to_have_title("Better name · Gantry")
    site.until(lambda: ("PATCH", path, {"title": "Better name"}) in site.served.calls, "the new title")


def test_a_conversation_is_pinned(site: Site) -> None:
    path = f"/api/conversations/{OTHER}"
    site.served.answers["PATCH", path] = (200, details(OTHER, "Another one", pinned=True))
    page = site.open()
    page.get_by_role("button", name="Options for Another one").click()
    page.get_by_role("menuitem", name="Pin").click()
    expect(page.locator("#conversations h2").first).to_have_text("Pinned")
    site.until(lambda: ("PATCH", path, {"pinned": True}) in site.served.calls, "the pin")


def test_a_change_that_is_refused_is_taken_back_and_told(site: Site) -> None:
    site.served.answers["PATCH", f"/api/conversations/{OTHER}"] = (422, {"detail": "That cannot be."})
    page = site.open()
    page.get_by_role("button", name="Options for Another one").click()
    page.get_by_role("menuitem", name="Pin").click()
    expect(page.locator(".toast")).to_have_text("That cannot be.")
    expect(page.locator("#conversations h2")).to_have_text(["Today"])


def test_a_deleted_conversation_can_be_had_back(site: Site) -> None:
    path = f"/api/conversations/{OTHER}"
    site.served.answers["DELETE", path] = (204, None)
    site.served.answers["POST", f"{path}/restore"] = (200, details(OTHER, "Another one"))
    page = site.open()
    page.get_by_role("button", name="Options for Another one").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.locator(".row")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".row")).to_have_count(2)


def test_deleting_the_shown_conversation_leads_to_a_new_one_and_can_be_undone_there(site: Site) -> None:
    path = f"/api/conversations/{HERE}"
    site.served.answers["DELETE", path] = (204, None)
    site.served.answers["POST", f"{path}/restore"] = (200, details(HERE, TITLE))
    site.served.boot = {"list": {"conversations": [listed(HERE, TITLE)], "next": None}}
    page = site.open()
    expect(page.locator(".row")).to_have_count(1)
    site.served.boot = {"list": {"conversations": [], "next": None}}
    site.hello = models_hello()
    page.get_by_role("button", name=f"Options for {TITLE}").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.wait_for_url(f"{site.served.url}/")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".row a")).to_have_text(TITLE)


def test_older_conversations_come_when_the_list_is_scrolled(site: Site) -> None:
    rows = [listed(f"{number:08d}{HERE[8:]}", f"Talk {number}") for number in range(60)]
    older = [listed(f"{number:08d}{HERE[8:]}", f"Talk {number}") for number in range(60, 70)]
    site.served.boot = {"list": {"conversations": rows, "next": "2026-01-01T00:00:00+00:00,x"}}
    site.served.answers["GET", "/api/conversations?before=2026-01-01T00%3A00%3A00%2B00%3A00%2Cx"] = (
        200,
        {"conversations": older, "next": None},
    )
    page = site.open("/")
    expect(page.locator(".row")).to_have_count(60)
    page.locator(".row").last.scroll_into_view_if_needed()
    expect(page.locator(".row")).to_have_count(70)


def test_search_by_keyboard(site: Site) -> None:
    found = [
        listed(OTHER, "Weaving", snippet={"before": "the ", "match": "warp", "after": " <b>threads</b>"}),
        listed("3" + HERE[1:], "Warp drives", snippet=None),
    ]
    site.served.answers["GET", "/api/conversations/search?q=warp"] = (200, {"results": found})
    page = site.open()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("option")).to_have_count(2)  # the recent ones, before anything is typed
    page.keyboard.type("warp")
    expect(page.locator("#search mark")).to_have_text("warp")
    expect(page.locator(".result p").first).to_have_text("the warp <b>threads</b>")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", selected=True)).to_contain_text("Warp drives")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.served.url}/c/3{HERE[1:]}/")


def test_a_search_without_a_result_says_so(site: Site) -> None:
    site.served.answers["GET", "/api/conversations/search?q=nothing"] = (200, {"results": []})
    page = site.open()
    page.get_by_role("button", name="Search").click()
    page.keyboard.type("nothing")
    expect(page.locator("#search-results")).to_have_text("Nothing found for “nothing”.")
    page.keyboard.press("Escape")
    expect(page.locator("#search")).to_be_hidden()


def test_settings_of_a_conversation_are_saved(site: Site) -> None:
    path = f"/api/conversations/{HERE}"
    sent = {"alias": "", "system_prompt": "Be brief.", "temperature": 0.7, "max_tokens": None}
    site.served.answers["PATCH", path] = (200, listed(HERE, TITLE, **sent))
    page = site.open()
    page.get_by_role("button", name="Conversation settings").click()
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_label("Temperature").fill("0.7")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".toast")).to_contain_text("Saved.")
    assert ("PATCH", path, sent) in site.served.calls
    page.get_by_role("button", name="Conversation settings").click()
    expect(page.get_by_label("Temperature")).to_have_value("0.7")


def test_settings_that_are_refused_stay_on_the_screen(site: Site) -> None:
    site.served.answers["PATCH", f"/api/conversations/{HERE}"] = (422, {"detail": "Too hot."})
    page = site.open()
    page.get_by_role("button", name="Conversation settings").click()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#settings-error")).to_have_text("Too hot.")
    expect(page.locator("#settings")).to_be_visible()


def test_settings_made_before_the_first_message_go_into_the_new_conversation(site: Site) -> None:
    site.served.answers["POST", "/api/conversations"] = (201, {"id": OTHER, "title": "New conversation"})
    page = site.open("/")
    page.get_by_role("button", name="Conversation settings").click()
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_role("button", name="Save").click()
    page.locator("#composer-text").fill("Hello")
    page.keyboard.press("Enter")
    sent = site.asked("POST", "/api/conversations")
    assert len(sent.pop("id")) == 36
    assert sent == {"alias": "", "system_prompt": "Be brief.", "temperature": None, "max_tokens": None}
    assert site.sent("send")[0]["text"] == "Hello"


def test_an_alias_is_chosen_by_keyboard_and_the_page_says_that_another_model_answers(site: Site) -> None:
    path = f"/api/conversations/{HERE}"
    coder, team = (
        {"name": name, "model": model, "retired": ""} for name, model in (("coder", QWEN), ("team", ""))
    )
    sent = {"alias": "coder", "system_prompt": "", "temperature": None, "max_tokens": None}
    site.served.boot = {"aliases": [team]}
    site.served.answers["GET", "/api/aliases"] = (200, {"aliases": [coder, team]})
    site.served.answers["PATCH", path] = (200, listed(HERE, TITLE, **sent))
    site.page.set_viewport_size({"width": 390, "height": 740})
    page = site.open()
    note = page.locator("#alias-note")
    expect(note).to_be_hidden()
    page.get_by_role("button", name="Conversation settings").click()
    menu = page.get_by_label("Model", exact=True)
    expect(menu.locator("option")).to_have_text(
        ["Whatever is loaded", f"coder ({QWEN})", "team (whatever is loaded)"]
    )
    menu.focus()
    page.keyboard.type("coder")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Save").click()
    expect(note).to_have_text(f"“coder” stands for {QWEN}, which is not loaded. {LLAMA} answers.")
    assert ("PATCH", path, sent) in site.served.calls
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    site.say(switching())
    expect(note).to_be_hidden()  # the switch brings its model
    site.say(READY)
    expect(note).to_be_visible()
    old = {**coder, "retired": "The alias “coder” was retired on 3 May 2026. Use “team” instead."}
    site.served.answers["GET", "/api/aliases"] = (200, {"aliases": [old, team]})
    site.say({"type": "catalog"})
    expect(note).to_have_text(f"{old['retired']} {LLAMA} answers.")
    page.get_by_role("button", name="Conversation settings").click()
    expect(menu.locator("option:checked")).to_have_text("coder (no longer offered)")


def test_without_aliases_no_menu_is_offered(site: Site) -> None:
    page = site.open()
    page.get_by_role("button", name="Conversation settings").click()
    expect(page.get_by_label("System prompt")).to_be_visible()
    expect(page.locator("#set-alias-field")).to_be_hidden()


@pytest.mark.parametrize("width", [390, 320])
def test_on_a_phone_nothing_sticks_out_and_the_list_is_a_drawer(site: Site, width: int) -> None:
    site.page.set_viewport_size({"width": width, "height": 740})
    wide = "| a | b | c | d | e | f |\n|---|---|---|---|---|---|\n" + "| some words " * 6 + "|\n"
    code = "```python\n" + "x = 'a very long line of code' " * 8 + "\n```\n"
    page = site.open(first=hello(asked(1, "w" * 300), replied(2, f"{wide}\n{code}\n{'long' * 80}\n", 1)))
    expect(page.locator(".reply table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("scroller.scrollWidth") <= width
    expect(page.locator("#sidebar")).not_to_be_in_viewport()
    page.get_by_role("button", name="Show conversations").click()
    expect(page.locator("#sidebar")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.locator("#sidebar")).not_to_be_in_viewport()


def test_the_sidebar_is_folded_away_and_stays_so(site: Site) -> None:
    page = site.open()
    page.get_by_role("button", name="Hide conversations").click()
    expect(page.locator("#sidebar")).to_be_hidden()
    page.reload()
    expect(page.locator("#sidebar")).to_be_hidden()
    page.get_by_role("button", name="Show conversations").click()
    expect(page.locator("#sidebar")).to_be_visible()
