"""A chat page in Chromium, and the socket at its other end, played by the test."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from played_events import HERE, conversation, hello, models_hello
from played_server import Served
from playwright.sync_api import Page, ViewportSize, WebSocketRoute
from support import schema_checks
from support.chromium import PATIENCE

SIZE: ViewportSize = {"width": 1200, "height": 800}


class Site:
    """A page, and what it is told. `frames`: what its socket sent; `paths`: which sockets it opened."""

    def __init__(self, page: Page, served: Served) -> None:
        self.page = page
        self.served = served
        self.forget()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.route_web_socket(re.compile(r".*"), self._connected)

    def forget(self) -> None:
        """Be as new: nothing heard, nothing kept."""
        self.page.goto(f"{self.served.url}/static/chat/favicon.svg")
        self.page.evaluate("(localStorage.clear(), sessionStorage.clear())")
        self.page.set_viewport_size(SIZE)
        self.served.forget()
        self.frames: list[dict[str, Any]] = []
        self.told: list[tuple[str, str]] = []
        self.heard: list[str | bytes] = []
        self.complaints: list[str] = []
        self.hello: dict[str, Any] | None = hello()
        self.obey: Callable[[dict[str, Any]], None] = lambda frame: None
        self.refusing: int | None = None
        self.pings = 0
        self.silent = False  # whether nothing reaches the page, as on a network that swallows packets
        self.paths: list[str] = []
        self.socket: WebSocketRoute | None = None

    def open(self, path: str = f"/c/{HERE}/", *, first: dict[str, Any] | None = None) -> Page:
        """Go to a page; `first` is what its socket is told first."""
        if first is not None:
            self.hello = first
        elif path == "/":
            self.hello = models_hello()
        self.page.goto(self.served.url + path)
        return self.page

    def say(self, *events: dict[str, Any]) -> None:
        assert self.socket is not None
        if self.silent:
            return
        for event in events:
            self._send(event, self.paths[-1])

    def noise(self, text: str) -> None:
        """Tell the page what no server says."""
        assert self.socket is not None
        self.socket.send(text)

    def _send(self, event: dict[str, Any], path: str) -> None:
        assert self.socket is not None
        text = json.dumps(event)
        self.told.append((text, path))
        self.socket.send(text)

    def cut(self, code: int = 1011) -> None:
        assert self.socket is not None
        self.socket.close(code=code)

    def sent(self, kind: str, number: int = 1) -> list[dict[str, Any]]:
        """Wait until so many frames of this type have come; return them."""
        self.until(lambda: len(self._of(kind)) >= number, f"{number} × {kind}")
        return self._of(kind)

    def check(self) -> None:
        """What was said on both sides must be what the schema describes, and the page must have nothing to complain of."""
        for text, path in self.told:
            schema_checks.event(text, path)
        for text in self.heard:
            schema_checks.frame(text)
        for method, path, status, body in self.served.given:
            schema_checks.answer(method, path, status, body)
        assert self.complaints == []

    def until(self, holds: Callable[[], Any], what: str = "") -> None:
        for _ in range(int(PATIENCE) // 20):
            if holds():
                return
            self.page.wait_for_timeout(20)  # lets Playwright hand over what has come
        raise AssertionError(f"{what or holds}: not so. Frames: {self.frames}; calls: {self.served.calls}")

    def asked(self, method: str, path: str) -> Any:
        """Wait for a call of the API; return its body."""
        self.until(lambda: any(call[:2] == (method, path) for call in self.served.calls), f"{method} {path}")
        return next(body for verb, where, body in self.served.calls if (verb, where) == (method, path))

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]

    def _heard(self, message: Any) -> None:
        # A status that a test asked for is reported by the browser as an error, too.
        if (
            message.type in ("error", "warning")
            and "the server responded with a status of" not in message.text
        ):
            self.complaints.append(message.text)

    def _connected(self, socket: WebSocketRoute) -> None:
        self.paths.append(re.sub(r"^ws://[^/]+", "", socket.url))
        if self.refusing is not None:
            socket.close(code=self.refusing)
            return
        self.socket = socket

        def received(text: str | bytes) -> None:
            frame = json.loads(text)
            self.heard.append(text)
            if frame["type"] == "ping":
                self.pings += 1
                self.say({"type": "pong"})
                return
            self.frames.append(frame)
            self.obey(frame)

        socket.on_message(received)
        if self.hello is not None and not self.silent:
            self._send(self._hello(self.paths[-1]), self.paths[-1])

    def _hello(self, path: str) -> dict[str, Any]:
        """What the server says first: a conversation exactly where the socket's path names one."""
        assert self.hello is not None
        if path == "/ws/models/":
            return models_hello(self.hello["backend"])
        if "conversation" not in self.hello:  # the page was opened without one, and has made one since
            (number,) = re.findall(r"^/ws/chat/([^/]+)/$", path)
            return hello(state=self.hello["backend"]) | {
                "conversation": conversation(number, "New conversation")
            }
        return self.hello
