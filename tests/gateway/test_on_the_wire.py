"""What a hostile or awkward caller may do with a connection, on either server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO
from urllib.parse import urlsplit

from support.api_calls import Caller, said, words
from support.tabby import Tabby

BODY = json.dumps({"messages": said("[[tokens=3]]")}).encode()


@contextmanager
def connected(caller: Caller) -> Iterator[tuple[socket.socket, BinaryIO]]:
    """A connection, and what comes on it."""
    address = urlsplit(caller.url)
    with (
        socket.create_connection((address.hostname, address.port), timeout=60) as raw,
        raw.makefile("rb") as come,
    ):
        yield raw, come


def head(caller: Caller, method: str = "POST", path: str = "chat/completions", **headers: str) -> bytes:
    """The head of a request."""
    own = {"Host": "localhost", "Authorization": f"Bearer {caller.token}", **headers}
    lines = [
        f"{method} /v1/{path} HTTP/1.1",
        *(f"{name.replace('_', '-')}: {value}" for name, value in own.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(come: BinaryIO) -> tuple[int, dict[str, str], bytes]:
    """The next answer on the connection: its status, its headers, and its body where its length is announced."""
    status = int(come.readline().split()[1])
    headers = {}
    while (line := come.readline().decode().strip()) != "":
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return status, headers, come.read(int(headers.get("content-length", 0)))


def test_requests_that_are_sent_without_waiting_are_answered_in_order(third: Caller) -> None:
    with connected(third) as (raw, come):
        chat = head(third, X_Request_ID="one", Content_Length=str(len(BODY))) + BODY
        raw.sendall(chat + head(third, "GET", "models", X_Request_ID="two") + chat.replace(b"one", b"three"))
        answers = [answer(come) for _ in range(3)]
    assert [(status, headers["x-request-id"]) for status, headers, _ in answers] == [
        (200, "one"),
        (200, "two"),
        (200, "three"),
    ]
    assert json.loads(answers[2][2])["choices"][0]["message"]["content"] == words(1, 3)


def test_whoever_asks_first_is_told_to_send_the_body(third: Caller) -> None:
    with connected(third) as (raw, come):
        raw.sendall(head(third, Expect="100-continue", Content_Length=str(len(BODY))))
        assert answer(come)[0] == 100
        raw.sendall(BODY)
        assert answer(come)[0] == 200


def is_closed(come: BinaryIO) -> bool:
    """Whether nothing more comes; waits for it."""
    with suppress(ConnectionResetError):
        return come.read() == b""
    return True


def test_a_body_that_does_not_come_is_not_waited_for(third: Caller, tabby: Tabby) -> None:
    with connected(third) as (raw, come):
        raw.sendall(head(third, Transfer_Encoding="chunked") + b"5\r\n{")
        status, headers, body = answer(come)
        assert (status, headers["connection"].lower()) == (408, "close")
        assert json.loads(body)["error"]["code"] == "request_too_slow"
        assert is_closed(come)
    assert tabby.log("/v1/chat/completions") == []


def test_a_head_that_does_not_come_is_not_waited_for(caller: Caller, daphne_url: str) -> None:
    with connected(Caller(daphne_url, caller.token)) as (raw, come):
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        assert answer(come)[0] == 408
        assert is_closed(come)
