"""A page that takes nothing holds up nobody, and is cut off before it costs much; on either server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from support.page import PATIENCE
from support.people import Person
from support.system import web_process
from support.tabby import Tabby
from system.running import Gantry
from websockets.client import ClientProtocol
from websockets.protocol import OPEN
from websockets.uri import parse_uri

LARGE = 1_000_000  # characters
MORE_THAN_WAITS = 40  # of those


@pytest.fixture(params=["daphne", "uvicorn"])
def third_url(request: pytest.FixtureRequest, gantry: Gantry) -> Iterator[str]:
    """One more web process of the running Gantry."""
    with web_process(gantry, request.param) as (web, url):
        yield url
        web.end()


class SlowPage:
    """A page's socket that is read only when somebody asks."""

    def __init__(self, person: Person, conversation: str, url: str) -> None:
        self.protocol = ClientProtocol(
            parse_uri(f"{url.replace('http', 'ws')}/ws/chat/{conversation}/"), origin=url
        )  # type: ignore[arg-type]
        self.socket = socket.create_connection(("127.0.0.1", urlsplit(url).port), PATIENCE)
        request = self.protocol.connect()
        request.headers["Cookie"] = f"session_id={person.cookie}"
        self.protocol.send_request(request)
        self._send()
        while self.protocol.state is not OPEN:
            self.protocol.receive_data(self.socket.recv(1024))

    def ask_for(self, message: int) -> None:
        """Ask for the whole message once more, in vain after the server has ended the connection."""
        self.protocol.send_text(json.dumps({"type": "resync", "id": message}).encode())
        with suppress(ConnectionResetError, BrokenPipeError):
            self._send()

    def _send(self) -> None:
        self.socket.sendall(b"".join(self.protocol.data_to_send()))

    def read_to_the_end(self) -> int:
        """Read until the server ends the connection; return how many bytes came."""
        read = 0
        with suppress(ConnectionResetError):
            while data := self.socket.recv(2**16):
                read += len(data)
        return read


def test_a_reader_who_takes_nothing_is_cut_off_and_holds_up_nobody(
    tabby: Tabby, alice: Person, admin: Person, third_url: str
) -> None:
    conversation = alice.conversation()
    slow = SlowPage(alice, conversation, third_url)
    with alice.page(conversation, third_url) as quick, admin.watch(third_url) as onlooker, slow.socket:
        large = quick.answered(quick.say(f"[[tokens={LARGE // 100} rate=0 size=100]]"))
        assert len(large["text"]) == LARGE
        for _ in range(5):  # more than the system's buffers take
            slow.ask_for(large["id"])
        assert quick.answered(quick.say("[[echo]]I am here"))["text"] == "I am here"
        for _ in range(MORE_THAN_WAITS):
            slow.ask_for(large["id"])
        assert quick.answered(quick.say("[[echo]]and still"))["text"] == "and still"
        number = admin.start_switch("beta-8B-Q5")
        onlooker.until(lambda each: (each.backend["last"] or {}).get("id") == number, "the end of the switch")

        assert slow.read_to_the_end() < MORE_THAN_WAITS * LARGE

    with alice.page(conversation, third_url) as again:
        assert again.messages[large["id"]]["text"] == large["text"]
