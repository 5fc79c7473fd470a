"""An open Models page when models come and go, and when others switch: nothing that its reader is at is lost."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import Locator, Page, Request, Route, WebSocketRoute, expect
from support.people import Person
from support.tabby import Tabby
from windows import MODELS, Windows

from models_admin.presentation.banner import key, step

REFRESH = f"{MODELS}refresh/"


def row(page: Page, model: str) -> Locator:
    return page.locator("#result_list tbody tr", has_text=model)


def test_rows_come_and_go_in_place(tabby: Tabby, admin: Person, windows: Windows) -> None:
    page = windows.open(admin, MODELS)
    count, counter = page.locator("#result_list tbody tr").count(), page.locator(".action-counter")
    expect(counter).to_have_text(f"0 of {count} selected")
    page.evaluate("window.stayed = true")
    page.get_by_text("A model is missing?").click()
    page.locator("#searchbar").fill("not sent yet")
    row(page, "beta-8B-Q5").get_by_role("checkbox").check()
    row(page, "beta-8B-Q5").get_by_role("checkbox").focus()
    tabby.state(add_models=["aaa-7B", "zzz-7B"])
    admin.post_form(REFRESH)
    expect(row(page, "zzz-7B")).to_be_visible()
    expect(page.locator(".paginator")).to_contain_text(f"{count + 2} ")
    expect(counter).to_have_text(f"1 of {count + 2} selected")
    expect(row(page, "beta-8B-Q5").get_by_role("checkbox")).to_be_checked()
    expect(row(page, "beta-8B-Q5").get_by_role("checkbox")).to_be_focused()
    row(page, "zzz-7B").get_by_role("checkbox").check()
    expect(counter).to_have_text(f"2 of {count + 2} selected")
    page.locator("#action-toggle").check()
    expect(counter).to_have_text(f"{count + 2} of {count + 2} selected")
    page.locator("#action-toggle").uncheck()
    row(page, "aaa-7B").get_by_role("checkbox").check()
    row(page, "aaa-7B").get_by_role("link").first.focus()
    tabby.state(remove_models=["aaa-7B"])
    admin.post_form(REFRESH)
    expect(row(page, "aaa-7B")).to_have_count(0)
    expect(counter).to_have_text(f"0 of {count + 1} selected")
    expect(page.locator("#changelist-search .quiet")).to_contain_text(f"{count + 1} results")
    expect(page.locator("#result_list tbody tr").first.get_by_role("link").first).to_be_focused()
    expect(page.locator("#searchbar")).to_have_value("not sent yet")
    expect(page.get_by_text("It is listed when its directory")).to_be_visible()
    assert page.evaluate("window.stayed")


def test_a_first_row_waits_for_what_is_being_typed(tabby: Tabby, admin: Person, windows: Windows) -> None:
    page = windows.open(admin, f"{MODELS}?q=first")
    watcher = windows.open(admin, MODELS)
    expect(page.locator("#result_list")).to_have_count(0)
    page.locator("#searchbar").fill("something else")
    tabby.state(add_models=["the-first-7B"])
    admin.post_form(REFRESH)
    expect(row(watcher, "the-first-7B")).to_be_visible()
    expect(page.locator(".paginator")).to_contain_text("1 ")
    expect(page.locator("#searchbar")).to_have_value("something else")
    page.locator("#searchbar").fill("first")
    expect(row(page, "the-first-7B")).to_be_visible()


def test_the_keyboard_stays_in_the_row_when_somebody_else_switches(
    tabby: Tabby, admin: Person, windows: Windows
) -> None:
    tabby.state(seconds_per_module={"slow-13B": 0.5})
    page = windows.open(admin, MODELS)
    row(page, "beta-8B-Q5").get_by_role("link", name="Switch").focus()
    admin.start_switch("slow-13B")
    expect(row(page, "beta-8B-Q5").locator("[aria-disabled]")).to_be_visible()
    expect(row(page, "beta-8B-Q5").get_by_role("link").first).to_be_focused()
    tabby.state(seconds_per_module={"slow-13B": 0.01})
    expect(row(page, "slow-13B")).to_contain_text("✓ Active")
    expect(row(page, "beta-8B-Q5").get_by_role("link").first).to_be_focused()


def test_a_refresh_is_not_broken_off_by_what_it_brings(tabby: Tabby, admin: Person, windows: Windows) -> None:
    page = windows.open(admin, f"{MODELS}?q=brought")
    watcher = windows.open(admin, MODELS)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(f"**{REFRESH}", hold)
    with page.expect_request(f"**{REFRESH}"):
        page.evaluate("document.querySelector('.gantry-refresh').requestSubmit()")
    tabby.state(add_models=["brought-7B"])
    admin.post_form(REFRESH)
    expect(row(watcher, "brought-7B")).to_be_visible()
    held[0].continue_()
    expect(page.locator(".messagelist")).to_contain_text("The list is up to date")


class Told:
    """The socket of a Models page, whose events the test makes up from the first one; and what the page then asks for."""

    def __init__(self, page: Page) -> None:
        self.hello: dict[str, Any] = {}
        self.asked: list[str] = []
        page.route_web_socket("**/ws/models/", self._joined)
        page.on("request", self._heard)

    def _joined(self, socket: WebSocketRoute) -> None:
        self.socket = socket
        server = socket.connect_to_server()

        def passed_on(text: str | bytes) -> None:
            if not self.hello:
                self.hello = json.loads(text)
                socket.send(text)

        server.on_message(passed_on)

    def _heard(self, request: Request) -> None:
        if request.headers.get("x-requested-with") == "fragment":
            self.asked.append(request.url)

    def greet(self, page: Page) -> None:
        """Wait until the page has been told the state of things."""
        for _ in range(1000):
            if self.hello:
                return
            page.wait_for_timeout(20)  # lets Playwright hand over what has come
        raise AssertionError("no hello has come")

    def say(self, kind: str = "backend", **fields: Any) -> None:
        event = {**self.hello["backend"], **fields, "type": kind} if kind == "backend" else {"type": kind}
        self.socket.send(json.dumps(event))

    def count_replies(self, page: Page, number: int) -> None:
        """Tell how many replies are in flight, and wait until the page says so: all that was told before has been taken."""
        self.say(replying=number)
        expect(page.locator("#gantry-replying")).to_have_text(f"{number} replies in flight")


def test_a_page_asks_for_itself_only_if_it_shows_what_has_changed(admin: Person, windows: Windows) -> None:
    page = windows.open(admin)
    page.add_init_script("Math.random = () => 0")  # each page waits for a moment of its own: here, for none
    told = Told(page)
    page.goto(MODELS)
    expect(page.locator("#gantry-link")).to_have_text("")
    told.greet(page)
    for number in (2, 3, 4):
        told.count_replies(page, number)
    told.say(context=1, epoch=99, about=None)
    told.count_replies(page, 5)
    assert told.asked == [], "nothing that it words has changed"
    with page.expect_response(lambda answer: answer.url in told.asked):
        told.say("catalog")
    told.count_replies(page, 6)
    assert len(told.asked) == 1
    with page.expect_response(lambda answer: answer.url in told.asked):
        told.say(busy_with="slow-13B")
    assert len(told.asked) == 2


def test_a_step_of_a_switch_costs_nothing_where_neither_model_is_listed(
    admin: Person, windows: Windows
) -> None:
    page = windows.open(admin)
    page.add_init_script("Math.random = () => 0")
    told = Told(page)
    page.goto(f"{MODELS}?q=no-such-model")
    told.greet(page)
    switch = {"id": 1, "target": "slow-13B", "previous": "beta-8B-Q5", "cancel_requested": False, "lines": []}
    switch |= {"percent": 0, "elapsed_seconds": 1, "eta_seconds": None, "advice": ""}

    def word_what_was_told(route: Route) -> None:
        snapshot = {**told.hello["backend"], "state": "switching", "switch": {**switch, "state": "draining"}}
        named = f'data-key="{key(snapshot)}" data-step="{step(snapshot)}"'
        answer = route.fetch()
        body = re.sub(r'data-key="[^"]*" data-step="[^"]*"', lambda _: named, answer.text())
        route.fulfill(response=answer, body=body)

    page.route("**/tabbymodel/?q=*", word_what_was_told)
    with page.expect_response(lambda answer: answer.url in told.asked):
        told.say(state="switching", switch={**switch, "state": "draining"})
    expect(page.locator("#gantry-banner")).to_have_attribute("data-step", "next")
    for number, state in enumerate(("unloading", "loading", "verifying"), start=2):
        told.say(state="switching", switch={**switch, "state": state}, replying=number)
        expect(page.locator("#gantry-replying")).to_have_text(f"{number} replies in flight")
    assert len(told.asked) == 1
    with page.expect_response(lambda answer: answer.url in told.asked):
        told.say(state="switching", switch={**switch, "state": "rolling_back"})
    assert len(told.asked) == 2
