"""The way out to one page: what is put on it arrives in order, and whoever puts it never waits.

A server may make the sender wait until the reader has taken something (uvicorn does, Daphne does not). One reader who
takes nothing must hold up neither the reply that streams nor the other pages: then the rest of the sending goes on in a task
of its own, and what comes meanwhile waits in memory, up to a bound. Beyond that the page is cut off; one that is still there
connects again, and is told everything as it is by then.
"""

from __future__ import annotations

import asyncio
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

MOST_WAITING = 8 * 1024 * 1024  # characters; a page's greatest greeting is a few millions
TRY_AGAIN_LATER = 1013

Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]


class Outgoing:
    """`send` is what the ASGI server gave; the texts are JSON."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: deque[str] | None = None  # a page that keeps up needs none
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._cut = False

    def put(self, text: str) -> None:
        """Send `text` now, or as soon as the reader takes it. Raises what the server does for a socket that is closed."""
        if self._cut:
            return
        if self._task is None:
            rest = _begun(self._send({"type": "websocket.send", "text": text}))
            if rest is not None:
                self._task = asyncio.create_task(self._go_on(rest))
                self._task.add_done_callback(_looked_at)
            return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(text)
        self._size += len(text)
        if self._size > MOST_WAITING:
            self._hang_up()

    async def _go_on(self, rest: Awaitable[None]) -> None:
        try:
            await rest
            while self._waiting:
                text = self._waiting.popleft()
                self._size -= len(text)
                await self._send({"type": "websocket.send", "text": text})
        finally:
            self._task = self._waiting = None

    def _hang_up(self) -> None:
        self._cut = True
        self._waiting = None
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._send({"type": "websocket.close", "code": TRY_AGAIN_LATER}))
        self._task.add_done_callback(_looked_at)


def _begun(work: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Run a coroutine up to where it waits; return the rest of it, or None if it did not wait at all.

    Most sending never waits, and a task for each would cost more than the sending.
    """
    try:
        waits_for = work.send(None)
    except StopIteration:
        return None
    return _rest(work, waits_for)


@types.coroutine
def _rest(work: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """What is left of a coroutine that waits for `waits_for` already."""
    step: Callable[[Any], Any]
    while True:
        try:
            answer = yield waits_for
        except BaseException as error:  # noqa: BLE001 (all of them are the coroutine's, a cancellation too)
            step, given = work.throw, error
        else:
            step, given = work.send, answer
        try:
            waits_for = step(given)
        except StopIteration:
            return


def _looked_at(task: asyncio.Task[None]) -> None:
    """A page that has gone while it was sent something is no error."""
    if not task.cancelled():
        task.exception()
