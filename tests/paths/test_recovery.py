"""Whoever dies in the middle of a switch or a reply: the others, or a successor, bring it to a true end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from support.page import Page
from support.people import Person
from support.tabby import Tabby, until
from system.running import Gantry
from websockets.exceptions import ConnectionClosed


@pytest.mark.parametrize("state", ["draining", "unloading", "loading"])
def test_a_switch_survives_its_worker(
    tabby: Tabby, gantry: Gantry, admin: Person, alice: Person, state: str
) -> None:
    tabby.fault("unload", "slow", seconds=0.7)
    with admin.watch() as page, alice.page() as chat:
        if state == "draining":
            chat.answered(chat.say("[[tokens=100 rate=40]]"), ("streaming",))
        number = admin.start_switch("slow-13B")
        page.until(lambda each: (each.backend["switch"] or {}).get("state") == state, state)
        gantry.kill("worker")
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch", 60)
        assert page.backend["last"]["state"] == "succeeded"
        assert page.backend["model"] == "slow-13B"
    assert tabby.state()["loaded"] == "slow-13B"


def test_a_rollback_survives_its_worker(tabby: Tabby, gantry: Gantry, admin: Person) -> None:
    tabby.state(seconds_per_module={"alpha-7B": 0.2})
    with admin.watch() as page:
        number = admin.start_switch("huge-70B")
        page.until(lambda each: (each.backend["switch"] or {}).get("state") == "rolling_back", "the rollback")
        gantry.kill("worker")
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch", 60)
        assert page.backend["last"]["state"] == "failed"
        assert page.backend["last"]["result"] == "alpha-7B"
    assert tabby.state()["loaded"] == "alpha-7B"


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_without_a_worker_pages_say_so_and_chats_go_on(
    tabby: Tabby, gantry: Gantry, admin: Person, alice: Person
) -> None:
    with frozen(gantry.children()["worker"]), admin.watch() as page, alice.page() as chat:
        page.until(lambda each: not each.backend["worker"], "the worker's absence")
        number = admin.start_switch("beta-8B-Q5")
        page.until(
            lambda each: (
                "Queued: no worker is answering"
                in [line["text"] for line in (each.backend["switch"] or {}).get("lines", [])]
            ),
            "the reason",
        )
        assert chat.answered(chat.say("[[echo]]and I?"))["text"] == "and I?"
    with admin.watch() as page:
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch", 60)
        assert page.backend["last"]["state"] == "succeeded"


def test_a_reply_survives_its_web_process(
    tabby: Tabby, gantry: Gantry, alice: Person, second_url: str
) -> None:
    conversation = alice.conversation()
    with alice.page(conversation) as here, alice.page(conversation, second_url) as there:
        sent = here.say("[[tokens=240 rate=60]]")
        there.answered(sent, ("streaming",))
        there.until(lambda each: any(len(m["text"]) > 300 for m in each.messages.values()), "some words")
        gantry.kill("web")
        until(gantry.serves, "the successor")
        reply = there.answered(sent)
        assert reply["status"] == "complete"
        assert reply["text"] == "".join(f" w{n}" for n in range(1, 241))
        assert reply["handovers"] == []


def test_what_is_acknowledged_survives_a_kill(tabby: Tabby, gantry: Gantry, alice: Person) -> None:
    """Many messages are written together: those whose pages are told of them are there, the others can be sent again."""
    conversations = [alice.conversation() for _ in range(8)]
    with ExitStack() as opened:
        pages = [opened.enter_context(alice.page(each)) for each in conversations]
        sent = [page.say("[[echo]]well") for page in pages]
        pages[0].until(lambda each: acknowledged(each, sent[0]), "the acknowledgement")
        gantry.kill("web")
        for page in pages:
            with suppress(ConnectionClosed):
                while True:
                    page.next()
        told = [acknowledged(page, each) for page, each in zip(pages, sent, strict=True)]
    until(gantry.serves, "the successor")
    for conversation, client_id, was_told in zip(conversations, sent, told, strict=True):
        with alice.page(conversation) as page:
            assert acknowledged(page, client_id) or not was_told
            page.say("[[echo]]well", client_id)
            assert page.answered(client_id)["text"] == "well"
            assert [each["role"] for each in page.messages.values()] == ["user", "assistant"]


def acknowledged(page: Page, client_id: str) -> bool:
    return any(each["client_id"] == client_id for each in page.messages.values())


def test_messages_and_switches_survive_redis(
    tabby: Tabby, gantry: Gantry, admin: Person, alice: Person
) -> None:
    with alice.page() as page:
        sent = page.say("[[tokens=150 rate=50]]")
        page.answered(sent, ("streaming",))
        gantry.kill("redis")
        assert page.answered(sent)["status"] == "complete"
        assert page.answered(page.say("[[echo]]go on"))["text"] == "go on"
        number = admin.start_switch("beta-8B-Q5")
        page.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch", 60)
        assert page.backend["last"]["state"] == "succeeded"


def test_a_queued_message_is_answered_although_nobody_looks(
    tabby: Tabby, admin: Person, alice: Person
) -> None:
    conversation = alice.conversation()
    admin.call("POST", "/api/admin/models/unload")
    with alice.page(conversation) as page:
        sent = page.say("[[echo]]later")
        page.answered(sent, ("queued",))
    admin.switch("beta-8B-Q5")
    with alice.page(conversation) as page:
        assert page.answered(sent)["text"] == "later"


def test_a_page_elsewhere_sees_the_end_although_redis_was_away(
    tabby: Tabby, gantry: Gantry, alice: Person, second_url: str
) -> None:
    conversation = alice.conversation()
    with alice.page(conversation) as here, alice.page(conversation, second_url) as there:
        sent = here.say("[[tokens=60 rate=50]]")
        there.answered(sent, ("streaming",))
        with frozen(gantry.children()["redis"]):
            assert here.answered(sent)["status"] == "complete"
        assert there.answered(sent)["text"] == "".join(f" w{n}" for n in range(1, 61))
