"""A caller who goes away, or takes nothing, holds nothing: on either server."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from urllib.parse import urlsplit

from paths.test_metrics import scrape, value
from support.api_calls import Caller, said
from support.people import Person
from support.tabby import Tabby, until

CHATS = "/v1/chat/completions"


def _replying(admin: Person) -> int:
    with admin.watch() as page:
        return int(page.backend["replying"])


def test_the_generation_ends_with_the_connection(third: Caller, tabby: Tabby, admin: Person) -> None:
    with third.stream("[[tokens=5000 rate=20]]") as wire:
        wire.until("w3 ")
    until(lambda: tabby.log(CHATS)[0]["outcome"] == "disconnected", "the end of the generation")
    assert tabby.log(CHATS)[0]["tokens"] < 200
    until(lambda: not _replying(admin), "the end of the lease")


def test_an_answer_in_one_piece_ends_with_the_connection(third: Caller, tabby: Tabby, admin: Person) -> None:
    waits = value(scrape(admin.url), "claim_wait_seconds_count")
    with _raw(third, {"messages": said("[[tokens=5000 rate=20]]")}):
        until(lambda: tabby.log(CHATS), "the call in TabbyAPI")
    until(lambda: tabby.log(CHATS)[0]["outcome"] == "disconnected", "the end of the generation")
    until(lambda: not _replying(admin), "the end of the lease")
    until(lambda: value(scrape(admin.url), "claim_wait_seconds_count") > waits, "its wait, counted")


def test_whoever_leaves_while_waiting_leaves_the_line(third: Caller, tabby: Tabby, admin: Person) -> None:
    tabby.state(seconds_per_module=0.1)
    number = admin.start_switch("slow-13B")
    until(lambda: admin.switch_row(number)["state"] == "loading", "the load")
    with third.stream("hello") as wire:
        assert wire.line().startswith(":")
        assert value(scrape(admin.url), "queue_length") == 1
    until(lambda: value(scrape(admin.url), "queue_length") == 0, "an empty line")
    until(lambda: admin.switch_row(number)["state"] == "succeeded", "the end of the switch")
    assert tabby.chats() == []


def test_a_caller_who_takes_nothing_is_cut_off(third: Caller, tabby: Tabby, admin: Person) -> None:
    """TabbyAPI's stream is read no faster than it is taken, so that it costs no memory; and not for ever."""
    body = {"messages": said("[[tokens=400000 rate=0 size=100]]"), "stream": True}
    with _raw(third, body) as slow:
        slow.recv(100)
        until(lambda: tabby.log(CHATS)[0]["outcome"] == "disconnected", "the end of the generation")
        assert tabby.log(CHATS)[0]["tokens"] < 200_000
        until(lambda: not _replying(admin), "the end of the lease")
        taken = 0
        with suppress(ConnectionResetError):
            while data := slow.recv(2**16):
                taken += len(data)
    assert taken < 30_000_000


def _raw(caller: Caller, body: object) -> socket.socket:
    """A connection on which a chat has been asked for, and nothing read."""
    address = urlsplit(caller.url)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    raw.settimeout(60)
    raw.connect((address.hostname, address.port))
    data = json.dumps(body).encode()
    head = [f"POST {CHATS} HTTP/1.1", f"Host: {address.netloc}", f"Authorization: Bearer {caller.token}"]
    raw.sendall("\r\n".join([*head, f"Content-Length: {len(data)}", "", ""]).encode() + data)
    return raw
