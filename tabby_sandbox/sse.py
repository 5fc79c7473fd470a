"""A response of server-sent events, written straight to the transport.

Every event is one write, with its own HTTP chunk frame: that keeps hundreds of paced streams cheap, and lets
a fault cut a line in the middle.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

# Bytes: a flood waits for its reader above the one, and goes on below the other.
_HIGH_WATER = 1 << 20
_LOW_WATER = 1 << 18

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "Connection": "keep-alive",
    "X-Accel-Buffering": "no",
}


def event(data: bytes) -> bytes:
    """The payload of one event → its bytes on the wire. Lines end in CRLF, as sse-starlette writes them."""
    return b"data: " + data + b"\r\n\r\n"


def json_event(data: Any) -> bytes:
    return event(orjson.dumps(data))


class EventStream:
    """An open SSE response with its pings. `ping_seconds` 0 = never."""

    def __init__(self, request: web.Request, ping_seconds: float) -> None:
        self._request = request
        self._ping_seconds = ping_seconds
        self._response = web.StreamResponse(headers=HEADERS)
        self._loop = asyncio.get_running_loop()
        self._ping: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    async def open(self) -> None:
        """Send status and headers; from here on the status is 200 whatever happens."""
        self._response.enable_chunked_encoding()
        await self._response.prepare(self._request)
        self._transport = self._request.transport
        self._schedule_ping()

    def write(self, data: bytes) -> None:
        """Send whole events at once; do nothing once the reader has gone."""
        if self._transport is not None and data and not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def drain(self) -> None:
        """Let others run; wait while the reader is far behind."""
        await asyncio.sleep(0)
        if self._transport is None or self._transport.get_write_buffer_size() < _HIGH_WATER:
            return
        # A transport tells only its protocol when it has drained, so this polls.
        while not self._transport.is_closing() and self._transport.get_write_buffer_size() > _LOW_WATER:
            await asyncio.sleep(0.002)

    async def end(self) -> web.StreamResponse:
        """End the response properly."""
        self._stop_pings()
        await self._response.write_eof()
        return self._response

    def break_off(self, *, reset: bool) -> web.StreamResponse:
        """End the connection without ending the response: close it after what was sent, or reset it."""
        self._stop_pings()
        hang_up(self._request, reset=reset)
        return self._response

    def close(self) -> None:
        """Stop the pings, however the handler ends."""
        self._stop_pings()

    def _stop_pings(self) -> None:
        if self._ping is not None:
            self._ping.cancel()
            self._ping = None

    def _schedule_ping(self) -> None:
        if self._ping_seconds > 0:
            self._ping = self._loop.call_later(self._ping_seconds, self._send_ping)

    def _send_ping(self) -> None:
        self.write(f": ping - {datetime.now(UTC)}\r\n\r\n".encode())
        self._schedule_ping()


def hang_up(request: web.Request, *, reset: bool) -> None:
    """Close the connection of a request. With `reset`, the client's system sees an RST."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
