"""A message is sent until it is acknowledged, whatever happens to the connection; and the page says what happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from played_events import (
    HERE,
    READY,
    TITLE,
    asked,
    conversation,
    delta,
    hello,
    message,
    queued,
    replied,
    streaming,
    switching,
)
from played_site import Site
from playwright.sync_api import Page, expect

NEW = "99999999-2222-4333-8444-555555555555"


def say(page: Page, text: str) -> None:
    page.locator("#composer-text").fill(text)
    page.keyboard.press("Enter")


def acknowledge(site: Site, frame: dict[str, Any], number: int = 1, parent: int | None = None) -> None:
    site.say(message(asked(number, frame["text"], parent, client_id=frame["client_id"])))


def outbox(page: Page) -> list[Any]:
    kept: list[Any] = json.loads(page.evaluate(f"localStorage.getItem('gantry.1.outbox.{HERE}')") or "[]")
    return kept


def test_a_message_is_pending_until_it_is_acknowledged(site: Site) -> None:
    page = site.open()
    say(page, "Good morning")
    (frame,) = site.sent("send")
    assert (frame["text"], len(frame["client_id"])) == ("Good morning", 36)
    expect(page.locator(".msg.pending")).to_contain_text("Sending…")
    assert [kept["client_id"] for kept in outbox(page)] == [frame["client_id"]]

    acknowledge(site, frame)
    expect(page.locator(".msg.pending")).to_have_count(0)
    expect(page.locator(".bubble")).to_have_text("Good morning")
    assert outbox(page) == []


def test_an_unacknowledged_message_is_sent_again_after_a_cut(site: Site) -> None:
    page = site.open()
    say(page, "Hold on")
    (first,) = site.sent("send")
    site.cut()
    again = site.sent("send", 2)[1]
    assert again == first
    acknowledge(site, again)
    expect(page.locator(".bubble")).to_have_count(1)


def test_an_unacknowledged_message_is_sent_again_after_a_reload(site: Site) -> None:
    page = site.open()
    say(page, "Hold on")
    (first,) = site.sent("send")
    page.reload()
    assert site.sent("send", 2)[1] == first


def test_a_message_that_arrived_before_the_cut_is_not_sent_again(site: Site) -> None:
    page = site.open()
    say(page, "Hold on")
    (frame,) = site.sent("send")
    site.hello = hello(asked(1, "Hold on", client_id=frame["client_id"]), queued(2, 1))
    site.cut()
    expect(page.locator(".waiting")).to_be_visible()
    expect(page.locator(".bubble")).to_have_count(1)
    site.say(delta(2, 0, "Here"))
    expect(page.locator(".tail")).to_have_text("Here")
    assert len(site.sent("send")) == 1


def test_messages_written_without_a_connection_go_out_in_order_when_it_is_back(site: Site) -> None:
    page = site.open()
    expect(page.locator("#welcome")).to_be_visible()
    site.refusing = 1011
    site.cut()
    expect(page.locator("#banner")).to_contain_text("Connection lost.")
    for text in ("one", "two", "three"):
        say(page, text)
    expect(page.locator(".msg.pending")).to_have_count(3)
    expect(page.locator(".msg.pending").first).to_contain_text("it goes out when the connection is back")
    site.refusing = None
    page.get_by_role("button", name="Try now").click()
    assert [frame["text"] for frame in site.sent("send", 3)] == ["one", "two", "three"]
    expect(page.locator("#banner")).to_be_hidden()


def test_a_flapping_connection_loses_and_doubles_nothing(site: Site) -> None:
    """The server takes each message once, as Gantry does; the socket is cut after every frame that it gets."""
    taken: dict[str, dict[str, Any]] = {}

    def obey(frame: dict[str, Any]) -> None:
        if frame["type"] == "send" and frame["client_id"] not in taken:
            before = 2 * len(taken)
            taken[frame["client_id"]] = asked(
                before + 1, frame["text"], before or None, client_id=frame["client_id"]
            )
            rows = []
            for at, row in enumerate(taken.values()):
                rows += [row, replied(2 * at + 2, f"Re {row['text']}", row["id"])]
            site.hello = hello(*rows)
        site.cut()

    site.obey = obey
    page = site.open()
    for number in range(5):
        say(page, f"message {number}")
    expect(page.locator(".reply")).to_have_count(5)
    expect(page.locator(".bubble")).to_have_text([f"message {number}" for number in range(5)])
    assert outbox(page) == []


def test_what_is_refused_stays_and_can_be_taken_back(site: Site) -> None:
    page = site.open()
    say(page, "Too much")
    (frame,) = site.sent("send")
    site.say(
        {"type": "error", "code": "too_many", "detail": "Wait for one.", "client_id": frame["client_id"]}
    )
    expect(page.locator(".msg.refused .note")).to_contain_text("Not sent: Wait for one.")

    page.get_by_role("button", name="Try again").click()
    assert site.sent("send", 2)[1]["client_id"] == frame["client_id"]
    site.say({"type": "error", "code": "too_many", "detail": "No.", "client_id": frame["client_id"]})
    page.get_by_role("button", name="Take back").click()
    expect(page.locator("#composer-text")).to_have_value("Too much")
    expect(page.locator(".bubble")).to_have_count(0)
    assert outbox(page) == []


def test_what_cannot_be_saved_is_kept_and_sent_again_until_it_is(site: Site) -> None:
    page = site.open()
    for number in range(2):
        say(page, f"Message {number}")
    full = "The server's disk is full: messages cannot be saved."
    for frame in site.sent("send", 2):
        site.say({"type": "error", "code": "not_saved", "detail": full, "client_id": frame["client_id"]})
    expect(page.locator("#toasts")).to_contain_text(f"{full} What you wrote is kept here and sent again.")
    expect(page.locator(".toast")).to_have_count(1)
    expect(page.locator(".msg.refused")).to_have_count(0)
    assert len(outbox(page)) == 2
    first, second, *again = site.sent("send", 4)
    assert [each["client_id"] for each in again] == [first["client_id"], second["client_id"]]
    for number, frame in enumerate(again, start=1):
        acknowledge(site, frame, number)
    expect(page.locator(".msg.pending")).to_have_count(0)
    assert outbox(page) == []


def test_a_conversation_that_cannot_be_saved_begins_when_it_can_be(site: Site) -> None:
    site.served.answers["POST", "/api/conversations"] = (507, {"detail": "The server's disk is full."})
    page = site.open("/")
    say(page, "Is there room?")
    expect(page.locator("#toasts")).to_contain_text("The server's disk is full.")
    expect(page.locator(".msg.refused")).to_have_count(0)
    site.hello = hello() | {"conversation": conversation(NEW, "New conversation")}
    site.served.answers["POST", "/api/conversations"] = (201, {"id": NEW, "title": "New conversation"})
    (frame,) = site.sent("send")
    assert frame["text"] == "Is there room?"


def test_frames_that_came_too_fast_are_sent_again_by_themselves(site: Site) -> None:
    page = site.open()
    say(page, "Quick")
    (frame,) = site.sent("send")
    site.say({"type": "error", "code": "too_fast", "detail": "Too many messages at once."})
    assert site.sent("send", 2)[1]["client_id"] == frame["client_id"]
    expect(page.locator(".toast")).to_have_count(0)


def test_other_refusals_are_told(site: Site) -> None:
    page = site.open()
    expect(page.locator("#welcome")).to_be_visible()
    site.say({"type": "error", "code": "not_found", "detail": "There is no such message."})
    expect(page.locator(".toast")).to_have_text("There is no such message.")


def test_the_reply_goes_on_after_a_cut_without_a_gap_or_a_repeat(site: Site) -> None:
    page = site.open(first=hello(asked(1, "Q"), streaming(2, "One two", 1)))
    expect(page.locator(".tail")).to_have_text("One two")
    site.hello = hello(asked(1, "Q"), streaming(2, "One two three", 1))
    site.cut()
    expect(page.locator(".tail")).to_have_text("One two three")
    site.say(delta(2, 8, "three four"))
    expect(page.locator(".tail")).to_have_text("One two three four")


def test_whoever_is_signed_out_is_led_to_the_door(site: Site) -> None:
    page = site.open()
    expect(page.locator("#welcome")).to_be_visible()
    page.locator("#composer-text").fill("unsent")
    site.cut(4401)
    expect(page.locator("#banner")).to_contain_text("You have been signed out.")
    assert (
        page.get_by_role("link", name="Sign in").get_attribute("href")
        == f"/accounts/login/?next=%2Fc%2F{HERE}%2F"
    )
    assert len(site.paths) == 1


def test_a_conversation_that_is_gone_is_said_to_be(site: Site) -> None:
    site.refusing = 4404
    page = site.open()
    expect(page.locator("#banner")).to_contain_text("This conversation no longer exists.")
    assert len(site.paths) == 1


def test_the_first_message_makes_the_conversation(site: Site) -> None:
    page = site.open("/")
    expect(page.locator("#model-name")).to_have_text(READY["model"])
    assert site.paths == ["/ws/models/"]
    site.say(switching())
    expect(page.locator("#model-name")).to_have_text("Model loading… 57%")
    site.hello = hello() | {"conversation": conversation(NEW, "New conversation")}
    site.served.answers["POST", "/api/conversations"] = (201, {"id": NEW, "title": "New conversation"})

    say(page, "A loom, please")

    (frame,) = site.sent("send")
    assert frame["text"] == "A loom, please"
    assert site.paths == ["/ws/models/", f"/ws/chat/{NEW}/"]
    assert page.url.endswith(f"/c/{NEW}/")
    site.say({"type": "conversation", "conversation": conversation(NEW, "A loom, please")})
    expect(page).to_have_title("A loom, please · Gantry")
    expect(page.locator(".row.current a")).to_have_text("A loom, please")


def test_messages_sent_while_the_conversation_is_being_made_all_go_to_it(site: Site) -> None:
    page = site.open("/")
    site.hello = hello() | {"conversation": conversation(NEW, "New conversation")}
    site.served.answers["POST", "/api/conversations"] = (201, {"id": NEW, "title": "New conversation"})
    page.locator("#composer-text").focus()
    page.keyboard.type("one\ntwo\n")
    assert [frame["text"] for frame in site.sent("send", 2)] == ["one", "two"]
    assert len([call for call in site.served.calls if call[0] == "POST"]) == 1


def test_a_conversation_that_cannot_be_made_keeps_the_message(site: Site) -> None:
    page = site.open("/")
    site.served.answers["POST", "/api/conversations"] = (500, {"detail": "Something went wrong."})
    say(page, "Precious words")
    expect(page.locator(".msg.refused .note")).to_contain_text("Not sent: Something went wrong.")
    page.reload()
    expect(page.locator("#composer-text")).to_have_value("Precious words")

    site.hello = hello() | {"conversation": conversation(NEW, "New conversation")}
    site.served.answers["POST", "/api/conversations"] = (201, {"id": NEW, "title": "New conversation"})
    page.keyboard.press("Enter")
    assert site.sent("send")[0]["text"] == "Precious words"


@pytest.mark.parametrize(
    "noise", ['{"type": "news"}', '{"type": "delta", "id": 99, "offset": 0, "text": "x"}']
)
def test_events_that_mean_nothing_here_change_nothing(site: Site, noise: str) -> None:
    page = site.open(first=hello(asked(1, "Q"), replied(2, "A", 1)))
    site.noise(noise)
    site.say(message(asked(3, "More", 2)))
    expect(page.locator(".msg")).to_have_count(3)
    expect(page).to_have_title(f"{TITLE} · Gantry")
