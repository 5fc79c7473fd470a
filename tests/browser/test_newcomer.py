"""The newcomer's whole story: sign in, chat, switch the model, and be answered by the new one."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect
from support.people import Person
from support.system import PASSWORD
from support.tabby import Tabby
from windows import Windows, ask_to_switch, conversation, model_is, say, status_is


def sign_in(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_a_newcomer_switches_the_model_while_somebody_chats(
    tabby: Tabby, alice: Person, windows: Windows
) -> None:
    tabby.state(seconds_per_module={"slow-13B": 0.5})

    page = windows.open()
    sign_in(page)
    model_is(page, "ready", "alpha-7B")
    reply = say(page, "Hello! Which model are you?")
    status_is(reply, "streaming")
    status_is(reply, "complete")
    expect(reply.locator(".prose")).to_contain_text("alpha-7B")
    expect(reply.locator(".meta")).to_contain_text("alpha-7B")

    other = windows.open(alice, "/")
    model_is(other, "ready", "alpha-7B")

    page.get_by_role("button", name=re.compile("Profile")).click()
    page.get_by_role("menuitem", name="Admin Dashboard").click()
    page.get_by_role("link", name="Models", exact=True).first.click()
    row = page.locator("#result_list tbody tr", has_text="alpha-7B")
    expect(row).to_contain_text("✓ Active")
    dialog = ask_to_switch(page, "slow-13B")
    expect(dialog).to_contain_text("Switch to slow-13B?")
    dialog.get_by_role("button", name="Switch").click()

    model_is(other, "switching", re.compile(r"Model loading… \d+%"))
    reply = say(other, "And who answers this?")
    status_is(reply, "queued")
    expect(reply).to_contain_text("Model loading…")
    expect(page.locator("#gantry-banner")).to_contain_text(re.compile(r"Step 2: Loading slow-13B… \d+%"))

    tabby.state(seconds_per_module={"slow-13B": 0.01})
    expect(page.locator("#gantry-banner")).to_contain_text("✓ Model switched successfully!")
    expect(page.locator("#result_list tbody tr", has_text="slow-13B")).to_contain_text("✓ Active")
    status_is(reply, "complete")
    expect(reply.locator(".prose")).to_contain_text("slow-13B")
    expect(reply.locator(".meta")).to_contain_text("slow-13B")
    model_is(other, "ready", "slow-13B")

    address = conversation(other)
    other.goto("/")
    other.goto(address)
    expect(other.locator("article.reply .prose")).to_contain_text("slow-13B")
