"""Daphne's side of an HTTP request: bounds its body before Daphne keeps it, and how long it may take to come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from daphne.http_protocol import WebRequest
from django.conf import settings

from gantry_site.bodies import LINGER_SECONDS, is_call, limit, refusal
from gantry_site.direct_writes import nothing_waits, write_at_once


class BoundedRequest(WebRequest):  # type: ignore[misc]  # daphne has no types
    """A request whose body is answered with 413 as soon as its announced or received size is over the limit, and with 408
    where it has not come after REQUEST_SECONDS.

    Twisted keeps all that is written for a reader who falls behind: the application is told to wait, as on other servers.
    """

    _taken: asyncio.Event | None = None  # set while the reader keeps up
    _size = 0
    _limit = 0
    _refused = False
    _content_types: list[bytes] = []

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lateness = _later(settings.REQUEST_SECONDS, self._late)

    def process(self) -> Any:
        """Have the request answered, without the header by which Daphne lets a client say where the site begins."""
        self.requestHeaders.removeHeader(b"daphne-root-path")
        if not self.requestHeaders.hasHeader(b"upgrade"):
            self._taken = asyncio.Event()
            self._taken.set()
            self.registerProducer(self, True)
        if self._content_types:
            self.requestHeaders.setRawHeaders(b"content-type", self._content_types)
        return super().process()

    def pauseProducing(self) -> None:
        """Have the application wait: the reader has fallen behind."""
        if self._taken is not None:
            self._taken.clear()

    def resumeProducing(self) -> None:
        """Have the application go on: the reader has taken what was written."""
        if self._taken is not None:
            self._taken.set()

    def stopProducing(self) -> None:
        """Have nobody wait for a connection that has gone."""
        self.resumeProducing()

    async def taken(self) -> None:
        """Wait until the reader keeps up."""
        if self._taken is not None:
            await self._taken.wait()

    @property
    def is_behind(self) -> bool:
        """Whether the reader has fallen behind."""
        return self._taken is not None and not self._taken.is_set()

    def pass_on(self, message: dict[str, Any]) -> bool:
        """Send a part of an answer that has begun, at once, where the socket takes it; return whether that is done."""
        goes_on = message.get("more_body") and self.chunked and not self.finished and not self._disconnected
        if not goes_on or self.channel is None or not nothing_waits(self.channel.transport):
            return False
        if data := message.get("body"):
            self.sentLength += len(data)
            write_at_once(self.channel.transport, b"%x\r\n%b\r\n" % (len(data), data))
        return True

    @property
    def is_call(self) -> bool:
        """Whether the request is a program’s, under /v1."""
        path: bytes = self.path
        return is_call(path.decode("ascii", "replace"))

    def left_alone(self) -> None:
        """Cut off an answer that the application has begun and not ended."""
        if self._response_started and not self.finished and self.channel is not None:
            self.channel.transport.abortConnection()

    def finish(self) -> None:
        """End the answer: what is left of it Twisted sends by itself."""
        if self.producer is not None and self.channel is not None:
            self.unregisterProducer()
        super().finish()

    def connectionLost(self, reason: Any) -> None:
        """Tell the application that the caller has gone, or the connection has broken."""
        self._has_come()
        self.resumeProducing()
        super().connectionLost(reason)

    def gotLength(self, length: int | None) -> None:
        """Prepare for a body of `length` bytes (None: not announced)."""
        self._limit = limit(self._announced_path())
        if length is not None and length > self._limit:
            self._refuse(413, b"Content Too Large")
        super().gotLength(0 if self._refused else length)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body."""
        self._size += len(data)
        if not self._refused and self._size > self._limit:
            self._refuse(413, b"Content Too Large")
        if not self._refused:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The whole request has come: have it answered, unless it has been refused."""
        self._has_come()
        if self._refused:
            self.channel.loseConnection()
            return
        # Twisted would read a form for itself, and hang up over one that it cannot read: Django does that, with an answer.
        self._content_types = self.requestHeaders.getRawHeaders(b"content-type", [])
        self.requestHeaders.removeHeader(b"content-type")
        super().requestReceived(command, path, version)

    def _announced_path(self) -> str:
        path: bytes = getattr(self.channel, "_path", b"")
        return path.partition(b"?")[0].decode("ascii", "replace")

    def _has_come(self) -> None:
        if self._lateness.active():
            self._lateness.cancel()

    def _late(self) -> None:
        if self.channel is not None and not self._refused:
            self._refuse(408, b"Request Timeout")

    def _refuse(self, status: int, words: bytes) -> None:
        self._refused = True
        self.requestHeaders.removeHeader(b"expect")
        origin: bytes = self.requestHeaders.getRawHeaders(b"origin", [b""])[0]
        headers, body = refusal(status, self._announced_path(), origin.decode("latin-1"))
        lines = [b"%s: %s\r\n" % each for each in headers]
        channel = self.channel
        channel.transport.write(b"".join([b"HTTP/1.1 %d %s\r\n" % (status, words), *lines, b"\r\n", body]))
        # Until then the client can read the answer.
        _later(LINGER_SECONDS, channel.transport.abortConnection)


def _later(seconds: float, what: Callable[[], object]) -> Any:
    from twisted.internet import reactor  # noqa: PLC0415 (by now serve.py has installed it)

    loop: Any = reactor
    return loop.callLater(seconds, what)
