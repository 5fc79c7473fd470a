"""Sends to one page: texts arrive in order, and the sender never waits.

An ASGI server may make the sender wait until the reader has taken something (uvicorn does, Daphne does not). A reader that
takes nothing must hold up neither the reply that streams nor the other pages. So the rest of the sending goes on in a task
of its own, and what comes meanwhile waits in memory, up to MOST_WAITING. Beyond that the page is cut off. A page that is
still there connects again, and gets the state of that moment.
"""

from __future__ import annotations

import asyncio
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

MOST_WAITING = 8 * 1024 * 1024  # characters; the largest `hello` has a few million
TRY_AGAIN_LATER = 1013

Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]


class Outgoing:
    """The queue of one page's socket. `send` is the ASGI server's; the texts are JSON."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: deque[str] | None = None  # a page that keeps up needs none
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._cut = False

    def put(self, text: str) -> None:
        """Send `text` now, or as soon as the reader takes it. Raises what the server raises for a closed socket."""
        if self._cut:
            return
        if self._task is None:
            rest = _started(self._send({"type": "websocket.send", "text": text}))
            if rest is not None:
                self._task = asyncio.create_task(self._send_rest(rest))
                self._task.add_done_callback(_ignore_failure)
            return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(text)
        self._size += len(text)
        if self._size > MOST_WAITING:
            self._cut_off()

    async def _send_rest(self, rest: Awaitable[None]) -> None:
        try:
            await rest
            while self._waiting:
                text = self._waiting.popleft()
                self._size -= len(text)
                await self._send({"type": "websocket.send", "text": text})
        finally:
            self._task = self._waiting = None

    def _cut_off(self) -> None:
        self._cut = True
        self._waiting = None
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._send({"type": "websocket.close", "code": TRY_AGAIN_LATER}))
        self._task.add_done_callback(_ignore_failure)


def _started(work: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Run a coroutine up to where it waits; return the rest of it, or None if it did not wait at all.

    Most sending never waits, and a task for each text would cost more than sending it.
    """
    try:
        waits_for = work.send(None)
    except StopIteration:
        return None
    return _rest(work, waits_for)


@types.coroutine
def _rest(work: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Run the rest of a coroutine that already waits for `waits_for`."""
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


def _ignore_failure(task: asyncio.Task[None]) -> None:
    """Take the exception of a finished task: a page that has gone meanwhile is no error."""
    if not task.cancelled():
        task.exception()
