"""What a caller is sent: in order, no faster than it is taken, and signs of life while there is nothing to send.

A sign of life in a stream is a comment line that belongs to the event after it: some clients stumble over a comment that
stands alone. Before an answer in one piece it is a blank, which JSON may begin with. The first sign brings the status along:
from then on the status is 200, whatever happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings

from gateway.errors import Refused, dumped

FIRST_SECONDS = 0.8  # until a stream's first sign of life
SIGN_SECONDS = 5.0  # of silence between two
JSON, EVENTS = "application/json", "text/event-stream"

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Slow(Exception):
    """The caller has taken nothing for GATEWAY_READER_SECONDS."""


class Answer:
    """The answer to one request. `name` is its id."""

    def __init__(self, send: Send, name: str, headers: dict[str, str]) -> None:
        self.status = 0  # 0: nothing has been sent yet
        self.ended = False
        self._send = send
        self._headers = {**headers, "x-request-id": name}
        self._kind = JSON
        self._words: Callable[[], str] | None = None
        self._signs_from = 0.0
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._sign: asyncio.Task[None] | None = None
        self._sending = False
        self._sender: asyncio.Task[object] | None = None  # while it waits for what it sends to be taken
        self._since = 0.0
        self._slow = False
        self._watch: asyncio.TimerHandle | None = None

    @property
    def streams(self) -> bool:
        """Whether it is a stream of events."""
        return self._kind == EVENTS

    def live(self, words: Callable[[], str], *, stream: bool) -> None:
        """Show signs of life from now on, until the end; a stream's say `words`."""
        self._kind = EVENTS if stream else JSON
        self._words = words
        self._last = asyncio.get_running_loop().time()
        self._arm(FIRST_SECONDS if stream else settings.GATEWAY_QUIET_SECONDS)

    async def write(self, data: bytes) -> None:
        """Send a part, which is whole events of a stream. Waits until the caller has taken what was sent before."""
        if self._sign is not None:
            await self._settle()
        self._sending = True
        try:
            await self._put(data)
        finally:
            self._sending = False

    async def end(self, data: bytes = b"") -> None:
        """Send the rest."""
        self._disarm()
        await self._settle()
        await self._start(200)
        self.ended = True
        await self._out({"type": "http.response.body", "body": data})

    async def whole(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        """Send JSON in one piece, where nothing has been sent yet; else, behind blanks, what is left to be said."""
        body = value if isinstance(value, bytes) else dumped(value)
        self._disarm()
        await self._settle()
        if not self.status:
            self._kind = JSON
            await self._start(status, {"content-length": str(len(body)), **(headers or {})})
        await self.end(body)

    async def refuse(self, error: Refused) -> None:
        """Say why there is no answer, or no more of it: with a status where none has been sent, else at its end."""
        self._disarm()
        if self.status and self.streams:
            await self.end(b"data: " + error.body + b"\n\n")
        else:
            await self.whole(error.status, error.body, error.headers)

    def drop(self) -> None:
        """Send no more signs of life: the caller has gone, or has all."""
        self._disarm()
        if self._watch is not None:
            self._watch.cancel()
        if self._sign is not None:
            self._sign.cancel()

    # Signs of life --------------------------------------------------------------------------------------------------

    def _arm(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._due)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        silence = asyncio.get_running_loop().time() - self._last
        if self._sending or (self._sign is not None and not self._sign.done()):
            self._arm(SIGN_SECONDS)
            return
        if self.status and silence < SIGN_SECONDS - 0.01:
            self._arm(SIGN_SECONDS - silence)
            return
        self._sign = asyncio.create_task(self._give_sign())
        self._sign.add_done_callback(_looked_at)
        self._arm(SIGN_SECONDS)

    async def _give_sign(self) -> None:
        assert self._words is not None  # noqa: S101 (set in live)
        await self._put(f": {self._words()}\n".encode() if self.streams else b" ")

    async def _settle(self) -> None:
        """Wait until a sign of life that is being sent has been sent."""
        sign, self._sign = self._sign, None
        if sign is not None:
            await sign

    # The way out ----------------------------------------------------------------------------------------------------

    async def _put(self, data: bytes) -> None:
        if not self.status:
            await self._start(200)
        self._last = asyncio.get_running_loop().time()
        await self._out({"type": "http.response.body", "body": data, "more_body": True})

    async def _start(self, status: int, headers: dict[str, str] | None = None) -> None:
        if self.status:
            return
        self.status = status
        own = {"content-type": f"{self._kind}; charset=utf-8" if self.streams else self._kind}
        if self.streams:
            own["x-accel-buffering"] = "no"  # nginx would keep it back
        lines = {**own, **self._headers, **(headers or {})}
        raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in lines.items()]
        await self._out({"type": "http.response.start", "status": status, "headers": raw})

    async def _out(self, message: dict[str, Any]) -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None  # noqa: S101 (a coroutine runs in one)
        if self._watch is None:
            self._watch = loop.call_later(settings.GATEWAY_READER_SECONDS, self._look)
        before = task.cancelling()
        self._sender, self._since = task, loop.time()
        try:
            await self._send(message)
        except asyncio.CancelledError:
            if self._slow and task.uncancel() <= before:
                raise Slow from None
            raise
        finally:
            self._sender = None

    def _look(self) -> None:
        """End a wait that has taken too long. One timer an answer, which follows: one a part costs more than sending it."""
        loop, patience = asyncio.get_running_loop(), settings.GATEWAY_READER_SECONDS
        left = patience if self._sender is None else self._since + patience - loop.time()
        if left > 0:
            self._watch = loop.call_later(left, self._look)
        elif self._sender is not None:
            self._slow = True
            self._sender.cancel()


def _looked_at(sign: asyncio.Task[None]) -> None:
    """Take note of how a sign of life ended: what kept it from being sent keeps the next part, too, which raises it."""
    if not sign.cancelled():
        sign.exception()
