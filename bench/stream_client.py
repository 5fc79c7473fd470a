"""The client that measures: many pages of Gantry, or many readers of TabbyAPI, in one process that must cost little.

A page here is one websocket, read frame by frame with hardly a step in between; everything that it is told is decoded
and checked: a gap or a repeat in a reply ends the benchmark. Times are time.time(), as in the sandbox's record.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import struct
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import orjson

_STAMPED = re.compile(r" w\d+@(\d+)")


class Broken(Exception):
    """What came was not what had to come: no figure of this run means anything."""


@dataclass(slots=True)
class Taken:
    """One reply as it was received: when it was asked for, and when how many tokens came."""

    asked: float
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    late: list[float] = field(default_factory=list)  # of stamped tokens: seconds since they were sent

    @property
    def tokens(self) -> int:
        return sum(count for _, count in self.arrivals)

    @property
    def first(self) -> float:
        return self.arrivals[0][0]

    @property
    def last(self) -> float:
        return self.arrivals[-1][0]


def lateness(now: float, text: str) -> list[float]:
    """How long ago each of the stamped words in `text` (the sandbox's `w1@T`) was sent."""
    return [now - int(stamp) / 1e6 for stamp in _STAMPED.findall(text)]


class Socket(asyncio.Protocol):
    """A websocket of Gantry's: opens itself, answers pings, and gives every event to `hear(now, event)`."""

    def __init__(self, address: str, path: str, cookie: str) -> None:
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
            f"Origin: http://{address}\r\nCookie: session_id={cookie}\r\n\r\n"
        ).encode()
        self._kept = b""
        self._upgraded = False
        self._transport: asyncio.Transport | None = None
        self.lost: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(error or Broken("the server closed the socket"))

    def data_received(self, data: bytes) -> None:
        now = time.time()
        if self._kept:
            data = self._kept + data
        at = 0
        if not self._upgraded:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._kept = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self.fail(Broken(f"the server refused the socket: {data[:200]!r}"))
                return
            self._upgraded, at = True, end + 4
        size = len(data)
        while size - at >= 2:
            opcode, length = data[at], data[at + 1]
            start = at + 2
            if length == 126:
                length, start = int.from_bytes(data[start : start + 2]), start + 2
            elif length == 127:
                length, start = int.from_bytes(data[start : start + 8]), start + 8
            if size < start or size - start < length:
                break
            at = start + length
            self._frame(now, opcode, data[start:at])
        self._kept = data[at:]

    def _frame(self, now: float, opcode: int, payload: bytes) -> None:
        if opcode == 0x81:
            self.take(now, payload)
        elif opcode == 0x89:
            self._write(0x8A, payload)
        elif opcode == 0x88:
            self.fail(Broken(f"the server closed the socket: {payload[2:].decode()} {payload[:2].hex()}"))
        elif opcode != 0x8A:
            self.fail(Broken(f"a frame of an unknown kind: {opcode:#x}"))

    def _write(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = bytes((opcode, 0x80 | size))
        elif size < 2**16:
            head = struct.pack("!BBH", opcode, 0xFE, size)
        else:
            head = struct.pack("!BBQ", opcode, 0xFF, size)
        assert self._transport is not None
        self._transport.write(head + b"\0\0\0\0" + payload)  # a mask of zeros is a mask

    def send(self, **frame: Any) -> None:
        """Send one frame."""
        self._write(0x81, orjson.dumps(frame))

    def close(self) -> None:
        """Leave without a word, as a closed laptop does."""
        if self._transport is not None:
            self._transport.abort()

    def take(self, now: float, payload: bytes) -> None:
        """Take one event as it came."""
        self.hear(now, orjson.loads(payload))

    def hear(self, now: float, event: dict[str, Any]) -> None:
        """Take one event."""

    def fail(self, error: Exception) -> None:
        """Note that this socket is of no more use."""
        self.lost = self.lost or error


class Page(Socket):
    """A page on one conversation. `opened` is done with its hello, `answered` with the end of the reply to say()."""

    def __init__(self, address: str, path: str, cookie: str) -> None:
        super().__init__(address, path, cookie)
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.queued: asyncio.Future[None] = loop.create_future()
        self.answered: asyncio.Future[Taken] = loop.create_future()
        self.backends: list[tuple[float, dict[str, Any]]] = []
        self.keeps_backends = False
        self._taken = Taken(0.0)
        self._client_id = ""
        self._asked = self._reply = self._size = 0

    def begin(self) -> None:
        """Be ready for another message's reply."""
        self._reply = self._asked = self._size = 0

    def say(self, text: str) -> None:
        """Send a message; its reply is what `answered` waits for."""
        self._client_id = str(uuid.uuid4())
        self._taken = Taken(time.time())
        self.send(type="send", client_id=self._client_id, text=text)

    def hear(self, now: float, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "delta":
            self._grow(now, event)
        elif kind == "message":
            self._message(event["message"])
        elif kind == "backend":
            if self.keeps_backends:
                self.backends.append((now, event))
        elif kind == "hello":
            if not self.opened.done():  # another one comes where the page may have missed something
                self.opened.set_result(None)
        elif kind == "error":
            self.fail(Broken(f"Gantry refused a frame: {event['detail']}"))

    def _grow(self, now: float, event: dict[str, Any]) -> None:
        text = event.get("text")
        if text is None:
            return
        if event["offset"] != self._size:
            self.fail(Broken(f"a gap or a repeat: {event['offset']} after {self._size}"))
        self._size += len(text)
        self._taken.arrivals.append((now, text.count(" w")))
        if "@" in text:
            self._taken.late += lateness(now, text)

    def _message(self, message: dict[str, Any]) -> None:
        if message["client_id"] == self._client_id:
            self._asked = message["id"]
        elif message["parent"] == self._asked:
            self._reply = message["id"]
            if not self.queued.done():
                self.queued.set_result(None)
            if message["status"] == "failed":
                self.fail(Broken(f"a reply failed: {message['error']}"))
            elif message["status"] == "complete" and not self.answered.done():
                if len(message["text"]) != self._size:
                    self.fail(Broken(f"{self._size} characters came of {len(message['text'])}"))
                else:
                    self.answered.set_result(self._taken)

    def fail(self, error: Exception) -> None:
        super().fail(error)
        for future in (self.opened, self.queued, self.answered):
            if not future.done():
                future.set_exception(error)
                future.exception()  # asked for, or not


async def open_pages(address: str, visitors: list[tuple[str, str]]) -> list[Page]:
    """Open a page for each (path, cookie); return them when all have had their hello."""
    host, _, port = address.partition(":")
    loop = asyncio.get_running_loop()
    pages = []
    for start in range(0, len(visitors), 50):  # no longer a queue than a server's backlog takes
        group = [Page(address, path, cookie) for path, cookie in visitors[start : start + 50]]
        for page in group:
            await loop.create_connection(lambda page=page: page, host, int(port))  # type: ignore[misc]
        await asyncio.wait_for(asyncio.gather(*(page.opened for page in group)), 60)
        pages += group
    return pages


async def read_directly(session: aiohttp.ClientSession, url: str, key: str, text: str) -> Taken:
    """Ask the sandbox itself, and read its stream as fast as a Python client can."""
    body = {
        "messages": [{"role": "user", "content": text}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"Authorization": f"Bearer {key}"}
    taken = Taken(time.time())
    kept, done = b"", False
    async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
        response.raise_for_status()
        async for data in response.content.iter_any():
            now = time.time()
            *events, kept = (kept + data).split(b"\r\n\r\n")
            count = 0
            for event in events:
                if event == b"data: [DONE]":
                    done = True
                elif event.startswith(b"data: "):
                    content = orjson.loads(event[6:])["choices"][0]["delta"].get("content")
                    count += bool(content)
                    if content and "@" in content:
                        taken.late += lateness(now, content)
            if count:
                taken.arrivals.append((now, count))
    if not done:
        raise Broken("the sandbox's stream ended without its end mark")
    return taken
