"""A chat page without a browser: it applies events as the real page does, and counts what it had to ask for again."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from support import schema_checks

PATIENCE = 120.0
ENDED = ("complete", "stopped", "failed")


class Socket:
    """A websocket with the session's cookie."""

    def __init__(self, url: str, cookie: str, origin: str | None = None) -> None:
        self.url, self.cookie = url, cookie
        self.origin = origin or "/".join(url.split("/")[:3])
        self.events: list[dict[str, Any]] = []

    def open(self, path: str) -> AbstractContextManager[ClientConnection]:
        headers = {"Cookie": f"session_id={self.cookie}"} if self.cookie else {}
        self.path = path
        address = self.url.replace("http://", "ws://") + path
        return connect(address, additional_headers=headers, origin=self.origin, max_size=None, max_queue=None)  # type: ignore[arg-type]


class Page(Socket):
    """Somebody's page on one conversation (or, without one, on /ws/models/)."""

    def __init__(self, url: str, cookie: str, conversation: str = "", origin: str | None = None) -> None:
        super().__init__(url, cookie, origin)
        self.conversation = conversation
        self.messages: dict[int, dict[str, Any]] = {}
        self.order: list[int] = []
        self.backend: dict[str, Any] = {}
        self.backends: list[dict[str, Any]] = []
        self.title = ""
        self.resyncs = 0

    def __enter__(self) -> Self:
        self._open = self.open(f"/ws/chat/{self.conversation}/" if self.conversation else "/ws/models/")
        self.socket = self._open.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def frame(self, **frame: Any) -> None:
        """Send one frame."""
        self.socket.send(json.dumps(frame))

    def say(self, text: str, client_id: str = "") -> str:
        """Send a message; return its client_id."""
        client_id = client_id or str(uuid.uuid4())
        self.frame(type="send", client_id=client_id, text=text)
        return client_id

    def next(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Take the next event, and apply it."""
        event = schema_checks.event(self.socket.recv(timeout), self.path)
        self.events.append(event)
        self.apply(event)
        return event

    def until(self, check: Callable[[Self], Any], what: str = "", timeout: float = PATIENCE) -> Any:
        """Take events until `check(self)` gives something true, and return that."""
        end = time.monotonic() + timeout
        while not (found := check(self)):
            left = end - time.monotonic()
            try:
                self.next(max(left, 0.001))
            except TimeoutError:
                last = [each["type"] for each in self.events[-9:]]
                raise AssertionError(f"no {what or check}; last events: {last}") from None
        return found

    def event(self, kind: str) -> dict[str, Any]:
        """Take events until one of this type comes."""
        while (event := self.next())["type"] != kind:
            pass
        return event

    def answered(self, client_id: str, status: tuple[str, ...] = ENDED) -> dict[str, Any]:
        """Take events until the reply to that message has the status; return the reply."""

        def reply(page: Page) -> dict[str, Any] | None:
            for asked in page.messages.values():
                if asked["client_id"] == client_id:
                    for each in page.messages.values():
                        if each["parent"] == asked["id"] and each["status"] in status:
                            return each
            return None

        found: dict[str, Any] = self.until(reply, f"reply ({', '.join(status)})")
        return found

    def closed(self) -> int:
        """Wait for the server to close the socket; return the code."""
        with pytest.raises(ConnectionClosed) as end:
            list(self.socket)
        assert end.value.rcvd is not None
        return end.value.rcvd.code

    def apply(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind in ("hello", "backend"):
            self.backend = event["backend"] if kind == "hello" else event
            self.backends.append(self.backend)
        if kind == "hello":
            self.messages = {each["id"]: each for each in event.get("messages", [])}
            self.order = list(self.messages)
            self.title = event.get("conversation", {}).get("title", "")
        elif kind == "conversation":
            self.title = event["conversation"]["title"]
        elif kind == "message":
            message = event["message"]
            if message["revision"] >= self.messages.get(message["id"], {"revision": 0})["revision"]:
                self.messages[message["id"]] = message
        elif kind in ("delta", "block") and event["id"] not in self.messages:
            self.resync(event["id"])
        elif kind == "delta":
            self._grow(event)
        elif kind == "block":
            message = self.messages[event["id"]]
            if event["upto"] > len(message["text"]):
                self.resync(event["id"])
            elif event["upto"] > message["upto"]:
                message["html"] += event["html"]
                message["upto"] = event["upto"]

    def _grow(self, event: dict[str, Any]) -> None:
        message = self.messages[event["id"]]
        what = "text" if "text" in event else "reasoning"
        known = len(message[what]) - event["offset"]
        if known < 0:
            self.resync(event["id"])
        else:
            message[what] += event[what][known:]

    def resync(self, message: int) -> None:
        """Ask for a whole snapshot, because something of this message is missing."""
        self.resyncs += 1
        self.frame(type="resync", id=message)
