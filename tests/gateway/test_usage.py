"""What replies took is written once, and adds up to what TabbyAPI said, whatever happens to them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support.api_calls import Caller, words
from support.people import Person
from support.system import web_process
from support.tabby import Tabby, until
from support.usage import kept, told, written
from system.running import Gantry

PATIENT = {"REPLY_STALL_TIMEOUT": "100"}


class Sums:
    """What is written from now on; the sandbox's log is empty at the beginning."""

    def __init__(self, gantry: Gantry, tabby: Tabby) -> None:
        self._gantry, self._tabby = gantry, tabby
        self._before = written(gantry)

    def new(self) -> dict[str, int]:
        return {name: value - self._before[name] for name, value in written(self._gantry).items()}

    def come_to(self, replies: int) -> None:
        """Wait until so many replies are written, and compare."""
        until(lambda: self.new()["replies"] >= replies, "the rows")
        assert self.new() == {"replies": replies, **told(self._tabby)}


@pytest.fixture
def sums(gantry: Gantry, tabby: Tabby) -> Sums:
    return Sums(gantry, tabby)


@pytest.fixture(scope="module")
def patient(gantry: Gantry) -> Iterator[str]:
    """A web process that waits long for a stream that hangs."""
    with web_process(gantry, "daphne", **PATIENT) as (process, url):
        yield url
        process.end()


def test_every_kind_of_answer_adds_up(caller: Caller, alice: Person, sums: Sums) -> None:
    caller.ask("[[tokens=7]]")
    with caller.stream("[[tokens=11 rate=0]]") as wire:
        wire.rest()
    caller.post("completions", {"prompt": "[[tokens=5]]", "max_tokens": 4})
    with caller.post("completions", {"prompt": "[[tokens=5]]", "stream": True}, stream=True) as answer:
        assert answer.text
    caller.post("embeddings", {"input": ["one", "two"]})
    assert caller.ask("[[tokens=3]]", n=2).status_code == 200
    with alice.page() as page:
        page.answered(page.say("[[tokens=13]]"))
    sums.come_to(7)


def test_a_caller_who_goes_and_a_reader_who_stops_are_counted_by_events(
    patient: str, caller: Caller, alice: Person, tabby: Tabby, sums: Sums
) -> None:
    tabby.fault("chat", "hang", at=6, times=2)
    with Caller(patient, caller.token).stream("[[tokens=50 rate=0]]") as wire:
        wire.until("w6")
    with alice.page(url=patient) as page:
        reply = page.answered(page.say("[[tokens=50 rate=0]]"), ("streaming",))
        page.until(lambda each: each.messages[reply["id"]]["text"].endswith("w6"), "six words")
        page.frame(type="stop", id=reply["id"])
        page.until(lambda each: each.messages[reply["id"]]["status"] == "stopped", "the stop")
    sums.come_to(2)
    assert sums.new()["completion"] == 12


def test_a_switch_in_mid_answer_counts_both_parts(
    patient: str, admin: Person, token: str, tabby: Tabby, sums: Sums
) -> None:
    tabby.fault("chat", "hang", at=9, times=2)
    caller = Caller(patient, token)
    with caller.stream("[[tokens=20 rate=0]]") as wire, admin.page(url=patient) as page:
        wire.until("w9")
        reply = page.answered(page.say("[[tokens=20 rate=0]]"), ("streaming",))
        page.until(lambda each: each.messages[reply["id"]]["text"].endswith("w9"), "nine words")
        admin.start_switch("beta-8B-Q5")
        assert wire.rest() == words(1, 20)
        page.until(lambda each: each.messages[reply["id"]]["status"] == "complete", "the whole reply")
    sums.come_to(2)
    assert sums.new()["completion"] == 40


def test_a_killed_process_leaves_each_token_counted_once(
    caller: Caller, alice: Person, gantry: Gantry, tabby: Tabby, sums: Sums
) -> None:
    """The chat's reply is gone on with by another process; the call's caller is gone with its connection."""
    tabby.fault("chat", "hang", at=8, times=2)
    conversation = alice.conversation()
    with web_process(gantry, "daphne", **PATIENT) as (web, url):
        with alice.page(conversation, url) as page:
            reply = page.answered(page.say("[[tokens=30 rate=0]]"), ("streaming",))
            page.until(lambda each: each.messages[reply["id"]]["text"].endswith("w8"), "eight words")
            calling = threading.Thread(target=_ignore, args=(Caller(url, caller.token),))
            calling.start()
            until(lambda: kept(gantry) == [8, 8], "what both have brought in their rows")
            web.popen.kill()
        calling.join()
    with alice.page(conversation) as page:
        page.until(lambda each: each.messages[reply["id"]]["status"] == "complete", "the whole reply")
        assert page.messages[reply["id"]]["text"] == words(1, 30)
    sums.come_to(2)
    assert sums.new()["completion"] == 38


def _ignore(caller: Caller) -> Any:
    try:
        with caller.stream("[[tokens=30 rate=0]]") as wire:
            wire.rest()
    except OSError:
        pass
