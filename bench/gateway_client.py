"""A program that calls an OpenAI-compatible API: HTTP/1.1 on a bare socket, which costs hardly anything.

What comes is only taken out of its chunks and kept, with the time; it is decoded and checked when all is over. Times are
time.time(), as in the sandbox's record.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from bench.stream_client import Broken, Taken, lateness

CHAT = "/v1/chat/completions"
_BETWEEN = re.compile(rb"\r?\n\r?\n")
_LINES = re.compile(rb"\r?\n")
_WORD = re.compile(r" w(\d+)")


@dataclass(slots=True)
class Answer:
    """One answer as it came: its status (0: none yet), its headers in lower case, and the parts of its body."""

    asked: float
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    whole: bool = False  # its end has come

    @property
    def body(self) -> bytes:
        """All that came of the body."""
        return b"".join(piece for _, piece in self.pieces)

    @property
    def seconds(self) -> float:
        """From asking to the last byte."""
        return self.pieces[-1][0] - self.asked

    def events(self) -> list[tuple[float, bytes]]:
        """The data of a stream's events, each with the time at which its end came. Comments are left out."""
        found, kept = [], b""
        for now, piece in self.pieces:
            *events, kept = _BETWEEN.split(kept + piece)
            for event in events:
                lines = [line[6:] for line in _LINES.split(event) if line.startswith(b"data: ")]
                if lines:
                    found.append((now, b"\n".join(lines)))
        return found


class Connection(asyncio.Protocol):
    """A connection to a server, for one request after the other."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._done: asyncio.Future[Answer] | None = None
        self._kept = b""
        self._left = 0  # bytes of the body, or of the chunk with its line end, that have not come
        self._chunked = False

    @classmethod
    async def open(cls, address: str) -> Connection:
        """Connect to HOST:PORT."""
        host, _, port = address.partition(":")
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: cls(address), host, int(port))
        return made

    def ask(self, path: str, key: str, body: Any = None) -> asyncio.Future[Answer]:
        """Send a request (POST where there is a body); its answer comes when it is whole.

        It fails with Broken where the connection ends before: Broken.args has what had come.
        """
        data = b"" if body is None else orjson.dumps(body)
        head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: {self._address}\r\n"
        head += f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        self._answer, self._kept = Answer(time.time()), b""
        self._done = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            self.connection_lost(None)
        else:
            self._transport.write(head.encode() + data)
        return self._done

    def close(self) -> None:
        """Leave without a word."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, error: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(
                Broken(f"the connection ended within the answer: {error or 'closed'}", self._answer)
            )

    def data_received(self, data: bytes) -> None:
        now, answer = time.time(), self._answer
        if answer is None or answer.whole:
            return
        if self._kept:
            data, self._kept = self._kept + data, b""
        if not answer.status:
            data = data.lstrip(b"\r\n")
            head, between, rest = data.partition(b"\r\n\r\n")
            if not between:
                self._kept = data
                return
            self._begin(answer, head.decode("latin-1"))
            data = rest
        if self._chunked:
            self._chunks(now, data, answer)
            return
        self._left -= len(data)
        answer.pieces.append((now, data))
        if self._left <= 0:
            self._end(answer)

    def _begin(self, answer: Answer, head: str) -> None:
        first, *lines = head.split("\r\n")
        answer.status = int(first.split()[1])
        answer.headers = {
            name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)
        }
        self._chunked = "chunked" in answer.headers.get("transfer-encoding", "")
        self._left = 0 if self._chunked else int(answer.headers.get("content-length", "0"))

    def _chunks(self, now: float, data: bytes, answer: Answer) -> None:
        at, size, parts = 0, len(data), []
        while True:
            if self._left:
                end = min(at + self._left, size)
                parts.append(data[at : max(at, min(end, at + self._left - 2))])
                self._left -= end - at
                at = end
                if self._left:
                    break
            end = data.find(b"\r\n", at)
            if end < 0:
                self._kept = data[at:]
                break
            length = int(data[at:end].partition(b";")[0], 16)
            at = end + 2
            if not length:
                self._end(answer)
                break
            self._left = length + 2
        if part := b"".join(parts):
            answer.pieces.append((now, part))

    def _end(self, answer: Answer) -> None:
        answer.whole = True
        if self._done is not None and not self._done.done():
            self._done.set_result(answer)


async def chat(address: str, key: str, text: str) -> Answer:
    """Ask for a stream on a connection of its own; return it when it is whole."""
    connection = await Connection.open(address)
    try:
        body = {"messages": [{"role": "user", "content": text}], "stream": True}
        return await connection.ask(CHAT, key, {**body, "stream_options": {"include_usage": True}})
    finally:
        connection.close()


def taken(answer: Answer) -> Taken:
    """When which tokens of a stream came. Raises Broken where one is lost, comes twice, or the end mark is missing."""
    found, texts = Taken(answer.asked), []
    if answer.status != 200:
        raise Broken(f"the answer is {answer.status}: {answer.body[:300]!r}")
    events = answer.events()
    if not events or events.pop()[1] != b"[DONE]":
        raise Broken(f"the stream has no end mark: {answer.body[-300:]!r}")
    for now, data in events:
        choices = orjson.loads(data).get("choices")
        text = choices[0]["delta"].get("content") if choices else None
        if text:
            texts.append(text)
            found.late += lateness(now, text)
            if found.arrivals and found.arrivals[-1][0] == now:
                found.arrivals[-1] = now, found.arrivals[-1][1] + 1
            else:
                found.arrivals.append((now, 1))
    numbers = [int(number) for number in _WORD.findall("".join(texts))]
    if numbers != list(range(1, len(numbers) + 1)):
        raise Broken("the stream has a gap or a repeat")
    return found
