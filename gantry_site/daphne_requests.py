"""Daphne's side of an HTTP request: bounds its body before Daphne keeps it."""

from __future__ import annotations

from typing import Any

from daphne.http_protocol import WebRequest
from django.conf import settings

from gantry_site.bodies import LINGER_SECONDS, too_large


class BoundedRequest(WebRequest):  # type: ignore[misc]  # daphne has no types
    """A request whose body is answered with 413 as soon as its announced or received size is over the limit."""

    _size = 0
    _refused = False
    _content_types: list[bytes] = []

    def process(self) -> Any:
        """Have the request answered, without the header by which Daphne lets a client say where the site begins."""
        self.requestHeaders.removeHeader(b"daphne-root-path")
        if self._content_types:
            self.requestHeaders.setRawHeaders(b"content-type", self._content_types)
        return super().process()

    def gotLength(self, length: int | None) -> None:
        """Prepare for a body of `length` bytes (None: not announced)."""
        if length is not None and length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            self._refuse()
        super().gotLength(0 if self._refused else length)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body."""
        self._size += len(data)
        if not self._refused and self._size > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            self._refuse()
        if not self._refused:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The whole request has come: have it answered, unless it has been refused."""
        if self._refused:
            self.channel.loseConnection()
            return
        # Twisted would read a form for itself, and hang up over one that it cannot read: Django does that, with an answer.
        self._content_types = self.requestHeaders.getRawHeaders(b"content-type", [])
        self.requestHeaders.removeHeader(b"content-type")
        super().requestReceived(command, path, version)

    def _refuse(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 (by now serve.py has installed it)

        self._refused = True
        self.requestHeaders.removeHeader(b"expect")
        path: bytes = self.channel._path
        headers, body = too_large(path.decode("ascii", "replace"))
        lines = [b"%s: %s\r\n" % each for each in headers]
        channel = self.channel
        channel.transport.write(b"".join([b"HTTP/1.1 413 Content Too Large\r\n", *lines, b"\r\n", body]))
        # Until then the client can read the answer.
        loop: Any = reactor
        loop.callLater(LINGER_SECONDS, channel.transport.abortConnection)
